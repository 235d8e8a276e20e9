/**
 * Mounts the file system of an attached volume, and unmounts it.
 *
 *   U1  nothing is mounted over what somebody else mounted there
 *   U2  it is checked first, as the policy says; what fsck can't mend by itself is not mounted
 *   U3  a stop that fails names who holds it. A fence ends them, and cuts the device off before it waits for it
 *   U4  what somebody else mounted there stays, with whoever uses it, unless it covers ours: that is known by the device on
 *       record, which stays there until nothing is mounted on it (attaching.ts, T4)
 */

import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { cutOff, deviceOf } from './attaching.ts';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import { holdersOf, holdersText } from './holders.ts';
import { isOn, mountAt, mountsAt, mountTable, type Mount } from './mounts.ts';
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
  if (there !== null && isOn(there, device)) return did;
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

/** `table`: where the kernel tells of mounts. */
export async function unmount(
  places: VolumePlaces,
  { at }: MountOrder,
  limit: Limit,
  table = mountTable,
): Promise<Did> {
  let says = '';
  for (;;) {
    const ours = ourMount(places, at, table);
    if (ours === null) return did;
    if (limit.leftMs < lastMs && says !== '') {
      const holders = holdersOf(ours.at, ours.device);
      return failed(holders.length === 0 ? says : `${at} is held by ${holdersText(holders)}`); // U3
    }
    const ended = await run(['umount', at], limit);
    if (ended.status === 0) continue;
    says = ended.says;
    await pause(againMs);
  }
}

/** The time of whoever holds it is over: nothing that they write reaches the volume any more. */
export async function fenceMount(
  places: VolumePlaces,
  order: MountOrder,
  limit: Limit,
  table = mountTable,
): Promise<Did> {
  const { at } = order;
  const ours = ourMount(places, at, table);
  if (ours === null) return did; // U4
  killHolders(ours);
  const gently = await unmount(places, order, limit.within(limit.leftMs / 3), table);
  if (gently.kind === 'done') return did;
  await cutOff(places, limit.within(limit.leftMs / 2));
  killHolders(ours);
  for (;;) {
    const ended = await run(['umount', '--lazy', at], limit);
    if (ourMount(places, at, table) === null) return did;
    if (ended.status !== 0) return failed(ended.says);
    if (limit.isOver) return failed(`${at} is still mounted`);
  }
}

/** U4. Null: none is there. */
function ourMount(places: VolumePlaces, at: string, table: string): Mount | null {
  const there = mountsAt(at, table);
  const device = there.length === 0 ? null : deviceOf(places);
  return device === null ? null : (there.findLast((m) => isOn(m, device)) ?? null);
}

function killHolders({ at, device }: Mount): void {
  for (const { pid } of holdersOf(at, device)) kill(pid);
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
  return existsSync(places.link) && isOn(there, realpathSync(places.link));
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone by itself.
  }
}
