/** The addresses that this host has now, read at most a few times a second. */

import { networkInterfaces } from 'node:os';
import { canonical, type HostAddresses } from './address-book.ts';

const freshMs = 50;

export function readHostAddresses(): HostAddresses {
  let readAt = -Infinity;
  let found: ReadonlySet<string> = new Set();
  return () => {
    const now = performance.now();
    if (now - readAt < freshMs) return found;
    readAt = now;
    const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
    found = new Set(all.map((info) => canonical(info.address)));
    return found;
  };
}
