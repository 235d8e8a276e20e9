/**
 * A file system of its own for each lab, in memory: on the machine's disk a lab waits whenever anybody else's writes are
 * synced, for seconds, and a healthy owner with a short outage fences. Where that can't be (no loop devices, too little
 * memory, an ordinary user) a folder on the machine's disk has to do.
 */
import { mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { mountImage, unmount } from './mounted-image.ts';

const memory = '/dev/shm';
const sizeBytes = 12 * 1024 ** 3;
/** Of memory that nobody uses: a story writes far less than that. */
const roomBytes = 4 * 1024 ** 3;

/** A place for a lab, which the lab makes and removes; `removeDisk` takes away what is around it. */
export function quickDisk(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `holdfast-${name}-`));
  const place = join(folder, 'lab');
  if (process.getuid?.() !== 0 || !hasRoom()) return place;
  const path = join(memory, `${basename(folder)}.image`);
  try {
    const make = ['-E', 'root_owner=0:0'];
    mountImage(folder, { path, bytes: sizeBytes, isDisk: false, make, mount: '' });
    rmSync(join(folder, 'lost+found'), { recursive: true });
  } catch (error) {
    process.stderr.write(
      `${name}: no file system in memory: ${error instanceof Error ? error.message : ''}\n`,
    );
  }
  return place;
}

export function removeDisk(place: string): void {
  const folder = dirname(place);
  if (isMounted(folder)) unmount(folder);
  rmSync(folder, { recursive: true, force: true });
}

function hasRoom(): boolean {
  try {
    const { bavail, bsize } = statfsSync(memory);
    const available = Number(
      /^MemAvailable: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1] ?? 0,
    );
    return Math.min(bavail * bsize, available * 1024) > roomBytes;
  } catch {
    return false; // no such file system
  }
}

const isMounted = (folder: string): boolean =>
  readFileSync('/proc/self/mounts', 'utf8').includes(` ${folder} `);
