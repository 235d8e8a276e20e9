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
import type { Link } from './advertisement.ts';
import { isDeviceName, parseCidr } from './cidr.ts';
import type { IpBatch } from './ip-batch.ts';
import { solicit } from './neighbour-table.ts';

const ASK_MS = 500;
/** Repeats are spread over this time, closer together at its beginning. */
const SPREAD_MS = 2000;
const TIMES_MAX = 20;
/** What was seen of the links so short ago need not be asked for again by an announcement. */
const FRESH_MS = 1500;
/** A repeat that comes later than this (this process was frozen) is not sent. */
const STALE_MS = 500;

export interface NeighbourPrograms {
  readonly arping: string | null;
}

export interface LinuxNeighbours extends Neighbours {
  /** Stops announcing the address. */
  withdraw(address: Cidr): void;
}

interface LinkState extends Link {
  readonly carrier: boolean;
}

const failed = (says: string): Outcome => ({ kind: 'failed', says });
const unknown = (says: string): Sighting => ({ kind: 'unknown', says });

export function createNeighbours(
  batch: IpBatch,
  linkBatch: IpBatch,
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

  let seen: { readonly links: ReadonlyMap<string, LinkState>; readonly at: number } | null = null;

  const links = async (): Promise<ReadonlyMap<string, LinkState> | string> => {
    const at = performance.now();
    const answer = await linkBatch.ask([['link', 'show']], ASK_MS);
    const sure = answer.kind === 'lost' ? await linkBatch.once([['link', 'show']]) : answer;
    if (sure.kind === 'lost') return sure.says;
    seen = { links: parseLinks(sure.lines), at };
    return seen.links;
  };

  const linksOfLate = (): Promise<ReadonlyMap<string, LinkState> | string> =>
    seen !== null && performance.now() - seen.at < FRESH_MS ? Promise.resolve(seen.links) : links();

  return {
    withdraw,
    probe: async (address, device, waitMs) => {
      const cidr = parseCidr(address);
      if (cidr === null || !isDeviceName(device))
        return unknown(`${address} on ${device} can't be asked for`);
      // Both are started before anything is awaited: the wait is the caller's time.
      const asked =
        cidr.family === 'ipv4' && programs.arping !== null
          ? [
              solicit(batch, cidr, device, waitMs),
              arping.probe(programs.arping, cidr.address, device, waitMs),
            ]
          : [solicit(batch, cidr, device, waitMs)];
      const state = await links();
      if (typeof state === 'string') return unknown(state);
      const ours = new Set([...state.values()].map((link) => link.linkAddress));
      const sightings = await untilSomebody(asked, (seen) => !ours.has(seen.linkAddress));
      const somebody = sightings.find((seen) => seen.kind === 'somebody' && !ours.has(seen.linkAddress));
      if (somebody !== undefined) return somebody;
      const link = state.get(device);
      if (link === undefined) return unknown(`there is no interface ${device}`);
      if (!link.carrier) return unknown(`${device} has no link`);
      if (cidr.family === 'ipv6' && !(await canSolicit(batch, device))) {
        return unknown(`${device} has no link-local IPv6 address yet to ask from`);
      }
      const nobody = sightings.find((seen) => seen.kind === 'nobody');
      return nobody ?? sightings.find((seen) => seen.kind === 'unknown') ?? { kind: 'nobody' };
    },
    announce: async (address, device, times) => {
      const cidr = parseCidr(address);
      if (cidr === null || !isDeviceName(device)) return failed(`${address} on ${device} can't be announced`);
      const state = await linksOfLate();
      if (typeof state === 'string') return failed(state);
      const link = state.get(device);
      if (link === undefined) return failed(`there is no interface ${device}`);
      withdraw(address);
      const first = announceOnce(cidr, device, link);
      const count = Math.min(times, TIMES_MAX);
      const began = performance.now();
      const timers: NodeJS.Timeout[] = [];
      for (let turn = 1; turn < count; turn += 1) {
        const atMs = SPREAD_MS * (turn / (count - 1)) ** 2;
        const send = (): void => {
          if (performance.now() - began - atMs > STALE_MS) return;
          const outcome = announceOnce(cidr, device, link);
          // Gone by itself meanwhile is no news.
          if (outcome.kind === 'failed' && repeats.get(cidr.address) === timers) warn(outcome.says);
        };
        timers.push(setTimeout(send, atMs).unref());
      }
      repeats.set(cidr.address, timers);
      if (first.kind === 'failed') withdraw(address);
      return first;
    },
    linkAddress: async (device) => {
      const state = await links();
      return typeof state === 'string' ? null : (state.get(device)?.linkAddress ?? null);
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

/** Lines of `ip -o link show`: `2: eth0@if3: <BROADCAST,UP,LOWER_UP> mtu 1500 ...\    link/ether 52:54:00:00:00:01 brd ...`. */
function parseLinks(lines: readonly string[]): ReadonlyMap<string, LinkState> {
  const found = new Map<string, LinkState>();
  for (const line of lines) {
    const [, index, device, flags, linkAddress] =
      /^(\d+): ([^:@\s]+)(?:@\S+)?: <([^>]*)>.*\slink\/\S+ ([0-9a-f:]{17})(?:\s|$)/.exec(line) ?? [];
    if (index === undefined || device === undefined || flags === undefined || linkAddress === undefined)
      continue;
    found.set(device, { index: Number(index), linkAddress, carrier: flags.split(',').includes('LOWER_UP') });
  }
  return found;
}

/** The kernel asks from the link-local address; without a usable one it stays silent. */
async function canSolicit(batch: IpBatch, device: string): Promise<boolean> {
  const answer = await batch.ask([['addr', 'show', 'dev', device, 'scope', 'link']], ASK_MS);
  if (answer.kind === 'lost') return false;
  return answer.lines.some((line) => line.includes('inet6 fe80:') && !/ (tentative|dadfailed)/.test(line));
}
