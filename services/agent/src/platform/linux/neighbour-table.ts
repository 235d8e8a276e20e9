/**
 * Asks for an address through the kernel's neighbour table: forget what is known, have the kernel solicit
 * (`ip neigh replace ... use`), and look until an answer is in the table. For IPv4 and IPv6, without a process to start.
 *
 * It is not fooled by this host: a host does not answer its own solicitations, and answers from one of our own interfaces on
 * the same wire are left out (neighbours.ts).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sighting } from '../platform.ts';
import { hostPrefix } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import type { IpBatch } from './ip-batch.ts';

const ASK_MS = 500;
const LOOK_EVERY_MS = 2;

/** Somebody's link-layer address, nobody within `waitMs`, or why that is not known. */
export async function solicit(
  batch: IpBatch,
  cidr: ParsedCidr,
  device: string,
  waitMs: number,
): Promise<Sighting> {
  const entry = [cidr.address, 'dev', device];
  const look = ['neigh', 'show', 'to', hostPrefix(cidr), 'dev', device, 'nud', 'all'];
  const known = await batch.ask([look], ASK_MS);
  if (known.kind === 'lost') return { kind: 'unknown', says: known.says };
  if (known.lines.some((line) => / (PERMANENT|NOARP)/.test(line))) {
    return { kind: 'unknown', says: `${cidr.address} has a fixed entry in the neighbour table of ${device}` };
  }
  const forget = known.lines.length > 0 ? [['neigh', 'del', ...entry]] : [];
  const began = performance.now();
  let answer = await batch.ask([...forget, ['neigh', 'replace', ...entry, 'use'], look], ASK_MS);
  let sighting: Sighting | null = null;
  while (sighting === null) {
    if (answer.kind === 'lost') return { kind: 'unknown', says: answer.says };
    if (answer.refused.length > 0) return { kind: 'unknown', says: answer.refused.join('; ') };
    const line = answer.lines.find((text) => text.startsWith(`${cidr.address} `)) ?? '';
    const linkAddress = / lladdr (\S+)/.exec(line)?.[1];
    const left = waitMs - (performance.now() - began);
    if (linkAddress !== undefined) sighting = { kind: 'somebody', linkAddress };
    else if (left > 0) {
      await sleep(Math.min(LOOK_EVERY_MS, left));
      answer = await batch.ask([look], ASK_MS);
    } else if (/ (INCOMPLETE|FAILED)/.test(line)) sighting = { kind: 'nobody' };
    else sighting = { kind: 'unknown', says: `the kernel did not ask for ${cidr.address}: "${line}"` };
  }
  // Otherwise the kernel goes on asking for 3 s.
  if (sighting.kind === 'nobody') await batch.ask([['neigh', 'del', ...entry]], ASK_MS);
  return sighting;
}
