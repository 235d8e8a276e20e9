/**
 * Which folder a file handle means: its path beneath the root, or that it does not matter. Asked for every event of the whole
 * file system, so the answers are remembered.
 *
 * D1. An answer is forgotten as soon as a folder is known to have moved into, out of or within the root. Between the move and
 *     its event an old path may be told; the caller looks at the whole of a folder that moved (FeedListener).
 * D2. At most CACHE_MAX answers; beyond, all are forgotten.
 * D3. A path that is too long for the kernel to tell (4,096 bytes with what is above the root) is told as the whole of the
 *     nearest folder above it that has a shorter one.
 * D4. While a file system gives the number of a folder that is gone to a new one, Linux says ENOMEM of its handle: it is asked
 *     again until the new one is there. A system that really has no memory says so to the end.
 *
 * Sources: open_by_handle_at(2), proc(5); iget_locked() in fs/inode.c, ext4_iget() in fs/ext4/inode.c.
 */
import { readlinkSync } from 'node:fs';
import {
  AT_FDCWD,
  O_CLOEXEC,
  O_DIRECTORY,
  O_PATH,
  cText,
  checked,
  errorCode,
  libc,
  openat2,
} from '../os/libc.ts';
import { statOpen } from '../os/stat.ts';
import { OsError } from '../os/types.ts';

const CACHE_MAX = 65_536;
const HANDLE_MAX = 128;
const HEAD_BYTES = 8;
/** More than fit on any file system that answers in time. */
const LEVELS_MAX = 1_000_000;
const dots = cText('..');
const SLASH = Buffer.from('/');

/** D4. */
const busy = { triesMax: 100, everyMs: 1 } as const;
const bell = new Int32Array(new SharedArrayBuffer(4));

/** What opening a handle says when the folder is gone; its parent's event tells that. */
const gone = new Set(['ESTALE', 'ENOENT']);

export interface Folder {
  /** Beneath the root, empty for the root itself. */
  readonly path: Buffer;
  /** False: it is a folder above the one that was asked for (D3). */
  readonly exact: boolean;
}

export class Folders {
  readonly #fd: number;
  readonly #excluded: readonly string[];
  readonly #known = new Map<string, Folder | null>();
  #rootPath: Buffer;

  /** `root` is absolute. Throws OsError. */
  constructor(root: string, excluded: readonly Buffer[]) {
    // A plain descriptor: open_by_handle_at takes none of O_PATH.
    this.#fd = checked(
      openat2(AT_FDCWD, cText(root), O_DIRECTORY | O_CLOEXEC, 0, 0),
      'openat2',
      Buffer.from(root),
    );
    this.#excluded = excluded.map((path) => path.toString('latin1'));
    this.#rootPath = pathOf(this.#fd);
  }

  close(): void {
    libc.close(this.#fd);
  }

  /** Null: outside, excluded, or gone. `handle`: struct file_handle. */
  find(handle: Buffer): Folder | null {
    const key = handle.toString('latin1');
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const folder = this.#resolved(handle);
    if (folder === undefined) return null;
    if (this.#known.size >= CACHE_MAX) this.#known.clear(); // D2
    this.#known.set(key, folder);
    return folder;
  }

  /** D1. */
  forget(): void {
    this.#known.clear();
  }

  /** A folder outside the root moved: it may have been above the root. */
  movedOutside(): void {
    this.#rootPath = pathOf(this.#fd);
  }

  isExcluded(path: Buffer): boolean {
    if (this.#excluded.length === 0) return false;
    const text = path.toString('latin1');
    return this.#excluded.some((folder) => text === folder || text.startsWith(`${folder}/`));
  }

  /** Undefined: gone, and not worth remembering, because the number may be used again. */
  #resolved(handle: Buffer): Folder | null | undefined {
    const fd = this.#open(handle);
    if (fd === null) return undefined;
    try {
      if (statOpen(fd, null).nlink === 0) return undefined;
      const nearest = nearestPath(fd);
      const path = nearest === null ? null : this.#beneath(nearest.path);
      if (nearest === null || path === null || this.isExcluded(path)) return null;
      return { path, exact: nearest.exact };
    } finally {
      libc.close(fd);
    }
  }

  /** Null: gone. */
  #open(handle: Buffer): number | null {
    for (let tries = 1; ; tries += 1) {
      const fd = libc.openByHandleAt(this.#fd, handle, O_PATH | O_CLOEXEC);
      if (fd >= 0) return fd;
      const code = errorCode();
      if (gone.has(code)) return null;
      if (code !== 'ENOMEM' || tries === busy.triesMax) throw new OsError(code, 'open_by_handle_at', null);
      Atomics.wait(bell, 0, 0, busy.everyMs); // D4
    }
  }

  #beneath(path: Buffer): Buffer | null {
    const root = this.#rootPath;
    if (path.equals(root)) return Buffer.alloc(0);
    const prefix = root.equals(SLASH) ? root : Buffer.concat([root, SLASH]);
    return path.subarray(0, prefix.length).equals(prefix) ? Buffer.from(path.subarray(prefix.length)) : null;
  }
}

/** struct file_handle of a folder, as events have it. Throws OsError. */
export function handleOf(path: string): Buffer {
  const handle = Buffer.alloc(HEAD_BYTES + HANDLE_MAX);
  handle.writeUInt32LE(HANDLE_MAX);
  const name = cText(path);
  checked(libc.nameToHandleAt(AT_FDCWD, name, handle, Buffer.alloc(8), 0), 'name_to_handle_at', name);
  return handle.subarray(0, HEAD_BYTES + handle.readUInt32LE());
}

function pathOf(fd: number): Buffer {
  return readlinkSync(`/proc/self/fd/${String(fd)}`, { encoding: 'buffer' });
}

/** D3. Null: gone meanwhile. */
function nearestPath(fd: number): Folder | null {
  let at = fd;
  try {
    for (let levels = 0; levels < LEVELS_MAX; levels += 1) {
      const path = shortPathOf(at);
      if (path !== null) return { path, exact: levels === 0 };
      const above = openat2(at, dots, O_PATH | O_CLOEXEC, 0, 0);
      if (above < 0) return null;
      if (at !== fd) libc.close(at);
      at = above;
    }
    throw new OsError('ENAMETOOLONG', 'readlink', null);
  } finally {
    if (at !== fd) libc.close(at);
  }
}

function shortPathOf(fd: number): Buffer | null {
  try {
    return pathOf(fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENAMETOOLONG') return null;
    throw error;
  }
}
