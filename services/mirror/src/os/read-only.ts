/**
 * Keeps everybody but the mirror from writing to the root of a target: a read-only mount covers it, and the mirror writes
 * through a private mount of the same folder elsewhere, or of the folder that holds it: rename(2) from one mount to
 * another is refused with EXDEV, so what is beside the root and has to get into it is reached by the mount of the root.
 *
 * O1. Whatever state an earlier process left behind, protect and unprotect lead to theirs; both may be repeated.
 * O2. The private mount is cut off from its origin before the root is covered, or the cover would come over it as well.
 * O3. It is said to be protected only when the kernel then refuses to write there with EROFS.
 * O4. It keeps out writers, not an administrator, who may mount as we do. The scan for foreign changes stays the truth.
 * O5. The folder above the private mount is open to nobody but its owner (0700): whoever passes it may write to the root,
 *     and, when the mount shows the parent, to what lies beside it, as far as the modes there allow; read-only mounts of
 *     the places themselves don't count. Other file systems beneath the parent are not shown. Nothing that removes
 *     folders may go into it.
 *
 * Sources: mount(2), umount2(2), rename(2), mount_namespaces(7).
 */
import { accessSync, constants, existsSync, mkdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { cText, checked, libc } from './libc.ts';
import { type Mount, mountedBeneath, mounts } from './mounts.ts';
import { OsError } from './types.ts';

const MS_RDONLY = 1;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MS_PRIVATE = 0x40000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** Covers that an earlier process may have left, one over the other. */
const COVERS_MAX = 8;

/** `writable` is where the mirror opens its tree. */
export interface Protection {
  readonly kind: 'read-only' | 'unprotected';
  /** Why it is unprotected, one sentence; empty otherwise. */
  readonly says: string;
  readonly writable: string;
  /** The folder that holds the root, by the same mount as `writable`; null where that does not reach it. */
  readonly holder: string | null;
}

/**
 * Covers `root`. `privateMount` is a folder that is used for nothing else, outside the root, and made when missing; both
 * absolute. It shows the root, or what holds it (`parent`) unless the root is a mount of its own. Close every tree on the private mount before this is repeated after the root was mounted anew.
 */
export function protect(root: string, privateMount: string, shows: 'root' | 'parent'): Protection {
  const plain = realpathSync(root);
  const parent = holderOf(plain);
  const origin = shows === 'parent' && parent !== null ? parent : plain;
  const [inside] = mountedBeneath(plain);
  if (inside !== undefined) {
    return {
      kind: 'unprotected',
      says: `another file system is mounted beneath it, at ${inside}`,
      writable: root,
      holder: parent,
    };
  }
  try {
    mkdirSync(privateMount, { recursive: true, mode: 0o700 });
    const elsewhere = realpathSync(privateMount);
    if (!inPlace(origin, elsewhere)) {
      uncover(plain, elsewhere); // O1
      bind(origin, elsewhere);
      setFlags(elsewhere, MS_PRIVATE); // O2
    }
    if (cover(plain) === null) {
      bind(plain, plain);
      setFlags(plain, MS_BIND | MS_REMOUNT | MS_RDONLY | flagsOf(topOf(plain)));
    }
    if (refusesWrites(plain)) {
      const [writable, holder] =
        origin === plain ? [elsewhere, null] : [join(elsewhere, basename(plain)), elsewhere];
      return { kind: 'read-only', says: '', writable, holder }; // O3
    }
    uncover(plain, elsewhere);
    return {
      kind: 'unprotected',
      says: 'a read-only mount over it had no effect',
      writable: root,
      holder: parent,
    };
  } catch (error) {
    const says = failed(plain, privateMount, error);
    return { kind: 'unprotected', says, writable: root, holder: parent };
  }
}

/** The folder that holds a root (absolute, without links), when one mount has both; a cover of ours does not count. */
export function holderOf(root: string): string | null {
  const parent = dirname(root);
  const own = holding(root).filter(({ at }) => at === root).length;
  return parent === root || own > (cover(root) === null ? 0 : 1) ? null : parent;
}

/** Takes the cover off, also while others have files open beneath it, and the private mount away. Throws OsError. */
export function unprotect(root: string, privateMount: string): void {
  mkdirSync(privateMount, { recursive: true, mode: 0o700 });
  uncover(realpathSync(root), realpathSync(privateMount));
}

/**
 * Takes the private mount away and leaves the cover: who removes the state directory of a mirror that does not run must not
 * come through it to the data. Throws OsError.
 */
export function leave(privateMount: string): void {
  if (!existsSync(privateMount)) return;
  unmountAll(realpathSync(privateMount));
}

function failed(plain: string, privateMount: string, error: unknown): string {
  if (!(error instanceof OsError)) throw error;
  const why = error.code === 'EPERM' ? 'mounting needs CAP_SYS_ADMIN' : error.message;
  if (error.code !== 'EPERM') uncover(plain, realpathSync(privateMount));
  return why;
}

/** The private mount is there, and it shows this folder. */
function inPlace(folder: string, privateMount: string): boolean {
  const there = mounts().findLast(({ at }) => at === privateMount);
  const origin = topOf(folder);
  return there !== undefined && there.device === origin.device && there.shows === shownAt(origin, folder);
}

/** Our cover over the root: read-only, and showing just what it covers; null when there is none. */
function cover(root: string): Mount | null {
  const [below, top] = holding(root).slice(-2);
  if (below === undefined || top?.at !== root || !top.readOnly) return null;
  return top.device === below.device && top.shows === shownAt(below, root) ? top : null;
}

function uncover(root: string, privateMount: string): void {
  for (let left = COVERS_MAX; left > 0 && cover(root) !== null; left -= 1) unmount(root);
  unmountAll(privateMount);
}

function unmountAll(place: string): void {
  for (let left = COVERS_MAX; left > 0 && mounts().some(({ at }) => at === place); left -= 1) {
    unmount(place);
  }
}

/** The mounts that a path lies in, the one that is seen last. */
function holding(path: string): Mount[] {
  const all = mounts().filter(({ at }) => at === path || path.startsWith(at === '/' ? at : `${at}/`));
  // Sorting is stable: of several at one place the last stays last.
  return all.sort((one, other) => one.at.length - other.at.length);
}

function topOf(path: string): Mount {
  const top = holding(path).at(-1);
  if (top === undefined) throw new OsError('ENOENT', 'mountinfo', Buffer.from(path));
  return top;
}

/** Which folder of its file system a mount shows at a path that lies in it. */
function shownAt({ at, shows }: Mount, path: string): string {
  const inner = path.slice(at === '/' ? 0 : at.length);
  return shows === '/' ? inner || '/' : `${shows}${inner === '/' ? '' : inner}`;
}

/** What a remount would drop: it sets all flags anew. */
function flagsOf({ options }: Mount): number {
  const known: Readonly<Record<string, number>> = {
    nosuid: 2,
    nodev: 4,
    noexec: 8,
    noatime: 0x400,
    nodiratime: 0x800,
    relatime: 0x200000,
  };
  return options.reduce((flags, name) => flags | (known[name] ?? 0), 0);
}

function refusesWrites(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS';
  }
}

function bind(from: string, to: string): void {
  checked(libc.mount(cText(from), cText(to), null, MS_BIND, null), 'mount', Buffer.from(to));
}

function setFlags(at: string, flags: number): void {
  checked(libc.mount(null, cText(at), null, flags, null), 'mount', Buffer.from(at));
}

function unmount(at: string): void {
  checked(libc.umount2(cText(at), MNT_DETACH | UMOUNT_NOFOLLOW), 'umount2', Buffer.from(at));
}
