/**
 * A device by the kernel's nbd driver, through nbd-client(8). It connects anew by itself when the mirror process was
 * restarted (-persist), which the netlink interface of nbd-client does not do.
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import type { VolumePlaces } from './places.ts';
import { run } from './tools.ts';

const sysBlock = '/sys/block';
/** A request that is answered by nobody for so long is an error to whoever wrote. */
const requestSeconds = 30;
const lookMs = 50;

export interface Attached {
  readonly device: string;
  /** Of a program that has to live for it; null: there is none. */
  readonly pid: number | null;
}

/** `sys`: where the kernel tells of its devices. */
export async function attachByNbdClient(
  places: VolumePlaces,
  limit: Limit,
  sys = sysBlock,
): Promise<Attached | string> {
  if (nbdDevices(sys).length === 0) await run(['modprobe', 'nbd'], limit.within(5_000));
  const device = freeDevice(sys);
  if (device === null)
    return nbdDevices(sys).length === 0
      ? 'the kernel has no nbd driver (modprobe nbd)'
      : 'every nbd device is in use; load the driver with more (nbds_max)';
  const argv = ['nbd-client', '-unix', places.socket, `/dev/${device}`, '-name', places.exportName];
  const began = await run([...argv, '-persist', '-nonetlink', '-timeout', String(requestSeconds)], limit);
  if (began.status !== 0) return began.says;
  while (!isAttached(device, sys)) {
    if (limit.isOver) return `nbd-client ended, and /dev/${device} has no size`;
    await pause(lookMs);
  }
  return { device: `/dev/${device}`, pid: null };
}

export async function detachFromNbd(device: string, limit: Limit, sys = sysBlock): Promise<Did> {
  const name = device.slice('/dev/'.length);
  const ended = await run(['nbd-client', '-d', device], limit);
  while (isAttached(name, sys)) {
    if (limit.isOver) return failed(ended.status === 0 ? `${device} is still in use` : ended.says);
    await pause(lookMs);
  }
  return did;
}

export function isNbdAttached(device: string, sys = sysBlock): boolean {
  return isAttached(device.slice('/dev/'.length), sys);
}

/** The driver shows the process that connected a device for as long as it is connected. */
function isAttached(name: string, sys: string): boolean {
  return existsSync(`${sys}/${name}/pid`) && sizeOf(name, sys) > 0;
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
