/**
 * A snapshot of an image file: a file beside it that shares its blocks by reflink until they are written to (ioctl_ficlone(2); xfs
 * and btrfs have it). It lies beside the image because nothing else is on the same file system for certain.
 *
 *   G1  what is cloned is the file that is open, whatever its path leads to by now
 *   G2  it has its whole contents, durably, and then its folder is synced. One that was not finished has a name that nobody knows
 *   G3  it goes back by sharing blocks again, which takes no room and no time. The image stays the same file, open by others
 */

import { closeSync, constants, openSync, realpathSync, statfsSync, statSync, unlinkSync } from 'node:fs';
import { copyFile, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { copyRange } from '../../os/contents.ts';
import { type FileStore, syncFolder } from './file-store.ts';
import type { Snapshots } from './store.ts';

export class ImageSnapshot implements Snapshots {
  readonly #image: number;
  readonly #path: string;

  private constructor(image: number, path: string) {
    this.#image = image;
    this.#path = path;
  }

  /** Of an open image; null: it is a device. Whether its file system has any, make() tells. */
  static of(store: FileStore, path: string): ImageSnapshot | null {
    const { fd, device } = store.shared;
    if (device) return null;
    const image = realpathSync(path);
    return new ImageSnapshot(fd, join(dirname(image), `.${basename(image)}.before-resync`));
  }

  get name(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return stat?.isFile() === true ? `${stat.ino} made at ${stat.birthtimeNs}` : '';
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    return bavail * bsize;
  }

  async make(): Promise<string> {
    this.remove();
    const cloning = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE;
    await copyFile(`/proc/self/fd/${this.#image}`, this.#path, cloning); // G1
    const clone = await open(this.#path, 'r');
    try {
      await clone.sync();
    } finally {
      await clone.close();
    }
    syncFolder(dirname(this.#path)); // G2
    return this.name;
  }

  putBack(offset: number, length: number): void {
    const clone = openSync(this.#path, 'r');
    try {
      for (let done = 0; done < length;) {
        const copied = copyRange(clone, this.#image, offset + done, length - done); // G3
        if (copied === 0) break;
        done += copied;
      }
    } finally {
      closeSync(clone);
    }
  }

  remove(): void {
    if (this.name === '') return;
    unlinkSync(this.#path);
    syncFolder(dirname(this.#path));
  }
}
