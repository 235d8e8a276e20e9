/**
 * What an entry is, from statx(2). One buffer for all calls of a thread: it is read before the next call is made.
 *
 * Sources: statx(2), struct statx in linux/stat.h (the same on all architectures), inode(7).
 */
import { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, checked, errorCode, libc, noName } from './libc.ts';
import { type EntryKind, OsError, type Stat } from './types.ts';

const STATX_BASIC_STATS = 0x7ff;
const AT_NO_AUTOMOUNT = 0x800;
const TWO_32 = 2 ** 32;
const secondsMax = 2 ** 52 - 1;
const buffer = new Uint8Array(256);
const words = new Uint32Array(buffer.buffer);
/** struct statfs of 64-bit systems: f_fsid comes after seven words. */
const statfsBuffer = Buffer.alloc(256);
const statfsIdAt = 56;
const roomBytes = 1 << 20;
const signed = new Int32Array(buffer.buffer);

const kinds: Readonly<Record<number, EntryKind>> = {
  1: 'fifo',
  2: 'char',
  4: 'folder',
  6: 'block',
  8: 'file',
  10: 'link',
  12: 'socket',
};

/** From the upper four bits of st_mode, which are also d_type of getdents64(2). Null: not told. */
export function kindOf(type: number): EntryKind | null {
  return kinds[type] ?? null;
}

/** Of an open file, also of one that was opened with O_PATH. */
export function statOpen(fd: number, path: Buffer | null): Stat {
  checked(libc.statx(fd, noName, AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, buffer), 'statx', path);
  return parsed(path);
}

/** Of a name (ends in NUL) in an open folder; null when it is not there (any more). Never follows a link. */
export function statIn(folder: number, name: Uint8Array, path: Buffer): Stat | null {
  const answer = libc.statx(folder, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, buffer);
  if (answer === 0) return parsed(path);
  const code = errorCode();
  if (code === 'ENOENT') return null;
  throw new OsError(code, 'statx', path);
}

/** Which file system an open file is on, as hexadecimal digits. Of most it is the same after a boot. Source: statfs(2). */
export function fileSystemOf(fd: number, path: Buffer | null): string {
  checked(libc.fstatfs(fd, statfsBuffer), 'fstatfs', path);
  return statfsBuffer.toString('hex', statfsIdAt, statfsIdAt + 8);
}

/** Whether there is room for more than attributes on the file system of an open file. Source: statfs(2). */
export function hasRoom(fd: number, path: Buffer | null): boolean {
  checked(libc.fstatfs(fd, statfsBuffer), 'fstatfs', path);
  const blockBytes = Number(statfsBuffer.readBigInt64LE(8));
  return Number(statfsBuffer.readBigUInt64LE(32)) * blockBytes >= roomBytes;
}

function parsed(path: Buffer | null): Stat {
  const mode = word(7) & 0xffff;
  const kind = kindOf(mode >>> 12);
  if (kind === null) throw new OsError('EINVAL', 'statx', path);
  return {
    kind,
    mode: mode & 0o7777,
    uid: word(5),
    gid: word(6),
    size: long(10, path),
    mtimeS: time(28),
    mtimeNs: word(30),
    ctimeS: time(24),
    ctimeNs: word(26),
    inode: long(8, path),
    nlink: word(4),
    deviceMajor: word(32),
    deviceMinor: word(33),
    blocks: long(12, path),
    dev: word(34) * 2 ** 20 + word(35),
  };
}

function word(index: number): number {
  return words[index] ?? 0;
}

function long(index: number, path: Buffer | null): number {
  const value = word(index + 1) * TWO_32 + word(index);
  if (value > Number.MAX_SAFE_INTEGER) throw new OsError('EOVERFLOW', 'statx', path);
  return value;
}

/** Some file systems take any number; none beyond this travels. */
function time(index: number): number {
  const seconds = (signed[index + 1] ?? 0) * TWO_32 + word(index);
  return Math.max(-secondsMax, Math.min(secondsMax, seconds));
}
