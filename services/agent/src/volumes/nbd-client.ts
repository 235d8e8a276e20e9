/**
 * A device by the kernel's nbd driver, through nbd-client(8). It connects anew by itself when the mirror process was
 * restarted (-persist), which the netlink interface of nbd-client does not do.
 *
 *   N1  a device is not ours when whoever connected it was told of another export: it may have been given away since
 *   N2  two that attach at once may choose the same device: who finds it taken takes another
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import type { VolumePlaces } from './places.ts';
import { run } from './tools.ts';

/** Where it tells of its devices, and of processes. */
const kernel = { sys: '/sys/block', proc: '/proc' };
/** A request that is answered by nobody for so long is an error to whoever wrote. */
const requestSeconds = 30;
const lookMs = 50;

type Kernel = typeof kernel;

export interface Attached {
  readonly device: string;
  /** Of a program that has to live for it; null: there is none. */
  readonly pid: number | null;
}

export async function attachByNbdClient(
  places: VolumePlaces,
  limit: Limit,
  by = kernel,
): Promise<Attached | string> {
  const { sys } = by;
  if (nbdDevices(sys).length === 0) await run(['modprobe', 'nbd'], limit.within(5_000));
  for (;;) {
    const device = freeDevice(sys);
    if (device === null)
      return nbdDevices(sys).length === 0
        ? 'the kernel has no nbd driver (modprobe nbd)'
        : 'every nbd device is in use; load the driver with more (nbds_max)';
    const says = await connect(device, places, limit, by);
    if (says === '') return { device: `/dev/${device}`, pid: null };
    if (limit.isOver || !isAttached(device, sys)) return says;
    await pause(lookMs); // N2
  }
}

/** Empty when it is ours. */
async function connect(device: string, places: VolumePlaces, limit: Limit, by: Kernel): Promise<string> {
  const argv = ['nbd-client', '-unix', places.socket, `/dev/${device}`, '-name', places.exportName];
  const began = await run([...argv, '-persist', '-nonetlink', '-timeout', String(requestSeconds)], limit);
  if (began.status !== 0) return began.says;
  while (!isAttached(device, by.sys)) {
    if (limit.isOver) return `nbd-client ended, and /dev/${device} has no size`;
    await pause(lookMs);
  }
  return isOurs(device, places, by) ? '' : `/dev/${device} is the device of another volume`; // N2
}

export async function detachFromNbd(
  device: string,
  places: VolumePlaces,
  limit: Limit,
  by = kernel,
): Promise<Did> {
  const name = device.slice('/dev/'.length);
  const ended = await run(['nbd-client', '-d', device], limit);
  while (isOurs(name, places, by)) {
    if (limit.isOver) return failed(ended.status === 0 ? `${device} is still in use` : ended.says);
    await pause(lookMs);
  }
  return did;
}

export function isNbdAttached(device: string, places: VolumePlaces, by = kernel): boolean {
  return isOurs(device.slice('/dev/'.length), places, by);
}

/** The driver shows the process that connected a device for as long as it is connected. */
function isAttached(name: string, sys: string): boolean {
  return existsSync(`${sys}/${name}/pid`) && sizeOf(name, sys) > 0;
}

/** N1. Of whom it can't be told, it is ours: by our record. */
function isOurs(name: string, { socket }: VolumePlaces, { sys, proc }: Kernel): boolean {
  if (!isAttached(name, sys)) return false;
  const [program = '', ...args] = argvOf(`${sys}/${name}/pid`, proc);
  return basename(program) !== 'nbd-client' || args.some((arg) => basename(arg) === basename(socket));
}

/** Empty: it can't be told. */
function argvOf(pidFile: string, proc: string): readonly string[] {
  try {
    const pid = readFileSync(pidFile, 'utf8').trim();
    return readFileSync(`${proc}/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // It ended meanwhile, or lives in another name space.
    return [];
  }
}

function freeDevice(sys: string): string | null {
  return nbdDevices(sys).find((name) => !existsSync(`${sys}/${name}/pid`) && sizeOf(name, sys) === 0) ?? null;
}

function nbdDevices(sys: string): readonly string[] {
  const numbers = readdirSync(sys).flatMap((name) => /^nbd(\d+)$/.exec(name)?.[1] ?? []);
  return numbers
    .map(Number)
    .sort((a, b) => a - b)
    .map((number) => `nbd${String(number)}`);
}

function sizeOf(name: string, sys: string): number {
  const file = `${sys}/${name}/size`;
  return existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0;
}
