/**
 * The words in which the rest of the mirror speaks of a file system: what an entry is, what may be set of it, and how a
 * call failed. Everything is plain numbers and Buffers, because it is made hundreds of thousands of times in a scan.
 */

export type EntryKind = 'file' | 'folder' | 'link' | 'fifo' | 'block' | 'char' | 'socket';

/** One entry as the kernel tells it (statx(2)); never of what a symbolic link points to. */
export interface Stat {
  readonly kind: EntryKind;
  /** Permission bits with set-uid, set-gid and sticky: 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes. */
  readonly size: number;
  /** Seconds since 1970, may be negative; with nanoseconds 0 to 999,999,999. */
  readonly mtimeS: number;
  readonly mtimeNs: number;
  readonly ctimeS: number;
  readonly ctimeNs: number;
  /** Up to 2^53 - 1; a larger one is refused with EOVERFLOW. */
  readonly inode: number;
  readonly nlink: number;
  /** Of a device node: which device it is. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  /** Of 512 bytes. */
  readonly blocks: number;
  /** The file system that it is on: equal numbers, same file system. */
  readonly dev: number;
}

/** What a folder lists. `kind` is null on file systems that do not tell; ask stat() then. */
export interface ListedEntry {
  readonly name: Buffer;
  readonly kind: EntryKind | null;
}

export interface ChildStat {
  readonly name: Buffer;
  readonly stat: Stat;
}

/** What setAttributes changes; what is left out stays. The owner is set first, because that clears set-uid. */
export interface SettableAttributes {
  readonly uid?: number;
  readonly gid?: number;
  /** 12 bits. Without effect on symbolic links, which have none. */
  readonly mode?: number;
  readonly mtimeS?: number;
  /** Only together with mtimeS. */
  readonly mtimeNs?: number;
}

/** Name and value of an extended attribute. */
export type Extended = readonly [name: Buffer, value: Buffer];

/** What setExtended could not bring about, with the kernel's error code: an attribute that this host does not permit. */
export interface SkippedExtended {
  readonly name: Buffer;
  readonly code: string;
}

/** A range of a file that may hold something else than zeros; in bytes. */
export interface Segment {
  readonly offset: number;
  readonly length: number;
}

/** A call that the kernel refused. `code` is its name of the error: ENOENT, EXDEV, ENOSPC ... */
export class OsError extends Error {
  readonly code: string;
  /** Relative to the root of the tree; null where the call was about an open file. */
  readonly path: Buffer | null;
  /** The system call, or the method of Tree that refused. */
  readonly call: string;

  constructor(code: string, call: string, path: Buffer | null) {
    super(`${call} failed with ${code}${path === null ? '' : ` on ${JSON.stringify(path.toString())}`}`);
    this.name = 'OsError';
    this.code = code;
    this.call = call;
    this.path = path === null ? null : Buffer.from(path);
  }
}
