/**
 * Who has an address, and telling everybody that it is here now.
 *
 * N1. "Nobody" is said only when a question really went out and the wire was there. Anything else is "unknown".
 * N2. IPv4 is asked for in two ways at once: an ARP probe from no address (arping.ts), which every host answers, and the
 *     kernel's own request (neighbour-table.ts), which is out at once however busy the host is. Either one may see somebody.
 * N3. An announcement stops when its address is withdrawn, and each packet of it is refused once the address is gone (raw-sockets.ts).
 */
import type { Cidr, Neighbours, Outcome, Sighting } from '../platform.ts';
import * as arping from './arping.ts';
import { announceOnce } from './advertisement.ts';
import { readEntries } from './address-entry.ts';
import { isDeviceName, parseCidr } from './cidr.ts';
import { isRefused, readLink, readLinks } from './links.ts';
import type { Link } from './links.ts';
import type { Netlink } from './netlink.ts';
import { solicit } from './neighbour-table.ts';

/** Repeats are spread over this time, closer together at its beginning. */
const SPREAD_MS = 2000;
const TIMES_MAX = 20;
/** A repeat that comes later than this (this process was frozen) is not sent. */
const STALE_MS = 500;

export interface NeighbourPrograms {
  readonly arping: string | null;
}

export interface LinuxNeighbours extends Neighbours {
  /** Stops announcing the address. */
  withdraw(address: Cidr): void;
}

const failed = (says: string): Outcome => ({ kind: 'failed', says });
const unknown = (says: string): Sighting => ({ kind: 'unknown', says });

export function createNeighbours(
  netlink: Netlink,
  programs: NeighbourPrograms,
  warn: (says: string) => void,
): LinuxNeighbours {
  /** By address: the timers of its repeats. */
  const repeats = new Map<string, NodeJS.Timeout[]>();

  const withdraw = (address: Cidr): void => {
    const key = parseCidr(address)?.address ?? address;
    for (const timer of repeats.get(key) ?? []) clearTimeout(timer);
    repeats.delete(key);
  };

  return {
    withdraw,
    probe: async (address, device, waitMs) => {
      const cidr = parseCidr(address);
      if (cidr === null || !isDeviceName(device))
        return unknown(`${address} on ${device} can't be asked for`);
      const links = readLinks(netlink);
      if (isRefused(links)) return unknown(links.says);
      const link = links.get(device);
      if (link === undefined) return unknown(`there is no interface ${device}`);
      // Both are started before anything is awaited: the wait is the caller's time.
      const asked =
        cidr.family === 'ipv4' && programs.arping !== null
          ? [
              solicit(netlink, cidr, link, waitMs),
              arping.probe(programs.arping, cidr.address, device, waitMs),
            ]
          : [solicit(netlink, cidr, link, waitMs)];
      const ours = new Set([...links.values()].map(({ linkAddress }) => linkAddress));
      const sightings = await untilSomebody(asked, (seen) => !ours.has(seen.linkAddress));
      const somebody = sightings.find((seen) => seen.kind === 'somebody' && !ours.has(seen.linkAddress));
      if (somebody !== undefined) return somebody;
      if (!hasCarrier(netlink, device)) return unknown(`${device} has no link`);
      if (cidr.family === 'ipv6' && !canSolicit(netlink, link))
        return unknown(`${device} has no link-local IPv6 address yet to ask from`);
      const nobody = sightings.find((seen) => seen.kind === 'nobody');
      return nobody ?? sightings.find((seen) => seen.kind === 'unknown') ?? { kind: 'nobody' };
    },
    announce: (address, device, times) => {
      const cidr = parseCidr(address);
      if (cidr === null || !isDeviceName(device))
        return Promise.resolve(failed(`${address} on ${device} can't be announced`));
      const link = readLink(netlink, device);
      if (isRefused(link)) return Promise.resolve(failed(link.says));
      const from = link?.linkAddress ?? null;
      if (link === undefined || from === null)
        return Promise.resolve(failed(`there is no interface ${device} with a link-layer address`));
      withdraw(address);
      const place = { index: link.index, linkAddress: from };
      const first = announceOnce(cidr, device, place);
      const count = Math.min(times, TIMES_MAX);
      const began = performance.now();
      const timers: NodeJS.Timeout[] = [];
      for (let turn = 1; turn < count; turn += 1) {
        const atMs = SPREAD_MS * (turn / (count - 1)) ** 2;
        const send = (): void => {
          if (performance.now() - began - atMs > STALE_MS) return;
          const outcome = announceOnce(cidr, device, place);
          // Gone by itself meanwhile is no news.
          if (outcome.kind === 'failed' && repeats.get(cidr.address) === timers) warn(outcome.says);
        };
        timers.push(setTimeout(send, atMs).unref());
      }
      repeats.set(cidr.address, timers);
      if (first.kind === 'failed') withdraw(address);
      return Promise.resolve(first);
    },
    linkAddress: (device) => {
      const link = isDeviceName(device) ? readLink(netlink, device) : undefined;
      return Promise.resolve(link === undefined || isRefused(link) ? null : link.linkAddress);
    },
  };
}

/** All sightings, or those so far as soon as one of them is somebody that counts. */
function untilSomebody(
  asked: readonly Promise<Sighting>[],
  counts: (seen: Sighting & { readonly kind: 'somebody' }) => boolean,
): Promise<readonly Sighting[]> {
  const all = Promise.all(asked);
  const first = new Promise<readonly Sighting[]>((resolve) => {
    for (const each of asked) {
      void each.then((seen) => {
        if (seen.kind === 'somebody' && counts(seen)) resolve([seen]);
      });
    }
  });
  return Promise.race([all, first]);
}

/** After the wait: a wire that was pulled meanwhile tells of nobody. */
function hasCarrier(netlink: Netlink, device: string): boolean {
  const link = readLink(netlink, device);
  return link !== undefined && !isRefused(link) && link.carrier;
}

/** The kernel asks from the link-local address; without a usable one it stays silent. */
function canSolicit(netlink: Netlink, { index }: Link): boolean {
  const entries = readEntries(netlink, 'ipv6');
  if (isRefused(entries)) return false;
  return entries.some(
    (entry) => entry.index === index && entry.isLinkLocal && !entry.isTentative && !entry.isTaken,
  );
}
