/**
 * Mounts the file system of an attached volume, and unmounts it.
 *
 *   U1  nothing is mounted over what somebody else mounted there
 *   U2  it is checked first, as the policy says; what fsck can't mend by itself is not mounted
 *   U3  a stop that fails names who holds it. A fence ends them, and cuts the device off before it waits for it
 */

import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { detach } from './attaching.ts';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import { holdersOf, holdersText } from './holders.ts';
import { deviceNumber, mountAt, type Mount } from './mounts.ts';
import type { VolumePlaces } from './places.ts';
import { run } from './tools.ts';

export interface MountOrder {
  readonly at: string;
  /** Empty: mount(8) finds out. */
  readonly type: string;
  readonly options: string;
  readonly fsck: 'preen' | 'none' | 'force';
}

const againMs = 100;
const lastMs = 500;
/** fsck(8): 1 is "errors corrected"; 2, "reboot", is for a root file system. */
const mendedMax = 2;

export async function mount(places: VolumePlaces, order: MountOrder, limit: Limit): Promise<Did> {
  const { at, type, options } = order;
  if (!existsSync(places.link)) return failed(`${places.mirror} is not attached: there is no ${places.link}`);
  const device = realpathSync(places.link);
  const there = mountAt(at);
  if (there !== null && there.device === deviceNumber(device)) return did;
  if (there !== null) return failed(`${there.source} is mounted at ${at} already`); // U1
  const checked = await check(device, order, limit);
  if (checked.kind === 'failed') return checked;
  mkdirSync(at, { recursive: true, mode: 0o755 });
  const argv = ['mount', ...(type === '' ? [] : ['-t', type]), ...(options === '' ? [] : ['-o', options])];
  const mounted = await run([...argv, device, at], limit);
  return mounted.status === 0 ? did : failed(mounted.says);
}

/** U2. */
async function check(device: string, { type, fsck }: MountOrder, limit: Limit): Promise<Did> {
  if (fsck === 'none') return did;
  const how = fsck === 'force' ? ['-f', '-p'] : ['-p'];
  const argv = ['fsck', '-T', ...(type === '' ? [] : ['-t', type]), device, '--', ...how];
  const checked = await run(argv, limit);
  if (checked.status !== null && checked.status <= mendedMax) return did;
  return failed(`${checked.says}; mend it by hand before it is started again`);
}

export async function unmount({ at }: MountOrder, limit: Limit): Promise<Did> {
  let says = '';
  while (mountAt(at) !== null) {
    if (limit.leftMs < lastMs && says !== '') {
      const holders = holdersOf(at);
      return failed(holders.length === 0 ? says : `${at} is held by ${holdersText(holders)}`); // U3
    }
    const ended = await run(['umount', at], limit);
    if (ended.status === 0) continue;
    says = ended.says;
    await pause(againMs);
  }
  return did;
}

/** The time of whoever holds it is over: nothing that they write reaches the volume any more. */
export async function fenceMount(places: VolumePlaces, order: MountOrder, limit: Limit): Promise<Did> {
  const { at } = order;
  if (mountAt(at) === null) return did;
  for (const { pid } of holdersOf(at)) kill(pid);
  const gently = await unmount(order, limit.within(limit.leftMs / 3));
  if (gently.kind === 'done') return did;
  await detach(places, limit.within(limit.leftMs / 2));
  for (const { pid } of holdersOf(at)) kill(pid);
  const ended = await run(['umount', '--lazy', at], limit);
  return mountAt(at) === null ? did : failed(ended.says);
}

export function mountState(places: VolumePlaces, { at, options }: MountOrder): Did {
  const there = mountAt(at);
  if (there === null) return failed(`nothing is mounted at ${at}`);
  if (!isOf(there, places)) return failed(`${there.source} at ${at} is not the volume ${places.mirror}`);
  const wanted = options.split(',').includes('ro');
  if (there.isReadOnly && !wanted) return failed(`${at} became read-only: its device gave errors`);
  return did;
}

function isOf(there: Mount, places: VolumePlaces): boolean {
  return existsSync(places.link) && there.device === deviceNumber(realpathSync(places.link));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone by itself.
  }
}
