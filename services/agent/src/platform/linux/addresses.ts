/**
 * Addresses, through netlink.
 *
 * A held address carries a lifetime that the kernel enforces, whatever becomes of this process.
 *
 * A1. Every change is read back; `done` means that the kernel shows it.
 * A2. A lifetime counts from the call. If the change was late (this process was frozen) it is corrected at once: shortened, or
 *     the address dropped when its time is over.
 * A3. Our address and the host's own live side by side in one network, and either may go without taking the other along:
 *     - IPv4 deletes all secondary addresses with their primary, unless `promote_secondaries` is set. It is set before any change
 *       (as systemd does by default). It is left set.
 *     - IPv6 lets an address with a lifetime pass its end on to the connected route that it shares with the host's own address.
 *       Such an address gets `noprefixroute`. When the host's own goes, the route goes with it until the next `hold`.
 *     So to give the own address up for another: hold the other, drop the own, hold the other again. (The other way round,
 *     an interface without any IPv4 address loses its default route.)
 * A4. An IPv6 address is added without the kernel's duplicate detection, which takes a second; we probe before. It is marked
 *     as deprecated (preferred lifetime 0), so that the host's own connections go on to start from its own address; the service
 *     answers from it all the same (RFC 6724, rule 3).
 * A5. Changes take effect in the order of the calls: each is carried out before its call returns (ADR 52).
 */
import {
  dropEntry,
  keepSecondaries,
  onRunningInterface,
  readEntries,
  setAddress,
  sharesNetwork,
} from './address-entry.ts';
import type { Entry } from './address-entry.ts';
import type { Addresses, Cidr, Clock, Outcome } from '../platform.ts';
import { hostPrefix, inNetwork, isDeviceName, parseCidr } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import { isRefused, readLink } from './links.ts';
import type { Netlink } from './netlink.ts';

/** A change that took longer is late (A2). */
const LATE_MS = 250;
const LIFETIME_MAX = 2 ** 31;

const done: Outcome = { kind: 'done' };
const failed = (says: string): Outcome => ({ kind: 'failed', says });

/** `ip` is the absolute path of the program that the guard is told to use. */
export function createAddresses(ip: string, netlink: Netlink, clock: Clock): Addresses {
  const deviceOf = ({ index }: Entry): string | null => {
    const link = readLink(netlink, index);
    return link === undefined || isRefused(link) ? null : link.device;
  };

  /** Where the kernel shows an address now. */
  const places = ({ address, family }: ParsedCidr): readonly Entry[] | string => {
    const entries = readEntries(netlink, family);
    return isRefused(entries) ? entries.says : entries.filter(({ cidr }) => cidr.address === address);
  };

  /** Makes a change and reads it back (A1); null when the kernel shows it. */
  const change = (parsed: ParsedCidr, device: string, seconds: number | null): string | null => {
    const cidr = `${parsed.address}/${String(parsed.bits)}`;
    const link = readLink(netlink, device);
    if (isRefused(link)) return link.says;
    if (link === undefined) return `${cidr} can't be set: there is no interface ${device}`;
    const before = parsed.family === 'ipv6' ? readEntries(netlink, 'ipv6') : [];
    if (isRefused(before)) return before.says;
    const shares = sharesNetwork(before, parsed, link.index);
    const answer = setAddress(netlink, parsed, link.index, seconds, shares);
    if (answer.kind === 'refused') return `${cidr} can't be set on ${device}: ${answer.says}`;
    const after = places(parsed);
    if (typeof after === 'string') return after;
    const found = after.find(({ index, cidr: { bits } }) => index === link.index && bits === parsed.bits);
    if (found === undefined) return `${cidr} is not on ${device} after it was set`;
    if (found.isTaken) return `another host has ${cidr}`;
    return seconds !== null && !found.hasEnd ? `${cidr} has no end` : null;
  };

  /** `seconds` null: without an end. */
  const set = (cidr: Cidr, device: string, seconds: number | null): Outcome => {
    const began = clock.bootMs();
    const parsed = parseCidr(cidr);
    if (parsed === null) return failed(`${cidr} is not an address, such as 10.77.0.100/24`);
    if (!isDeviceName(device)) return failed(`"${device}" is not the name of an interface`);
    keepSecondaries(parsed, device);
    let trouble = change(parsed, device, seconds);
    const lateMs = clock.bootMs() - began;
    if (seconds !== null && lateMs > LATE_MS) {
      const left = seconds - Math.ceil(lateMs / 1000);
      if (left < 1) {
        const dropped = flush(parsed);
        const but = dropped.kind === 'failed' ? `, but: ${dropped.says}` : '';
        return failed(`${cidr} was set too late and is taken back${but}`);
      }
      trouble = change(parsed, device, left);
    }
    return trouble === null ? done : failed(trouble);
  };

  /** Removes an address from every interface and reads back that it is gone (A1). */
  const flush = (parsed: ParsedCidr): Outcome => {
    const before = places(parsed);
    if (typeof before === 'string') return failed(before);
    for (const entry of before) {
      keepSecondaries(entry.cidr, deviceOf(entry) ?? '');
      const answer = dropEntry(netlink, entry);
      if (answer.kind === 'refused') return failed(`${parsed.address} can't be dropped: ${answer.says}`);
    }
    if (before.length === 0) return done;
    const after = places(parsed);
    if (typeof after === 'string') return failed(after);
    const left = after.map((entry) => deviceOf(entry) ?? `interface ${String(entry.index)}`);
    return left.length === 0 ? done : failed(`${parsed.address} is still on ${left.join(', ')}`);
  };

  return {
    interfaceFor: (address) => {
      const wanted = parseCidr(address);
      if (wanted === null) return Promise.resolve(null);
      const all = readEntries(netlink, wanted.family);
      if (isRefused(all)) return Promise.resolve(null);
      const near = all.filter(({ cidr }) => cidr.bits < 128 && inNetwork(wanted, cidr));
      // The narrowest network says it best.
      const best = near.toSorted((a, b) => b.cidr.bits - a.cidr.bits)[0];
      return Promise.resolve(best === undefined ? null : deviceOf(best));
    },
    hold: (address, device, seconds) => {
      if (!Number.isInteger(seconds) || seconds < 1 || seconds >= LIFETIME_MAX) {
        return Promise.resolve(
          failed(`${address} can't be held for ${seconds} s: whole seconds, at least 1`),
        );
      }
      return Promise.resolve(set(address, device, seconds));
    },
    keep: (address, device) => Promise.resolve(set(address, device, null)),
    drop: (address) => {
      const parsed = parseCidr(address);
      return Promise.resolve(parsed === null ? failed(`${address} is not an address`) : flush(parsed));
    },
    has: (address) => {
      const parsed = parseCidr(address);
      if (parsed === null) return Promise.resolve(false);
      const found = places(parsed);
      return Promise.resolve(typeof found === 'string' ? onRunningInterface(parsed) : found.length > 0);
    },
    dropCommands: (address) => {
      const parsed = parseCidr(address);
      return parsed === null ? [] : [[ip, 'addr', 'flush', 'to', hostPrefix(parsed)]];
    },
  };
}
