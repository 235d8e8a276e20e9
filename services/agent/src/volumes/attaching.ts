/**
 * Makes a block device of an exported volume, and undoes it.
 *
 *   T1  what was attached is on record before anybody is told, so that a later life can undo it
 *   T2  the link points to the device for exactly as long as it is attached
 *   T3  start and stop are idempotent; a stale record is undone before anything new is attached
 *   T4  a record outlives all that is mounted on its device (mounting.ts, U4), and says nothing after another boot
 */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import { attachByNbdClient, detachFromNbd, isNbdAttached, type Attached } from './nbd-client.ts';
import { attachByNbdfuse, detachFromLoop, isLoopAttached } from './nbdfuse.ts';
import type { VolumePlaces } from './places.ts';

export type Method = 'nbd-client' | 'nbdfuse';

interface Record extends Attached {
  readonly method: Method;
  /** Of the host. */
  readonly boot: string;
}

const bootFile = '/proc/sys/kernel/random/boot_id';

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
  writeRecord(places, { ...attached, method, boot: thisBoot() }); // T1
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

/** Nothing reaches the volume any more, whoever has it mounted still. T4: the record stays. */
export async function cutOff(places: VolumePlaces, limit: Limit): Promise<Did> {
  const record = readRecord(places);
  return record === null ? did : end(record, places, limit);
}

/** The device that was attached here and not given back; null: there is none. */
export const deviceOf = (places: VolumePlaces): string | null => readRecord(places)?.device ?? null;

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
      return isNbdAttached(record.device, places)
        ? detachFromNbd(record.device, places, limit)
        : Promise.resolve(did);
    case 'nbdfuse':
      return detachFromLoop(record, places, limit);
  }
}

function isAttached(record: Record, places: VolumePlaces): boolean {
  switch (record.method) {
    case 'nbd-client':
      return isNbdAttached(record.device, places);
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

/** Null: nothing was attached. One that makes no sense was torn by a power cut, and the boot undid the rest. */
function readRecord({ record }: VolumePlaces): Record | null {
  if (!existsSync(record)) return null;
  // Where it can't be read, nobody knows what is attached, and nothing may count as given back.
  const text = readFileSync(record, 'utf8');
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof raw !== 'object' || raw === null) return null;
  const { device, pid, method, boot = thisBoot() } = raw as { readonly [key: string]: unknown };
  if (typeof device !== 'string' || !device.startsWith('/dev/') || boot !== thisBoot()) return null;
  if (method !== 'nbd-client' && method !== 'nbdfuse') return null;
  return { device, pid: typeof pid === 'number' ? pid : null, method, boot: thisBoot() };
}

const thisBoot = (): string => readFileSync(bootFile, 'utf8').trim();

function writeRecord({ record }: VolumePlaces, value: Record): void {
  mkdirSync(dirname(record), { recursive: true, mode: 0o700 });
  writeFileSync(`${record}.new`, `${JSON.stringify(value)}\n`, { mode: 0o600 });
  renameSync(`${record}.new`, record);
}
