/**
 * Extended attributes, and with them POSIX access lists and file capabilities. Reached by /proc/self/fd, because the kernel
 * has no calls for files that were opened with O_PATH; that leads to the very file, also where it is a symbolic link.
 *
 * E1. Mirrored are user.*, system.posix_acl_access, system.posix_acl_default and security.capability. Others (labels of a
 *     security policy, trusted.* of overlays) belong to the host, and are neither read nor removed.
 * E2. What this host does not permit, or its file system has no place for, is left out, and named to the caller. Of a disk
 *     that has room, ENOSPC says that it has none for attributes of this size (ext4: one block for all of a file).
 *
 * Source: xattr(7), acl(5), capabilities(7).
 */
import { cText, descriptorPath, errorCode, libc } from './libc.ts';
import { hasRoom } from './stat.ts';
import { type Extended, OsError, type SkippedExtended } from './types.ts';

/** Of all names together, and of one value: limits of the kernel. */
const LIST_MAX = 65_536;
const VALUE_MAX = 65_536;
const exact = ['system.posix_acl_access', 'system.posix_acl_default', 'security.capability'];
const USER = 'user.';
const buffer = Buffer.alloc(VALUE_MAX);
/** Not permitted, or the file system or the kind of the entry has no such attribute. */
const tolerated = new Set(['EPERM', 'EACCES', 'EOPNOTSUPP', 'EINVAL']);
/** For this file system. */
const tooLarge = new Set(['E2BIG', 'ERANGE']);

/** Sorted by name. */
export function readExtended(fd: number, path: Buffer | null): Extended[] {
  const found: Extended[] = [];
  const list = names(fd, path);
  if (list.length === 0) return found;
  const file = descriptorPath(fd);
  for (const name of list) {
    const bytes = libc.getxattr(file, cText(name), buffer, VALUE_MAX);
    if (bytes >= 0) {
      found.push([name, Buffer.from(buffer.subarray(0, bytes))]);
      continue;
    }
    const code = errorCode();
    // ENODATA: removed meanwhile.
    if (code !== 'ENODATA' && !tolerated.has(code)) throw new OsError(code, 'getxattr', path);
  }
  return found.sort(([one], [other]) => Buffer.compare(one, other));
}

/** Makes the attributes those of the list: sets what differs and removes what is not in it (E1). */
export function writeExtended(
  fd: number,
  wanted: readonly Extended[],
  path: Buffer | null,
): SkippedExtended[] {
  const file = descriptorPath(fd);
  const skipped: SkippedExtended[] = []; // E2
  const note = (answer: number, call: string, name: Buffer): void => {
    if (answer === 0) return;
    const code = errorCode();
    if (code === 'ENODATA') return;
    const isTooLarge = tooLarge.has(code) || (code === 'ENOSPC' && hasRoom(fd, path));
    if (!tolerated.has(code) && !isTooLarge) throw new OsError(code, call, path);
    skipped.push({ name, code });
  };
  const present = readExtended(fd, path);
  for (const [name] of present) {
    const stays = wanted.some(([other]) => other.equals(name));
    if (!stays) note(libc.removexattr(file, cText(name)), 'removexattr', name);
  }
  for (const [name, value] of wanted) {
    if (!mirrored(name)) {
      skipped.push({ name, code: 'EINVAL' });
      continue;
    }
    const same = present.some(([other, now]) => other.equals(name) && now.equals(value));
    if (!same) note(libc.setxattr(file, cText(name), value, value.length, 0), 'setxattr', name);
  }
  return skipped;
}

/** `path` is null for a file that its owner opened; of those, and only of those, the kernel lists by descriptor. */
function names(fd: number, path: Buffer | null): Buffer[] {
  const bytes =
    path === null
      ? libc.flistxattr(fd, buffer, LIST_MAX)
      : libc.listxattr(descriptorPath(fd), buffer, LIST_MAX);
  if (bytes < 0) {
    const code = errorCode();
    if (tolerated.has(code)) return [];
    throw new OsError(code, 'listxattr', path);
  }
  const list: Buffer[] = [];
  for (let at = 0; at < bytes;) {
    const end = buffer.indexOf(0, at);
    const name = Buffer.from(buffer.subarray(at, end));
    if (mirrored(name)) list.push(name);
    at = end + 1;
  }
  return list;
}

/** E1. */
function mirrored(name: Buffer): boolean {
  const text = name.toString('latin1');
  return exact.includes(text) || (text.startsWith(USER) && text.length > USER.length);
}
