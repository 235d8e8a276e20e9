/**
 * Keeps everybody but the mirror from writing to the root of a target: a read-only mount covers it. The mirror opened the
 * folder before, and its descriptor leads to what is beneath the cover: no second name of the data exists that somebody could
 * remove it by.
 *
 * O1. Whatever state an earlier process left behind, protect and unprotect lead to theirs; both may be repeated.
 * O2. Descriptors that are to write have to be opened while the root is not covered.
 * O3. It is said to be protected only when the kernel then refuses to write there with EROFS.
 * O4. It keeps out writers, not an administrator, who may mount as we do. The scan for foreign changes stays the truth.
 *
 * Sources: mount(2), umount2(2), rename(2), path_resolution(7), mount_namespaces(7).
 */
import { accessSync, constants, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { cText, checked, libc } from './libc.ts';
import { type Mount, mountedBeneath, mounts } from './mounts.ts';
import { OsError } from './types.ts';

const MS_RDONLY = 1;
const MS_REMOUNT = 0x20;
const MS_BIND = 0x1000;
const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** Covers that an earlier process may have left, one over the other. */
const COVERS_MAX = 8;

/** Unprotected comes with the reason, one sentence. */
export interface Protection {
  readonly kind: 'read-only' | 'unprotected';
  readonly says: string;
}

/** Covers `root`, absolute. */
export function protect(root: string): Protection {
  const plain = realpathSync(root);
  const [inside] = mountedBeneath(plain);
  if (inside !== undefined)
    return {
      kind: 'unprotected',
      says: `another file system is mounted beneath it, at ${inside.toString()}`,
    };
  try {
    if (cover(plain) === null) {
      bind(plain, plain);
      setFlags(plain, MS_BIND | MS_REMOUNT | MS_RDONLY | flagsOf(topOf(plain)));
    }
    if (refusesWrites(plain)) return { kind: 'read-only', says: '' }; // O3
    uncover(plain);
    return { kind: 'unprotected', says: 'a read-only mount over it had no effect' };
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    if (error.code === 'EPERM') return { kind: 'unprotected', says: 'mounting needs CAP_SYS_ADMIN' };
    uncover(plain);
    return { kind: 'unprotected', says: error.message };
  }
}

/** The folder that holds a root (absolute, without links), when one mount has both; a cover of ours does not count. */
export function holderOf(root: string): string | null {
  const parent = dirname(root);
  const own = holding(root).filter(({ at }) => at === root).length;
  return parent === root || own > (cover(root) === null ? 0 : 1) ? null : parent;
}

/** Takes the cover off, also while others have files open beneath it. Throws OsError. */
export function unprotect(root: string): void {
  uncover(realpathSync(root));
}

/** Our cover over the root: read-only, and showing just what it covers; null when there is none. */
function cover(root: string): Mount | null {
  const [below, top] = holding(root).slice(-2);
  if (below === undefined || top?.at !== root || !top.readOnly) return null;
  return top.device === below.device && top.shows === shownAt(below, root) ? top : null;
}

function uncover(root: string): void {
  for (let left = COVERS_MAX; left > 0 && cover(root) !== null; left -= 1) unmount(root);
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

/** Whether the kernel keeps everybody from writing there. */
export function refusesWrites(path: string): boolean {
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
