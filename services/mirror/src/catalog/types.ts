/**
 * What a copy knows of its own files: every entry of the mirror, with the sequence number of its last change. Both sides
 * keep the same kind of catalog. The source's is written by observe(), which compares what the disk says with what was
 * known; the target's by record...(), with the source's numbers and its own inodes and times.
 *
 * An entry is a name in a folder. It has an id for life, unique in this catalog and never used again (ids mean nothing to
 * the other side). Hard links are several entries with one inode. The root is the entry `rootId`, with an empty path.
 *
 * C1. Numbers: every change of an entry gives it a higher `sequence`. The source gives each its own number; a target gives
 *     all of a batch the number of the batch's end. What lies between is not known there: see `exactSince`.
 * C2. changesSince(s) is everything that differs from the state at s: live entries and tombstones, each id once, for any s
 *     at or above `horizon`.
 * C3. pathAt(id, s) is where an id was in the state at s, null when it was not there, for any s at or above `horizon`.
 * C4. An entry that is gone is at first only detached, with everything beneath it, because the same inode may turn up
 *     elsewhere (a move); it keeps its id when it does. sweep() makes it final. A batch is closed, the checksum compared
 *     and changesSince() read only when `detached` is 0.
 * C5. All that one write() does is there after a crash, or none of it. When it returned, it survives a power failure too.
 * C6. Whenever the contents of a file may have changed, its `contents` number rises or it becomes `suspect`: moved ones
 *     too, because an inode number is used again and a time of modification can be set. It rises with another size or time of
 *     modification, and where no digest is known. Contents are sent, or compared, for each entry with
 *     contentsDiffer(entry, s). A false "moved" therefore costs a comparison, never wrong contents.
 * C7. A file that was looked at within `racyMs` of its last change may change again without a new time. It is `racy`: the
 *     next look (or change feed) takes it for changed, until confirmContents() says that it was read late enough.
 */

import type { Epoch, History } from '@holdfast/core';
import type { EntryKind, Stat } from '../os/types.ts';

export const rootId = 1;

/** The kernel's clock for files ticks every 1 to 10 ms. */
export const racyMs = 10;

/** What is the same on both sides. A socket is never in a catalog. */
export interface EntryAttributes {
  readonly kind: EntryKind;
  /** 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of files and of symbolic links; 0 of all others, because file systems disagree. */
  readonly size: number;
  readonly mtimeS: number;
  readonly mtimeNs: number;
  /** 0 but for devices. */
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

export interface Entry {
  readonly id: number;
  /** Id of the folder; 0 for the root. */
  readonly parent: number;
  readonly name: Buffer;
  readonly attributes: EntryAttributes;
  /** Of this side. Entries of files with the same inode are hard links of each other. */
  readonly inode: number;
  readonly ctimeS: number;
  readonly ctimeNs: number;
  readonly nlink: number;
  /** Of the last change of any kind. */
  readonly sequence: number;
  /** Since when it has this parent and name. */
  readonly placed: number;
  /** Of the last change of contents, as far as is known. */
  readonly contents: number;
  /** Contents may have changed at `sequence`; only comparing them with `digest` tells. */
  readonly suspect: boolean;
  /** C7. */
  readonly racy: boolean;
  /** xxh3-128 of the contents as they were read last (16 bytes), where somebody told it by confirmContents(). */
  readonly digest: Buffer | null;
}

export interface Tombstone {
  readonly id: number;
  readonly kind: EntryKind;
  /** Where it was last; the folder may be gone as well (then it has a tombstone of its own). */
  readonly parent: number;
  readonly name: Buffer;
  readonly placed: number;
  readonly gone: number;
}

export type Change =
  | { readonly kind: 'entry'; readonly sequence: number; readonly id: number; readonly entry: Entry }
  | { readonly kind: 'gone'; readonly sequence: number; readonly id: number; readonly tombstone: Tombstone };

/**
 * What observe() made of it. After `new` and `moved` of a folder, everything beneath it has to be looked at (scan it):
 * nothing of a new one is known, and an inode number may have been used again.
 */
export type Observed =
  | { readonly kind: 'same'; readonly id: number }
  | { readonly kind: 'new'; readonly id: number }
  | { readonly kind: 'changed'; readonly id: number }
  /** Was at another place; its attributes and contents may have changed too. */
  | { readonly kind: 'moved'; readonly id: number }
  /** Detached (C4), with everything beneath it. */
  | { readonly kind: 'gone'; readonly id: number }
  /** Not there, and was not known. */
  | { readonly kind: 'absent' }
  /** The folder of this path is not known, or is not the one on disk: observe it first, then this again. */
  | { readonly kind: 'no-parent' };

export interface Backlog {
  readonly entries: number;
  readonly bytes: number;
}

/** Small facts beside the entries; what a side has to remember with them in one transaction. */
export interface CatalogMeta {
  readonly epoch: Epoch;
  readonly history: History;
  /** Every file was seen once, or copied: false until the first scan, or the initial copy, is complete. */
  readonly complete: boolean;
  /** Target: this copy is at one point in time of the source. */
  readonly consistent: boolean;
  /** Anything else that a side keeps, as text. At most 64 KiB each. */
  readonly notes: Readonly<Record<string, string>>;
}

export interface CatalogOptions {
  /** More are forgotten, the oldest first, and the horizon rises. Default 1,000,000. */
  readonly tombstonesMax?: number;
}

export interface Catalog {
  /** Absolute; a scan's worker threads open it again for reading. */
  readonly dir: string;
  /** The last number that was given or recorded. */
  readonly lastSequence: number;
  /** Everything about the state at this number, and at later ones, can still be told. */
  readonly horizon: number;
  /**
   * From this number on every number is a state that this catalog knows. Below it (recorded as a target, by batches) only
   * the ends of batches are: a session that starts at another number below must not rely on pathAt(id, s), and sends
   * what moved as removed and put.
   */
  readonly exactSince: number;
  /** How long the end of the last transaction took: it waits for the disk, and everything here with it. */
  readonly commitMs: number;
  /** Live entries, the root included. */
  readonly entries: number;
  /** Detached entries that sweep() has not made final. */
  readonly detached: number;
  /** 16 hexadecimal digits over all entries, whatever their order and ids. Exact while `detached` is 0. */
  readonly checksum: string;
  readonly meta: CatalogMeta;
  /** Empty; or why nothing can be written until it is opened anew. */
  readonly lost: string;

  /** Replaces the named facts, within the current write() or in one of its own. */
  setMeta(meta: Partial<CatalogMeta>): void;
  /**
   * One transaction: all of it or, when `work` throws, nothing. Bound it to some thousand changes. Calls inside a call are
   * part of the outer one. Every writing method below that is called outside makes a transaction of its own, which is slow:
   * each that changes something costs one fdatasync(2).
   */
  write<T>(work: () => T): T;
  /** Resolves when everything written before is on stable storage, which it is already (C5): cheap. */
  flush(): Promise<void>;
  /** Writes nothing any more; waits for what is under way. */
  close(): Promise<void>;

  /* Reading */

  /** Null: never was, is gone, or lies beneath something that is detached. */
  byPath(path: Buffer): Entry | null;
  /** Null: never was or is gone. */
  byId(id: number): Entry | null;
  child(parent: number, name: Buffer): Entry | null;
  /** By name, in slices: `after` is the last name of the one before, null at the start. Default limit 1,000. */
  children(parent: number, after?: Buffer | null, limit?: number): Entry[];
  /** How many entries a folder holds. */
  countIn(parent: number): number;
  /** Live entries with this inode, in order of id: hard links of one file. At most 1,000. */
  linked(inode: number): Entry[];
  /** Folders that were seen on another file system than their own folder, in slices of some milliseconds. */
  otherFileSystems(): Generator<readonly Entry[]>;
  /** Null: is gone, or lies beneath something that is. */
  pathOf(id: number): Buffer | null;
  /** C3. */
  pathAt(id: number, sequence: number): Buffer | null;
  /**
   * C2, in order of (sequence, id): after all of `sequence`, or after `afterId` of it when that is given (to go on with the
   * sequence and id of the last change of the slice before).
   */
  changesSince(sequence: number, limit: number, afterId?: number): Change[];
  /**
   * Entries and tombstones with a higher number, and bytes of the files whose contents may differ. Exact for fewer than
   * 512 changes, beyond it to within 256 numbers. Takes up to 3 ms.
   */
  countSince(sequence: number): Backlog;

  /* Source */

  /**
   * Compares what the disk says of a path with what is known, and gives numbers to what differs. `stat` null: nothing is
   * there. `lookedAtMs`: Date.now() before stat was called. Other names of a changed file change with it.
   * Throws for a socket.
   */
  observe(path: Buffer, stat: Stat | null, lookedAtMs: number): Observed;
  /** The same for a name in a known folder: faster. `no-parent` when the folder is gone. */
  observeChild(parent: number, name: Buffer, stat: Stat | null, lookedAtMs: number): Observed;
  /** Whether observeChild() would find no difference. */
  isKnown(parent: number, name: Buffer, stat: Stat): boolean;
  /** How often observe() and observeChild() were called: when it did not change, nobody saw anything meanwhile. */
  readonly observations: number;
  /**
   * What reading the contents of a file told: `digest` is their xxh3-128 (null for files that have block records) and
   * `readAtMs` Date.now() before the first byte was read, when the stat after the last byte was still what the entry says.
   * Settles `suspect` (equal to the digest known: contents did not change; otherwise `contents` rises to `sequence`) and
   * `racy`. `changed` is for who knows better, by block records. Gives no new number. Answers the entry as it is now.
   */
  confirmContents(id: number, digest: Buffer | null, readAtMs: number, changed?: boolean): Entry | null;
  /**
   * What was to be sent of an entry was not there to be read: it gets a new number, as if its contents had changed now. The
   * change of a folder above it would not tell that they are still lacking. Nothing for what is gone.
   */
  renumber(id: number): void;
  /**
   * Something was sent of an entry that did not hold still: no digest tells any more that it is what somebody has. Its
   * contents count as changed with its last number, and with each one to come. Gives no new number.
   */
  forgetContents(id: number): void;
  /**
   * C4. Until `untilMs` of performance.now() at the latest; true when nothing is left. Call it with write() not open.
   * `linked`: the inode of each entry that is gone and was one of several names of its file.
   */
  sweep(untilMs: number, linked?: (inode: number) => void): boolean;

  /* Target. `sequence` is the end of the batch; never below lastSequence. All of a batch belongs in one write(). */

  /**
   * A new entry or a new version of what is at `path`; `local` is what the disk of this side says of it now. `contents`:
   * whether its contents changed, too. Answers the id. Throws when the folder is not known, or an entry of another kind is
   * there: remove that first.
   */
  recordPut(
    path: Buffer,
    attributes: EntryAttributes,
    local: Stat,
    sequence: number,
    contents: boolean,
  ): number;
  /** Takes an entry out of the tree, with everything beneath it. Answers its id for recordPlaced(). Null: not known. */
  recordTaken(path: Buffer, sequence: number): number | null;
  /** Puts what was taken to its new place. Throws when the id was not taken, or something is there. */
  recordPlaced(id: number, path: Buffer, sequence: number): void;
  /** The entry with everything beneath it; sweep() afterwards. False: not known. */
  recordRemoved(path: Buffer, sequence: number): boolean;
  /** Only what the disk of this side says changed (by linking, renaming or keeping): no new number. */
  recordLocal(id: number, local: Stat): void;
  /** What an empty batch comes to: lastSequence rises, nothing else. */
  recordSequence(sequence: number): void;
  /** What was found on disk is not what was recorded: inode, time of change, size, attributes. Root and folders too. */
  differs(entry: Entry, local: Stat): boolean;

  /* Both */

  /** Forgets tombstones and former places up to this number; the horizon rises to it. In slices of their own, until
   * `untilMs` of performance.now() at the latest; true when done. Call it with write() not open. */
  collect(belowSequence: number, untilMs?: number): boolean;
  /** Forgets everything; numbers go on from `sequence`, which becomes the horizon. */
  reset(sequence: number): void;
  /** The checksum from all entries, for tests and verify; takes seconds for a million. */
  recomputeChecksum(): string;
}
