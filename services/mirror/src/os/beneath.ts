/**
 * Opening names beneath a folder, and never anything outside of it.
 *
 * B1. A path is names separated by single slashes: no empty name, no `.`, no `..`, no NUL, no slash at either end. Others are
 *     refused with EINVAL before the kernel sees them.
 * B2. The kernel resolves each path with RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS: a symbolic link in any
 *     folder of the path is refused with ELOOP, also one that was swapped in a moment ago.
 * B3. Nothing is remembered between calls: every operation resolves its path anew. What remains is a folder that somebody
 *     moves out of the root in the microseconds between its being opened and its being used: it was beneath the root when
 *     it was opened, and nobody can put another folder into its place.
 *
 * Needs Linux 5.8. Source: openat2(2).
 */
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_PATH, errorCode, libc, openat2 } from './libc.ts';
import { OsError } from './types.ts';

const RESOLVE_NO_MAGICLINKS = 2;
const RESOLVE_NO_SYMLINKS = 4;
const RESOLVE_BENEATH = 8;
const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS; // B2
/** PATH_MAX with its NUL; a longer path is resolved in pieces. */
const PATH_MAX = 4096;
const NAME_MAX = 255;
const TRIES = 16;
const SLASH = 0x2f;
const DOT = 0x2e;

const dot = Buffer.from('.');
const scratch = Buffer.alloc(PATH_MAX);
/** Not `scratch`: the second path is opened while the first name waits in here. */
const firstName = Buffer.alloc(NAME_MAX + 1);
const secondName = Buffer.alloc(NAME_MAX + 1);

/** B1. */
function checkPath(path: Uint8Array, call: string): void {
  let start = 0;
  for (let at = 0; at <= path.length; at += 1) {
    const byte = at === path.length ? SLASH : path[at];
    if (byte === 0) throw refused(path, call);
    if (byte !== SLASH) continue;
    const length = at - start;
    const empty = length === 0 && path.length > 0;
    const dots = length > 0 && length <= 2 && path[start] === DOT && path[at - 1] === DOT;
    if (empty || dots) throw refused(path, call);
    start = at + 1;
  }
}

/** Opens with openat2 beneath `root`; throws OsError. Flags get O_CLOEXEC and, but for folders, O_NOFOLLOW. */
export function openBeneath(root: number, path: Buffer, flags: number, mode: number, call: string): number {
  checkPath(path, call);
  return openChecked(root, path, flags, mode, call);
}

function openChecked(root: number, path: Buffer, flags: number, mode: number, call: string): number {
  if (path.length >= PATH_MAX) {
    // The kernel takes no longer path at once: the first part, and then the rest of it beneath that.
    const cut = path.lastIndexOf(SLASH, PATH_MAX - 2);
    if (cut < 0) throw new OsError('ENAMETOOLONG', call, path);
    const folder = openChecked(root, path.subarray(0, cut), O_PATH | O_DIRECTORY, 0, call);
    try {
      return openChecked(folder, path.subarray(cut + 1), flags, mode, call);
    } finally {
      libc.close(folder);
    }
  }
  const name = path.length === 0 ? ended(scratch, dot) : ended(scratch, path);
  // Without O_NOFOLLOW a link at the end is ELOOP (B2); with it and O_PATH it is the link that is opened.
  const last = (flags & O_DIRECTORY) === 0 ? O_NOFOLLOW : 0;
  for (let tries = 1; ; tries += 1) {
    const fd = openat2(root, name, flags | last | O_CLOEXEC, mode, RESOLVE);
    if (fd >= 0) return fd;
    const code = errorCode();
    // EAGAIN: something was renamed meanwhile, and the kernel is not sure. EINTR: a signal.
    if ((code !== 'EAGAIN' && code !== 'EINTR') || tries === TRIES) throw new OsError(code, call, path);
  }
}

/** Where the second of two names comes from: its folder may be open already. */
interface SecondName {
  readonly folder: number | null;
}

/**
 * Calls `use` with the folder that holds `path`, open, and with its last name, that ends in NUL. Both are valid only during
 * the call. One such call may be inside another, with `second`.
 */
export function inParent<T>(
  root: number,
  path: Buffer,
  call: string,
  use: (folder: number, name: Buffer) => T,
  second: SecondName | null = null,
): T {
  checkPath(path, call);
  if (path.length === 0) throw new OsError('EBUSY', call, path);
  const cut = path.lastIndexOf(SLASH);
  if (path.length - cut - 1 > NAME_MAX) throw new OsError('ENAMETOOLONG', call, path);
  const name = ended(second === null ? firstName : secondName, path.subarray(cut + 1));
  const known = cut < 0 ? root : (second?.folder ?? null);
  if (known !== null) return use(known, name);
  const folder = openChecked(root, path.subarray(0, cut), O_PATH | O_DIRECTORY, 0, call);
  try {
    return use(folder, name);
  } finally {
    libc.close(folder);
  }
}

/** Whether both are in the same folder, by their bytes. */
export function sameParent(one: Buffer, other: Buffer): boolean {
  const cut = one.lastIndexOf(SLASH);
  return cut === other.lastIndexOf(SLASH) && one.subarray(0, cut + 1).equals(other.subarray(0, cut + 1));
}

function ended(into: Buffer, bytes: Uint8Array): Buffer {
  into.set(bytes);
  into[bytes.length] = 0;
  return into;
}

function refused(path: Uint8Array, call: string): OsError {
  return new OsError('EINVAL', call, Buffer.from(path));
}
