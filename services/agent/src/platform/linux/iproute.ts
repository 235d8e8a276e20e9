/**
 * Addresses, through iproute2.
 *
 * A held address carries a lifetime that the kernel enforces, whatever becomes of this process.
 *
 * A1. Every change is read back; `done` means that the kernel shows it.
 * A2. A lifetime counts from the call. If the change was late (this process was frozen, `ip` was stuck) it is corrected at once:
 *     shortened, or the address dropped when its time is over.
 * A3. Our address and the host's own live side by side in one network, and either may go without taking the other along:
 *     - IPv4 deletes all secondary addresses with their primary, unless `promote_secondaries` is set. It is set before any change
 *       (as systemd does by default). It is left set.
 *     - IPv6 lets an address with a lifetime pass its end on to the connected route that it shares with the host's own address.
 *       Such an address gets `noprefixroute`.
 * A4. An IPv6 address is added without the kernel's duplicate detection, which takes a second; we probe before. It is marked
 *     as deprecated (preferred_lft 0), so that the host's own connections go on to start from its own address; the service answers
 *     from it all the same (RFC 6724, rule 3).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Addresses, Cidr, Clock, Outcome } from '../platform.ts';
import { hostPrefix, inNetwork, isDeviceName, parseCidr } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import type { IpAnswer, IpBatch, IpCommand } from './ip-batch.ts';

const ASK_MS = 500;
/** A change that took longer is late (A2). */
const LATE_MS = 250;
const LIFETIME_MAX = 2 ** 31;

/** One line of `ip -o addr show`. */
export interface Entry {
  readonly device: string;
  readonly cidr: ParsedCidr;
  readonly flags: readonly string[];
}

const done: Outcome = { kind: 'done' };
const failed = (says: string): Outcome => ({ kind: 'failed', says });

export function createAddresses(ip: string, batch: IpBatch, clock: Clock): Addresses {
  /** Asks the batch, and a fresh `ip` when the batch is lost or refused: it may remember an interface that is gone. */
  const ask = async (commands: () => readonly IpCommand[]): Promise<IpAnswer> => {
    const answer = await batch.ask(commands(), ASK_MS);
    if (answer.kind === 'answered' && answer.refused.length === 0) return answer;
    if (answer.kind === 'answered') batch.renew(answer.refused.join('; '));
    return batch.once(commands());
  };

  const entries = async (...filter: readonly string[]): Promise<readonly Entry[] | string> => {
    const answer = await ask(() => [['addr', 'show', ...filter]]);
    if (answer.kind === 'lost') return answer.says;
    if (answer.refused.length > 0) return answer.refused.join('; ');
    return parseEntries(answer.lines);
  };

  /** Makes a change and reads it back (A1). `seconds` null: without an end. */
  const set = async (cidr: Cidr, device: string, seconds: number | null): Promise<Outcome> => {
    const began = clock.bootMs();
    const parsed = parseCidr(cidr);
    if (parsed === null)
      return failed(`${cidr} is not an address with a prefix length, such as 10.77.0.100/24`);
    if (!isDeviceName(device)) return failed(`"${device}" is not the name of an interface`);
    const left = (): number | null => {
      if (seconds === null) return null;
      const elapsed = clock.bootMs() - began;
      return elapsed <= LATE_MS ? seconds : seconds - Math.ceil(elapsed / 1000);
    };
    keepSecondaries(parsed, device);
    const change = (): readonly IpCommand[] => {
      const now = left();
      if (now !== null && now < 1) return [['addr', 'show', 'to', hostPrefix(parsed)]];
      return [setCommand(parsed, device, now), ['addr', 'show', 'to', hostPrefix(parsed)]];
    };
    let answer = await ask(change);
    if (clock.bootMs() - began > LATE_MS && seconds !== null) {
      if ((left() ?? 1) < 1) {
        const dropped = await drop(cidr);
        return failed(
          `${cidr} was set too late and is taken back${dropped.kind === 'failed' ? `: ${dropped.says}` : ''}`,
        );
      }
      answer = await ask(change);
    }
    if (answer.kind === 'lost') return failed(answer.says);
    if (answer.refused.length > 0) return failed(answer.refused.join('; '));
    const found = parseEntries(answer.lines).find(
      (entry) => entry.device === device && entry.cidr.bits === parsed.bits,
    );
    if (found === undefined) return failed(`${cidr} is not on ${device} after it was set`);
    if (found.flags.includes('dadfailed')) return failed(`another host has ${cidr}`);
    if (seconds !== null && !found.flags.includes('dynamic'))
      return failed(`${cidr} on ${device} has no end`);
    return done;
  };

  const drop = async (cidr: Cidr): Promise<Outcome> => {
    const parsed = parseCidr(cidr);
    if (parsed === null) return failed(`${cidr} is not an address`);
    const to = ['to', hostPrefix(parsed)];
    const before = await entries(...to);
    if (typeof before !== 'string') {
      if (before.length === 0) return done;
      for (const entry of before) keepSecondaries(entry.cidr, entry.device);
    }
    const answer = await ask(() => [
      ['addr', 'flush', ...to],
      ['addr', 'show', ...to],
    ]);
    if (answer.kind === 'lost') return failed(answer.says);
    if (answer.refused.length > 0) return failed(answer.refused.join('; '));
    const after = parseEntries(answer.lines);
    return after.length === 0
      ? done
      : failed(`${cidr} is still on ${after.map((entry) => entry.device).join(', ')}`);
  };

  return {
    interfaceFor: async (address) => {
      const wanted = parseCidr(address);
      if (wanted === null) return null;
      const all = await entries();
      if (typeof all === 'string') return null;
      const near = all.filter((entry) => entry.cidr.bits < 128 && inNetwork(wanted, entry.cidr));
      // The narrowest network says it best.
      return near.toSorted((a, b) => b.cidr.bits - a.cidr.bits)[0]?.device ?? null;
    },
    hold: (address, device, seconds) => {
      if (!Number.isInteger(seconds) || seconds < 1 || seconds >= LIFETIME_MAX) {
        return Promise.resolve(
          failed(`${address} can't be held for ${seconds} s: whole seconds, at least 1`),
        );
      }
      return set(address, device, seconds);
    },
    keep: (address, device) => set(address, device, null),
    drop,
    has: async (address) => {
      const parsed = parseCidr(address);
      if (parsed === null) return false;
      const found = await entries('to', hostPrefix(parsed));
      return typeof found === 'string' ? onRunningInterface(parsed) : found.length > 0;
    },
    dropCommands: (address) => {
      const parsed = parseCidr(address);
      return parsed === null ? [] : [[ip, 'addr', 'flush', 'to', hostPrefix(parsed)]];
    },
  };
}

function setCommand(parsed: ParsedCidr, device: string, seconds: number | null): IpCommand {
  const cidr = `${parsed.address}/${parsed.bits}`;
  const valid = seconds === null ? 'forever' : String(seconds);
  const command = ['addr', 'replace', cidr, 'dev', device, 'valid_lft', valid, 'preferred_lft'];
  if (parsed.family === 'ipv4') return [...command, valid];
  if (seconds === null) return [...command, valid, 'nodad'];
  return [...command, '0', 'nodad', ...(sharesNetwork(parsed, device) ? ['noprefixroute'] : [])];
}

/** Lines such as `2: eth0    inet 10.77.0.100/24 scope global dynamic eth0\       valid_lft 5sec preferred_lft 5sec`. */
export function parseEntries(lines: readonly string[]): readonly Entry[] {
  return lines.flatMap((line) => {
    const [, device, , local, rest] = /^\d+: (\S+)\s+(inet6?) (\S+)(?: peer \S+)?(.*)$/.exec(line) ?? [];
    if (device === undefined || local === undefined || rest === undefined) return [];
    const cidr = parseCidr(local);
    const [flags = ''] = rest.split('\\');
    return cidr === null ? [] : [{ device, cidr, flags: flags.trim().split(/\s+/) }];
  });
}

/** A3 for IPv4. Where it can't be written, `missing()` says so (preflight.ts). */
function keepSecondaries(parsed: ParsedCidr, device: string): void {
  if (parsed.family === 'ipv6' || !isDeviceName(device) || promotesSecondaries(device)) return;
  try {
    writeFileSync(`/proc/sys/net/ipv4/conf/${device}/promote_secondaries`, '1');
  } catch {
    return; // no such interface: the change itself will say so; or read-only: preflight says so
  }
}

export function promotesSecondaries(device: string): boolean {
  return ['all', device].some(
    (name) => readOrEmpty(`/proc/sys/net/ipv4/conf/${name}/promote_secondaries`).trim() === '1',
  );
}

/** A3 for IPv6: whether another lasting address of the interface lies in the same network (proc(5), if_inet6). */
function sharesNetwork(parsed: ParsedCidr, device: string): boolean {
  const PERMANENT = 0x80;
  return readOrEmpty('/proc/net/if_inet6')
    .split('\n')
    .some((line) => {
      const [hex = '', , bits = '', , flags = '', name] = line.trim().split(/\s+/);
      if (name !== device || (parseInt(flags, 16) & PERMANENT) === 0) return false;
      const other = parseCidr(`${hex.replace(/(.{4})(?=.)/g, '$1:')}/${parseInt(bits, 16)}`);
      return (
        other !== null &&
        other.address !== parsed.address &&
        other.bits === parsed.bits &&
        inNetwork(parsed, other)
      );
    });
}

/** What can be known without `ip`; sees only interfaces that run. */
function onRunningInterface(parsed: ParsedCidr): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    (list ?? []).some((info) => parseCidr(info.address)?.address === parsed.address),
  );
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // no such interface, or a kernel without IPv6
  }
}
