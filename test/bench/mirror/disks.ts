/**
 * A disk for each server: ext4 with a journal, as servers have it, on a file of the machine's disk. What is copied lies there,
 * and what the mirror remembers. On one file system each sync of the one server writes what the other one wrote; and where
 * there is no journal, ext4 looks past every inode that was freed within the last minute whenever a file is made (Linux,
 * fs/ext4/ialloc.c, recently_deleted), 20 times as long as the rest takes.
 *
 * Where that can't be (no loop devices, too little room, an ordinary user) both have folders on the machine's disk.
 */
import { mkdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { mountImage, unmount } from '../../lab/mounted-image.ts';
import type { Say } from '../series.ts';

export const gibibyte = 1024 ** 3;
const bytesMin = 4 * gibibyte;
/** Of what is free. */
const shareEach = 0.45;

export class Disks {
  readonly #dir: string;
  readonly #mounted: string[] = [];

  /**
   * In an empty folder, before the hosts of the lab are made: they see what was mounted before. `bytesMax` of each; 0: folders
   * on the machine's disk.
   */
  constructor(dir: string, names: readonly string[], bytesMax: number, say: Say) {
    this.#dir = dir;
    const bytes = Math.min(bytesMax, shareOf(dir));
    try {
      if (bytesMax === 0) return;
      if (process.getuid?.() !== 0 || bytes < bytesMin) throw new Error('too little room, or no rights');
      for (const name of names) this.#make(name, bytes);
    } catch (error) {
      say(`no disk for each server: ${error instanceof Error ? error.message : String(error)}`);
      this.#unmount();
    } finally {
      for (const name of names)
        for (const what of ['data', 'records']) mkdirSync(join(dir, name, what), { recursive: true });
    }
  }

  /** For what is copied. */
  data(name: string): string {
    return join(this.#dir, name, 'data');
  }

  /** What this host's mirrors remember. */
  records(name: string): string {
    return join(this.#dir, name, 'records');
  }

  /** Before there is any mirror. */
  async give(host: Host): Promise<void> {
    const folder = join(host.dir, 'mirror');
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const { status, stderr } = await host.exec(['mount', '--bind', this.records(host.name), folder]);
    if (status !== 0) throw new Error(`${host.name} did not get its disk: ${stderr.trim()}`);
  }

  /** After the lab is gone. */
  remove(): void {
    this.#unmount();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #make(name: string, bytes: number): void {
    const place = join(this.#dir, name);
    mkdirSync(place);
    mountImage(place, {
      ...{ path: `${place}.image`, bytes, isDisk: true },
      ...{ make: ['-E', 'nodiscard', '-i', '8192'], mount: 'noinit_itable' },
    });
    this.#mounted.push(place);
  }

  #unmount(): void {
    for (const place of this.#mounted.splice(0)) unmount(place);
  }
}

function shareOf(dir: string): number {
  const { bavail, bsize } = statfsSync(dir);
  return Math.floor(bavail * bsize * shareEach);
}
