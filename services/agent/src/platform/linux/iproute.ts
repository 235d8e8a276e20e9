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
 *       Such an address gets `noprefixroute`. When the host's own goes, the route goes with it until the next `hold`.
 *     So to give the own address up for another: hold the other, drop the own, hold the other again. (The other way round,
 *     an interface without any IPv4 address loses its default route.)
 * A4. An IPv6 address is added without the kernel's duplicate detection, which takes a second; we probe before. It is marked
 *     as deprecated (preferred_lft 0), so that the host's own connections go on to start from its own address; the service answers
 *     from it all the same (RFC 6724, rule 3).
 * A5. Changes of one address take effect in the order of the calls. The long-lived `ip` keeps that order; the fresh ones that
 *     stand in for it do not, so an earlier change is not tried again after a later call, and `drop` waits for one that runs.
 */
import { keepSecondaries, onRunningInterface, parseEntries, setCommand } from './address-entry.ts';
import type { Entry } from './address-entry.ts';
import type { Addresses, Cidr, Clock, Outcome } from '../platform.ts';
import { hostPrefix, inNetwork, isDeviceName, parseCidr } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import type { IpAnswer, IpBatch, IpCommand } from './ip-batch.ts';
import { createTurns } from './turns.ts';
import type { Turn } from './turns.ts';

const ASK_MS = 500;
/** A change that took longer is late (A2). */
const LATE_MS = 250;
const LIFETIME_MAX = 2 ** 31;

const OVERTAKEN = 'overtaken by a later change of the same address';

const done: Outcome = { kind: 'done' };
const failed = (says: string): Outcome => ({ kind: 'failed', says });

export function createAddresses(ip: string, batch: IpBatch, clock: Clock): Addresses {
  const turns = createTurns();

  /**
   * Asks the batch, and a fresh `ip` when the batch is lost or refused: it may remember an interface that is gone. A change is
   * given its turn, and is not tried again once a later one has come (A5).
   */
  const ask = async (commands: () => readonly IpCommand[], turn?: Turn): Promise<IpAnswer> => {
    const answer = await batch.ask(commands(), ASK_MS);
    if (answer.kind === 'answered' && answer.refused.length === 0) return answer;
    if (answer.kind === 'answered') batch.renew(answer.refused.join('; '));
    if (turn === undefined) return batch.once(commands());
    if (turn.isOver()) return { kind: 'lost', says: OVERTAKEN };
    return turn.during(batch.once(commands()));
  };

  const entries = async (...filter: readonly string[]): Promise<readonly Entry[] | string> => {
    const answer = await ask(() => [['addr', 'show', ...filter]]);
    const refusal = refusalOf(answer);
    return refusal ?? parseEntries(linesOf(answer));
  };

  /** Makes a change and reads it back (A1). `seconds` null: without an end. */
  const set = async (cidr: Cidr, device: string, seconds: number | null): Promise<Outcome> => {
    const began = clock.bootMs();
    const parsed = parseCidr(cidr);
    if (parsed === null) return failed(`${cidr} is not an address, such as 10.77.0.100/24`);
    if (!isDeviceName(device)) return failed(`"${device}" is not the name of an interface`);
    const turn = turns.take(parsed.address, 'set');
    const isLate = (): boolean => seconds !== null && clock.bootMs() - began > LATE_MS;
    const left = (): number | null =>
      seconds === null || !isLate() ? seconds : seconds - Math.ceil((clock.bootMs() - began) / 1000);
    const look: IpCommand = ['addr', 'show', 'to', hostPrefix(parsed)];
    const change = (): readonly IpCommand[] => {
      const now = left();
      return now !== null && now < 1 ? [look] : [setCommand(parsed, device, now), look];
    };
    keepSecondaries(parsed, device);
    let answer = await ask(change, turn);
    if (isLate() && !turn.isOver()) {
      if ((left() ?? 1) < 1) {
        const dropped = await flush(parsed, turn);
        const but = dropped.kind === 'failed' ? `, but: ${dropped.says}` : '';
        return failed(`${cidr} was set too late and is taken back${but}`);
      }
      answer = await ask(change, turn);
    }
    const refusal = refusalOf(answer);
    if (refusal !== null) return failed(refusal);
    const found = parseEntries(linesOf(answer)).find(
      (entry) => entry.device === device && entry.cidr.bits === parsed.bits,
    );
    if (found === undefined) return failed(`${cidr} is not on ${device} after it was set`);
    if (found.flags.includes('dadfailed')) return failed(`another host has ${cidr}`);
    if (seconds !== null && !found.flags.includes('dynamic')) return failed(`${cidr} has no end`);
    return done;
  };

  /** Removes an address from every interface and reads back that it is gone (A1). */
  const flush = async (parsed: ParsedCidr, turn: Turn): Promise<Outcome> => {
    const to = ['to', hostPrefix(parsed)];
    const before = await entries(...to);
    if (typeof before !== 'string') {
      if (before.length === 0) return done;
      for (const entry of before) keepSecondaries(entry.cidr, entry.device);
    }
    if (turn.isOver()) return failed(OVERTAKEN);
    const commands = [
      ['addr', 'flush', ...to],
      ['addr', 'show', ...to],
    ];
    const answer = await ask(() => commands, turn);
    const refusal = refusalOf(answer);
    if (refusal !== null) return failed(refusal);
    const after = parseEntries(linesOf(answer)).map((entry) => entry.device);
    return after.length === 0 ? done : failed(`${parsed.address} is still on ${after.join(', ')}`);
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
    drop: async (address) => {
      const parsed = parseCidr(address);
      if (parsed === null) return failed(`${address} is not an address`);
      const turn = turns.take(parsed.address, 'drop');
      const outcome = await flush(parsed, turn);
      if (!(await turn.outlived())) return outcome;
      return flush(parsed, turn);
    },
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

function refusalOf(answer: IpAnswer): string | null {
  if (answer.kind === 'lost') return answer.says;
  return answer.refused.length > 0 ? answer.refused.join('; ') : null;
}

function linesOf(answer: IpAnswer): readonly string[] {
  return answer.kind === 'lost' ? [] : answer.lines;
}
