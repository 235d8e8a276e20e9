/**
 * Makes a block device of an exported volume, and undoes it.
 *
 *   T1  what was attached is on record before anybody is told, so that a later life can undo it
 *   T2  the link points to the device for exactly as long as it is attached
 *   T3  start and stop are idempotent; a stale record is undone before anything new is attached
 */

import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import { attachByNbdClient, detachFromNbd, isNbdAttached, type Attached } from './nbd-client.ts';
import { attachByNbdfuse, detachFromLoop, isLoopAttached } from './nbdfuse.ts';
import type { VolumePlaces } from './places.ts';

export type Method = 'nbd-client' | 'nbdfuse';

interface Record extends Attached {
  readonly method: Method;
}

const lookMs = 50;

export async function attach(places: VolumePlaces, method: Method, limit: Limit): Promise<Did> {
  const before = readRecord(places);
  if (before !== null && isAttached(before, places)) {
    if (before.method === method) return link(places, before.device);
  }
  if (before !== null) {
    const undone = await detach(places, limit); // T3
    if (undone.kind === 'failed') return undone;
  }
  const served = await untilServed(places, limit);
  if (served.kind === 'failed') return served;
  const attached = await begin(places, method, limit);
  if (typeof attached === 'string') return failed(`${places.mirror}: ${attached}`);
  writeRecord(places, { ...attached, method }); // T1
  return link(places, attached.device);
}

export async function detach(places: VolumePlaces, limit: Limit): Promise<Did> {
  rmSync(places.link, { force: true }); // T2
  const record = readRecord(places);
  if (record === null) return did;
  const ended = await end(record, places, limit);
  if (ended.kind === 'done') rmSync(places.record, { force: true });
  return ended;
}

export function attachedState(places: VolumePlaces): Did {
  const record = readRecord(places);
  if (record === null) return failed(`${places.mirror} is not attached`);
  if (isAttached(record, places)) return did;
  return failed(`${record.device} is not the device of ${places.mirror} any more`);
}

function begin(places: VolumePlaces, method: Method, limit: Limit): Promise<Attached | string> {
  switch (method) {
    case 'nbd-client':
      return attachByNbdClient(places, limit);
    case 'nbdfuse':
      return attachByNbdfuse(places, limit);
  }
}

function end(record: Record, places: VolumePlaces, limit: Limit): Promise<Did> {
  switch (record.method) {
    case 'nbd-client':
      return isNbdAttached(record.device) ? detachFromNbd(record.device, limit) : Promise.resolve(did);
    case 'nbdfuse':
      return detachFromLoop(record, places, limit);
  }
}

function isAttached(record: Record, places: VolumePlaces): boolean {
  switch (record.method) {
    case 'nbd-client':
      return isNbdAttached(record.device);
    case 'nbdfuse':
      return isLoopAttached(record, places);
  }
}

/** The mirror process serves it a moment after it was opened. */
async function untilServed({ mirror, socket }: VolumePlaces, limit: Limit): Promise<Did> {
  for (;;) {
    const says = await reach(socket, limit.leftMs);
    if (says === '') return did;
    if (limit.isOver) return failed(`the mirror process does not export ${mirror} at ${socket}: ${says}`);
    await pause(lookMs);
  }
}

/** Empty when somebody accepts there. */
function reach(socket: string, limitMs: number): Promise<string> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    const end = (says: string): void => {
      connection.destroy();
      resolve(says);
    };
    connection.setTimeout(Math.max(1, limitMs), () => end('it does not answer'));
    connection.once('connect', () => end(''));
    connection.once('error', (error) => end(error.message));
  });
}

function link(places: VolumePlaces, device: string): Did {
  mkdirSync(dirname(places.link), { recursive: true, mode: 0o755 });
  const fresh = `${places.link}.new`;
  rmSync(fresh, { force: true });
  symlinkSync(device, fresh);
  renameSync(fresh, places.link);
  return did;
}

/** Null: nothing was attached. A record that can't be read was torn by a power cut, and the boot undid the rest. */
function readRecord({ record }: VolumePlaces): Record | null {
  let raw: unknown;
  try {
    raw = JSON.parse(readFileSync(record, 'utf8'));
  } catch {
    return null;
  }
  if (typeof raw !== 'object' || raw === null) return null;
  const { device, pid, method } = raw as { readonly [key: string]: unknown };
  if (typeof device !== 'string' || !device.startsWith('/dev/')) return null;
  if (method !== 'nbd-client' && method !== 'nbdfuse') return null;
  return { device, pid: typeof pid === 'number' ? pid : null, method };
}

function writeRecord({ record }: VolumePlaces, value: Record): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  writeFileSync(`${record}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(`${record}.new`, record);
}
