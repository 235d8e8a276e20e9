/**
 * A loop device on a file that nbdfuse(1) serves: for tests and labs, where the kernel has no nbd driver. It does not
 * connect again by itself: when the mirror process ends, the device gives errors, and the resource is restarted.
 */

import { spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { goAsUsual } from '@holdfast/wire/process';
import { did, failed, pause, type Did, type Limit } from './ended.ts';
import { mountAt } from './mounts.ts';
import type { Attached } from './nbd-client.ts';
import type { VolumePlaces } from './places.ts';
import { run } from './tools.ts';

const lookMs = 20;
const blockBytes = 4_096;

export async function attachByNbdfuse(places: VolumePlaces, limit: Limit): Promise<Attached | string> {
  const file = fileOf(places);
  const cleared = await unmount(places.folder, limit);
  if (cleared.kind === 'failed') return cleared.says;
  mkdirSync(places.folder, { recursive: true, mode: 0o700 });
  const uri = `nbd+unix:///${places.exportName}?socket=${places.socket}`;
  let ended = '';
  const said = openSync(`${places.folder}.log`, 'w', 0o600);
  const child = spawn('nbdfuse', [file, uri], { detached: true, stdio: ['ignore', said, said], cwd: '/' });
  goAsUsual(child.pid);
  closeSync(said);
  child.on('error', (error) => (ended = `nbdfuse could not be started: ${error.message}`));
  child.on('exit', (status) => (ended = `nbdfuse ended with ${String(status)}: ${lastWords(places)}`));
  child.unref();
  while (sizeOf(file) === 0) {
    if (ended !== '') return ended;
    if (limit.isOver) {
      child.kill('SIGKILL');
      return `nbdfuse shows no volume at ${places.socket}`;
    }
    await pause(lookMs);
  }
  const looped = await run(['losetup', '--find', '--show', file], limit);
  const device = looped.output.trim();
  if (looped.status === 0 && device.startsWith('/dev/')) return { device, pid: child.pid ?? null };
  child.kill('SIGKILL');
  await unmount(places.folder, limit);
  return looped.says === '' ? `losetup named no device: ${device}` : looped.says;
}

export async function detachFromLoop(
  { device, pid }: Attached,
  places: VolumePlaces,
  limit: Limit,
): Promise<Did> {
  if (isOurs(device, places)) {
    const detached = await run(['losetup', '--detach', device], limit);
    while (isOurs(device, places)) {
      if (limit.isOver) return failed(detached.says === '' ? `${device} is still in use` : detached.says);
      await pause(lookMs);
    }
  }
  const unmounted = await unmount(places.folder, limit);
  if (pid !== null && isNbdfuse(pid)) process.kill(pid, 'SIGTERM');
  return unmounted;
}

export function isLoopAttached({ device, pid }: Attached, places: VolumePlaces): boolean {
  return isOurs(device, places) && pid !== null && isNbdfuse(pid) && isReadable(fileOf(places));
}

const lastWords = ({ folder }: VolumePlaces): string =>
  readFileSync(`${folder}.log`, 'utf8').trim().slice(-400);

const fileOf = ({ folder }: VolumePlaces): string => join(folder, 'volume');

/** The loop device is shared by all name spaces of the host, so only its file says whose it is. */
function isOurs(device: string, places: VolumePlaces): boolean {
  const told = `/sys/block/${device.slice('/dev/'.length)}/loop/backing_file`;
  return existsSync(told) && readFileSync(told, 'utf8').trim().startsWith(fileOf(places));
}

/** Past the cache: nbdfuse goes on without the mirror process, and can serve nothing any more. */
function isReadable(file: string): boolean {
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_DIRECT);
    try {
      return readSync(fd, Buffer.alloc(blockBytes), 0, blockBytes, 0) === blockBytes;
    } finally {
      closeSync(fd);
    }
  } catch {
    return false;
  }
}

function isNbdfuse(pid: number): boolean {
  const comm = `/proc/${String(pid)}/comm`;
  return existsSync(comm) && readFileSync(comm, 'utf8').trim() === 'nbdfuse';
}

/** Even when nobody serves it any more. */
async function unmount(folder: string, limit: Limit): Promise<Did> {
  if (mountAt(folder) === null) return did;
  const ended = await run(['umount', '--lazy', folder], limit);
  return ended.status === 0 ? did : failed(ended.says);
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    // Not there yet, or served by nobody.
    return 0;
  }
}
