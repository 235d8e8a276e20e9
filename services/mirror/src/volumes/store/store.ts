/**
 * What a volume's contents and records lie in: bytes at offsets, as a disk has them.
 *
 *   S1  what was written is read back at once; it survives a power cut only when a sync that began afterwards ended well
 *   S2  until then a power cut may keep, lose or tear each write by itself, in any order
 *   S3  after a sync that failed nothing is known of the writes before it: whoever asked stops using the store
 *
 * Reading and writing are synchronous: in the page cache they cost less than a thread would. Only syncs are waited for.
 * All of them throw what the system says.
 */

import { errorCode } from '@holdfast/wire/directory';

/** What the system says where a disk is full, or what may be used of it is. */
const noRoom: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

export const isNoRoom = (error: unknown): boolean => noRoom.has(errorCode(error));

/** A range that may hold something else than zeros. */
export interface Segment {
  readonly offset: number;
  readonly length: number;
}

export interface Store {
  readonly sizeBytes: number;
  /** Fills it. Throws when the range is not within the store. */
  read(into: Uint8Array, offset: number): void;
  write(from: Uint8Array, offset: number): void;
  /** Zeros from here on; `hole`: and no room is taken for them, where the store can. */
  zero(offset: number, length: number, hole: boolean): void;
  sync(): Promise<void>;
  /** What may be data within the range, in order. One that can't tell answers the whole range. */
  segments(offset: number, length: number): readonly Segment[];
  /** To a larger size, or for records to a smaller one; durable with the next sync. */
  resize(sizeBytes: number): void;
  close(): void;
}

/** A folder of stores: the records of one volume. Names are made and removed durably. */
export interface Disk {
  /** Made when it is missing, with nothing in it. */
  open(name: string): Store;
  exists(name: string): boolean;
  remove(name: string): void;
}

/**
 * What a store held at one moment, kept while it is written to, in the room of what is overwritten since. One at a time.
 * Not every store has them.
 */
export interface Snapshots {
  /** Of the one that is there, in every boot, and never of two; empty: there is none. */
  readonly name: string;
  /** What may be written to the store before the room is used up that both share, in bytes. */
  readonly freeBytes: number;
  /**
   * Makes one, in place of an older one; durable with its name, which is answered. Everything that was written to the store is
   * synced, and nobody writes to it meanwhile. Throws what the system says.
   */
  make(): Promise<string>;
  /** Makes a range of the store what it was then; durable with the store's next sync. What the store has more since is left alone. */
  putBack(offset: number, length: number): void;
  /** Durably; nothing where there is none. */
  remove(): void;
}
