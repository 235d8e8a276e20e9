/**
 * What file operations need of open files beyond reading and writing: where the holes are, making holes, sharing blocks
 * between two files, and making a whole file system durable. All work at offsets of their own, but dataSegments, which
 * moves the file's offset: read and write with positions.
 *
 * Sources: lseek(2), fallocate(2), ioctl_ficlone(2), copy_file_range(2), syncfs(2).
 */
import { closeSync, fstatSync, fsync, ftruncateSync, openSync, read, readSync, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { errorCode, libc } from './libc.ts';
import { OsError, type Segment } from './types.ts';
import { writtenWhole } from './whole-write.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const FICLONE = 0x40049409;
const PIECE = 1024 * 1024;
const SLICE = 8 * PIECE;

const readElsewhere = promisify(read);

/**
 * The ranges that may hold something else than zeros, from `from` on, at most `most` of them; go on at the end of the last
 * one. Sizes may change meanwhile: the answer is of some moment during the call.
 */
export function dataSegments(fd: number, from = 0, most = 65_536): Segment[] {
  const segments: Segment[] = [];
  let at = from;
  while (segments.length < most) {
    const data = libc.lseek(fd, at, SEEK_DATA);
    if (data < 0) {
      const code = errorCode();
      if (code === 'ENXIO') return segments;
      if (code !== 'EINVAL') throw new OsError(code, 'lseek', null);
      // A file system without holes.
      const { size } = fstatSync(fd);
      return size > at ? [...segments, { offset: at, length: size - at }] : segments;
    }
    at = libc.lseek(fd, data, SEEK_HOLE);
    if (at < 0) {
      if (errorCode() === 'ENXIO') return segments;
      throw new OsError(errorCode(), 'lseek', null);
    }
    segments.push({ offset: data, length: at - data });
  }
  return segments;
}

/** Makes a range read as zeros, without a change of size. Where there are no holes, zeros are written. */
export function punch(fd: number, offset: number, length: number): void {
  if (length <= 0) return;
  if (libc.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, offset, length) === 0) return;
  const code = errorCode();
  if (code !== 'EOPNOTSUPP' && code !== 'ENOSYS') throw new OsError(code, 'fallocate', null);
  writeZeros(fd, offset, Math.min(length, fstatSync(fd).size - offset));
}

/** Shares all blocks of a file with another, that becomes its equal. False: this file system can't. */
function clone(fromFd: number, toFd: number): boolean {
  return libc.ioctl(toFd, FICLONE, fromFd) === 0;
}

/** Copies a range within the kernel where it can, or shares its blocks; answers how many bytes (0 at the end of the file). */
export function copyRange(fromFd: number, toFd: number, offset: number, length: number): number {
  const from = position(offset);
  const to = position(offset);
  const copied = libc.copyFileRange(fromFd, from, toFd, to, length, 0);
  if (copied >= 0) return copied;
  const code = errorCode();
  if (!['EXDEV', 'EINVAL', 'EOPNOTSUPP', 'ENOSYS', 'EPERM'].includes(code)) {
    throw new OsError(code, 'copy_file_range', null);
  }
  const piece = Buffer.allocUnsafe(Math.min(length, PIECE));
  const read = readSync(fromFd, piece, 0, piece.length, offset);
  return read === 0 ? 0 : writeSync(toFd, piece, 0, read, offset);
}

/** Makes an empty file the equal of another: shared blocks, or a copy with the same holes. */
export function cloneOrCopy(fromFd: number, toFd: number): 'cloned' | 'copied' {
  const slices = copySlices(fromFd, toFd);
  for (;;) {
    const { done, value } = slices.next();
    if (done === true) return value;
  }
}

/** cloneOrCopy that stops after every slice of at most 8 MiB, with the bytes of it, so that other work has its turn. */
export function* copySlices(fromFd: number, toFd: number): Generator<number, 'cloned' | 'copied', void> {
  if (clone(fromFd, toFd)) return 'cloned';
  const { size } = fstatSync(fromFd);
  for (let from = 0; ;) {
    const segments = dataSegments(fromFd, from);
    for (const { offset, length } of segments) {
      for (let done = 0; done < length;) {
        const copied = copyRange(fromFd, toFd, offset + done, Math.min(length - done, SLICE));
        if (copied === 0) break; // The file became shorter.
        yield copied;
        done += copied;
      }
    }
    const last = segments.at(-1);
    if (last === undefined) break;
    from = last.offset + last.length;
  }
  if (fstatSync(toFd).size < size) ftruncateSync(toFd, size);
  return 'copied';
}

/**
 * cloneOrCopy that reads and writes in other threads, for a disk that may be slow. `copied` is told the bytes of each piece, and
 * says whether to go on; false: it did not. Both files are left alone until it resolves.
 */
export async function copyAside(
  fromFd: number,
  toFd: number,
  copied: (bytes: number) => boolean,
): Promise<boolean> {
  if (clone(fromFd, toFd)) return true;
  const { size } = fstatSync(fromFd);
  const piece = Buffer.allocUnsafe(PIECE);
  for (let from = 0; ;) {
    const segments = dataSegments(fromFd, from);
    for (const { offset, length } of segments) {
      for (let done = 0; done < length;) {
        const { bytesRead } = await readElsewhere(
          fromFd,
          piece,
          0,
          Math.min(PIECE, length - done),
          offset + done,
        );
        if (bytesRead === 0) break; // The file became shorter.
        await writtenWhole(toFd, piece.subarray(0, bytesRead), offset + done);
        done += bytesRead;
        if (!copied(bytesRead)) return false;
      }
    }
    const last = segments.at(-1);
    if (last === undefined) break;
    from = last.offset + last.length;
  }
  if (fstatSync(toFd).size < size) ftruncateSync(toFd, size);
  return true;
}

/** Makes an open file or folder durable, in a thread of its own. */
export const syncOpen: (fd: number) => Promise<void> = promisify(fsync);

/** Makes a file or the names in a folder durable; with syncFileSystem everything on its file system. */
export async function syncPath(path: string | Buffer, sync = syncOpen): Promise<void> {
  const fd = openSync(path, 'r');
  try {
    await sync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeZeros(fd: number, offset: number, length: number): void {
  const zeros = Buffer.alloc(Math.max(0, Math.min(length, PIECE)));
  for (let done = 0; done < length;) {
    done += writeSync(fd, zeros, 0, Math.min(zeros.length, length - done), offset + done);
  }
}

function position(offset: number): Buffer {
  const number = Buffer.alloc(8);
  number.writeBigInt64LE(BigInt(offset));
  return number;
}

/** Makes everything durable that was written to the file system of an open file. In a thread of its own. */
export function syncFileSystem(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    libc.syncfs.async(fd, (error: unknown, answer) => {
      if (answer === 0) resolve();
      // errno stays in the thread that made the call: what it can be here is a failed write, or a closed file.
      else reject(error instanceof Error ? error : new OsError('EIO', 'syncfs', null));
    });
  });
}
