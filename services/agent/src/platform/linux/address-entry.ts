/**
 * What the kernel shows of addresses and interfaces, and the command that sets an address. The rules are those of iproute.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { inNetwork, isDeviceName, parseCidr } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import type { IpCommand } from './ip-batch.ts';

/** One line of `ip -o addr show`. */
export interface Entry {
  readonly device: string;
  readonly cidr: ParsedCidr;
  readonly flags: readonly string[];
}

/** Sets or extends an address; `seconds` null: without an end (A3, A4). */
export function setCommand(parsed: ParsedCidr, device: string, seconds: number | null): IpCommand {
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
export function keepSecondaries(parsed: ParsedCidr, device: string): void {
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
export function onRunningInterface(parsed: ParsedCidr): boolean {
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
