/**
 * A store in a file or on a block device, through the page cache.
 *
 *   F1  a device is opened exclusively: whoever has it mounted keeps it, and we keep it from being mounted
 *   F2  a short write is gone on with; one that writes nothing is an error
 *   F3  where the file system can't make a hole, zeros are written; what it refuses because of this one range says nothing of others
 *   F4  one call writes at most `pieceBytes`: the kernel caches what a call writes in pages as large as that, and on ext4 each
 *       later write of 4 KiB goes through all blocks of its page: 31 µs in one of 1 MiB, 9 in one of 128 KiB. Smaller pieces gain
 *       little there, and cost writes of 1 MiB half as much again
 *   F5  closed, it touches nothing: its descriptor may be another file's by then
 */

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '@holdfast/wire/directory';
import { checked, libc } from '../../os/libc.ts';
import { OsError } from '../../os/types.ts';
import { storeName } from './store-name.ts';
import type { Disk, Segment, Store } from './store.ts';

const keepSize = 0x01;
const punchHole = 0x02;
const zeroRange = 0x10;
const seekEnd = 2;
const seekData = 3;
const seekHole = 4;
const zerosBytes = 1_048_576;
const pieceBytes = 131_072;
const noZeros: ReadonlySet<string> = new Set(['EOPNOTSUPP', 'ENOSYS', 'EPERM', 'ENODEV']);

export type Access = 'write' | 'read';

export interface SharedFile {
  readonly fd: number;
  readonly device: boolean;
  readonly sizeBytes: number;
}

const closed = -1;

export class FileStore implements Store {
  #descriptor: number;
  readonly #device: boolean;
  #sizeBytes: number;
  #canZero = true;
  #canPunch = true;

  private constructor(fd: number, device: boolean, sizeBytes: number) {
    this.#descriptor = fd;
    this.#device = device;
    this.#sizeBytes = sizeBytes;
  }

  /** Throws what the system says. `make`: a file that is missing is made. */
  static open(path: string, make: boolean, access: Access = 'write'): FileStore {
    const flags = access === 'read' ? constants.O_RDONLY : constants.O_RDWR | (make ? constants.O_CREAT : 0);
    let fd = openSync(path, flags, 0o600);
    try {
      const stat = fstatSync(fd);
      const device = stat.isBlockDevice();
      if (!device && !stat.isFile()) throw new OsError('EINVAL', 'open', Buffer.from(path));
      if (device && access === 'write') {
        const exclusive = openSync(path, flags | constants.O_EXCL); // F1
        closeSync(fd);
        fd = exclusive;
      }
      const sizeBytes = device ? checked(libc.lseek(fd, 0, seekEnd), 'lseek', null) : stat.size;
      return new FileStore(fd, device, sizeBytes);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** The same open file, for another thread of this process. Closed once, and by whoever opened it. */
  static shared({ fd, device, sizeBytes }: SharedFile): FileStore {
    return new FileStore(fd, device, sizeBytes);
  }

  get shared(): SharedFile {
    return { fd: this.#fd, device: this.#device, sizeBytes: this.#sizeBytes };
  }

  /** By which the system knows it in every boot; empty where it has none. */
  get name(): string {
    return storeName(this.#fd);
  }

  /** Whether a path leads to it; true also where that can't be told. */
  isAt(path: string): boolean {
    try {
      const there = statSync(path, { throwIfNoEntry: false });
      const own = fstatSync(this.#fd);
      return this.#device ? there?.rdev === own.rdev : there?.ino === own.ino && there.dev === own.dev;
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return true;
    }
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Whether it is an image that somebody cut while it is open; false also where that can't be told. */
  get isCut(): boolean {
    try {
      return !this.#device && fstatSync(this.#fd).size < this.#sizeBytes;
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return false;
    }
  }

  /** Whether it has so many bytes by now: a device may have become larger while it is open. */
  has(sizeBytes: number): boolean {
    if (this.#device) this.#sizeBytes = checked(libc.lseek(this.#fd, 0, seekEnd), 'lseek', null);
    return this.#sizeBytes >= sizeBytes;
  }

  read(into: Uint8Array, offset: number): void {
    let done = 0;
    while (done < into.length) {
      const read = readSync(this.#fd, into, done, into.length - done, offset + done);
      if (read === 0) throw new OsError('EIO', 'read beyond the end', null);
      done += read;
    }
  }

  write(from: Uint8Array, offset: number): void {
    let done = 0;
    while (done < from.length) {
      const piece = Math.min(pieceBytes, from.length - done);
      const written = writeSync(this.#fd, from, done, piece, offset + done); // F4
      if (written === 0) throw new OsError('EIO', 'write', null); // F2
      done += written;
    }
    if (!this.#device) this.#sizeBytes = Math.max(this.#sizeBytes, offset + from.length);
  }

  zero(offset: number, length: number, hole: boolean): void {
    if (length === 0) return;
    if (hole && this.#canPunch) {
      const came = this.#allocate(punchHole | keepSize, offset, length);
      if (came === 'done') return;
      this.#canPunch = came !== 'never';
    }
    if (this.#canZero) {
      const came = this.#allocate(zeroRange | keepSize, offset, length);
      if (came === 'done') return;
      this.#canZero = came !== 'never';
    }
    const zeros = Buffer.alloc(Math.min(zerosBytes, length)); // F3
    for (let at = 0; at < length; at += zeros.length)
      this.write(zeros.subarray(0, Math.min(zeros.length, length - at)), offset + at);
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  segments(offset: number, length: number): readonly Segment[] {
    const end = offset + length;
    if (this.#device) return [{ offset, length }];
    const found: Segment[] = [];
    let at = offset;
    while (at < end) {
      const from = this.#seek(at, seekData);
      if (from === null || from >= end) break;
      const to = Math.min(end, this.#seek(from, seekHole) ?? end);
      found.push({ offset: from, length: to - from });
      at = to;
    }
    return found;
  }

  resize(sizeBytes: number): void {
    if (this.#device) {
      if (!this.has(sizeBytes)) throw new OsError('ENOSPC', 'a device of this size', null);
      return;
    }
    ftruncateSync(this.#fd, sizeBytes);
    this.#sizeBytes = sizeBytes;
  }

  close(): void {
    if (this.#descriptor === closed) return;
    closeSync(this.#descriptor);
    this.#descriptor = closed;
  }

  /** F5. */
  get #fd(): number {
    if (this.#descriptor === closed) throw new OsError('EBADF', 'use of a store', null);
    return this.#descriptor;
  }

  /** never: it can't do that at all. refused: not with this range, as a device with parts of its blocks. */
  #allocate(mode: number, offset: number, length: number): 'done' | 'refused' | 'never' {
    try {
      checked(libc.fallocate(this.#fd, mode, offset, length), 'fallocate', null);
      return 'done';
    } catch (error) {
      if (errorCode(error) === 'EINVAL') return 'refused';
      if (noZeros.has(errorCode(error))) return 'never';
      throw error;
    }
  }

  /** Null: there is none behind. */
  #seek(at: number, whence: number): number | null {
    try {
      return checked(libc.lseek(this.#fd, at, whence), 'lseek', null);
    } catch (error) {
      if (errorCode(error) === 'ENXIO') return null;
      throw error;
    }
  }
}

/** Stores as files of one folder. */
export class FolderDisk implements Disk {
  readonly #folder: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
  }

  open(name: string): Store {
    const made = !this.exists(name);
    const store = FileStore.open(join(this.#folder, name), true);
    if (made) syncFolder(this.#folder);
    return store;
  }

  exists(name: string): boolean {
    return existsSync(join(this.#folder, name));
  }

  remove(name: string): void {
    if (!this.exists(name)) return;
    unlinkSync(join(this.#folder, name));
    syncFolder(this.#folder);
  }
}

/** Makes the names in it durable, and those that are gone. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
