/**
 * Setting owner, mode and times of an open file, also of one that was opened with O_PATH.
 *
 * Sources: chown(2), chmod(2), utimensat(2).
 */
import { AT_EMPTY_PATH, checked, descriptorPath, libc, noName } from './libc.ts';
import { statOpen } from './stat.ts';
import type { SettableAttributes } from './types.ts';

const NO_CHANGE = 0xffffffff;
const UTIME_OMIT = 0x3ffffffe;
const TWO_32 = 2 ** 32;
/** Two of struct timespec: the first, of the last reading, is left alone. */
const times = Buffer.alloc(32);
times.writeUInt32LE(UTIME_OMIT, 8);

/** `path` is null for a file that its owner opened, and not null for O_PATH. The owner first, because that clears set-uid; the times last. */
export function setOpen(fd: number, attributes: SettableAttributes, path: Buffer | null): void {
  const { uid, gid, mode, mtimeS, mtimeNs = 0 } = attributes;
  if (uid !== undefined || gid !== undefined) {
    const answer = libc.fchownat(fd, noName, uid ?? NO_CHANGE, gid ?? NO_CHANGE, AT_EMPTY_PATH);
    checked(answer, 'fchownat', path);
  }
  if (mode !== undefined) setMode(fd, mode, path);
  if (mtimeS !== undefined) {
    times.writeUInt32LE(((mtimeS % TWO_32) + TWO_32) % TWO_32, 16);
    times.writeInt32LE(Math.floor(mtimeS / TWO_32), 20);
    times.writeUInt32LE(mtimeNs, 24);
    checked(libc.utimensat(fd, noName, times, AT_EMPTY_PATH), 'utimensat', path);
  }
}

function setMode(fd: number, mode: number, path: Buffer | null): void {
  // With a path the file was opened with O_PATH, and fchmod takes none of those.
  if (path === null) checked(libc.fchmod(fd, mode), 'fchmod', path);
  // A link has no mode of its own; through its descriptor one would set it on some file systems.
  else if (statOpen(fd, path).kind !== 'link') checked(libc.chmod(descriptorPath(fd), mode), 'chmod', path);
}
