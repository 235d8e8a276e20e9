/**
 * The log of what is kept (kept-blocks.ts), as it lies on disk: one entry behind the other.
 *
 *   entry     magic u32, flags u8 (1 zeros, 2 discarded), 3 spare, offset u48, length u48, epoch u64, time u48, 2 spare,
 *             checksum u64, contents unless zeros
 *
 *   L1  an entry that is not whole hides none behind it: it is found by its length, or by the next one that is whole
 *   L2  of one that was discarded nothing is left but its place. What is damaged is discarded as such entries of its size
 */

import { xxh3 } from '@node-rs/xxhash';
import type { Epoch } from '@holdfast/core';
import type { Store } from '../store/store.ts';

export interface KeptRange {
  readonly offset: number;
  readonly length: number;
  readonly epoch: Epoch;
  readonly modifiedMs: number;
}

export interface KeptEntry extends KeptRange {
  readonly at: number;
  /** Bytes of contents; 0: zeros. */
  readonly stored: number;
}

/** Something was kept, and can't be read. */
export interface Damaged {
  readonly at: number;
  readonly bytes: number;
  /** What its header says, which may be damaged, too; null: not even that. */
  readonly range: KeptRange | null;
}

interface KeptLog {
  readonly entries: readonly KeptEntry[];
  readonly damaged: readonly Damaged[];
  /** Where the next entry goes. */
  readonly end: number;
}

export const headerBytes = 48;
const entryBytesMax = 1_048_576;
const magic = 0x48664b70;
const checksumAt = 40;
const flags = { zeros: 1, discarded: 2 } as const;
const scanBytes = 1_048_576;
/** Of the log, read at once: entries are small as a rule, and hundreds of thousands. */
const windowBytes = 2_097_152;

interface Header extends KeptEntry {
  readonly discarded: boolean;
}

/** `contents` null: zeros. */
export function entryOf(range: KeptRange, contents: Buffer | null): Buffer {
  const header = headerOf(range, contents === null ? flags.zeros : 0);
  const bytes = contents ?? Buffer.alloc(0);
  header.writeBigUInt64BE(checksumOf(header, bytes), checksumAt);
  return Buffer.concat([header, bytes]);
}

/** Throws what the disk says. */
export function readKept(store: Store): KeptLog {
  const entries: KeptEntry[] = [];
  const damaged: Damaged[] = [];
  const log = new Reading(store);
  let at = 0;
  while (at + headerBytes <= log.sizeBytes) {
    const header = headerAt(log, at);
    if (header !== null && isWhole(log, header)) {
      if (!header.discarded) entries.push(header);
      at = behind(header);
      continue;
    }
    const next = nextOf(log, at, header);
    // Nothing but what was being written when it ended begins with no header at the end.
    if (next !== null || header !== null)
      damaged.push({ at, bytes: (next ?? log.sizeBytes) - at, range: header });
    if (next === null) break;
    at = next;
  }
  return { entries, damaged: damaged.filter(({ range }) => !isAmong(range, entries)), end: at };
}

/** L2. Durable with the next sync. */
export function markDiscarded(store: Store, { at }: KeptEntry): void {
  const header = Buffer.alloc(headerBytes);
  store.read(header, at);
  header[4] = (header[4] ?? 0) | flags.discarded;
  store.write(header, at);
}

/** L2. */
export function discardDamaged(store: Store, { at, bytes }: Damaged): void {
  for (let done = 0; bytes - done >= headerBytes;) {
    const left = bytes - done - headerBytes;
    // What remains has room for another header.
    const length = left <= entryBytesMax ? left : Math.min(entryBytesMax, left - headerBytes);
    const range = { offset: 0, length, epoch: 0n, modifiedMs: 0 };
    store.write(headerOf(range, flags.discarded), at + done);
    done += headerBytes + length;
  }
}

function headerOf({ offset, length, epoch, modifiedMs }: KeptRange, bits: number): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(magic, 0);
  header[4] = bits;
  header.writeUIntBE(offset, 8, 6);
  header.writeUIntBE(length, 14, 6);
  header.writeBigUInt64BE(epoch, 20);
  header.writeUIntBE(modifiedMs, 28, 6);
  return header;
}

/** A log from its beginning to its end. */
class Reading {
  readonly sizeBytes: number;
  readonly #store: Store;
  readonly #buffer: Buffer;
  /** What the buffer holds. */
  #from = 0;
  #end = 0;

  constructor(store: Store) {
    this.#store = store;
    this.sizeBytes = store.sizeBytes;
    this.#buffer = Buffer.allocUnsafeSlow(Math.min(windowBytes, store.sizeBytes));
  }

  /** Within the log, and the window. Valid until the next call. */
  bytes(at: number, length: number): Buffer {
    if (at < this.#from || at + length > this.#end) {
      const window = this.#buffer.subarray(0, Math.min(this.#buffer.length, this.sizeBytes - at));
      this.#end = 0;
      this.#store.read(window, at);
      this.#from = at;
      this.#end = at + window.length;
    }
    return this.#buffer.subarray(at - this.#from, at - this.#from + length);
  }
}

/** Null: there is none. */
function headerAt(log: Reading, at: number): Header | null {
  if (at + headerBytes > log.sizeBytes) return null;
  const header = log.bytes(at, headerBytes);
  const length = header.readUIntBE(14, 6);
  if (header.readUInt32BE(0) !== magic || length > entryBytesMax) return null;
  const bits = header.readUInt8(4);
  return {
    at,
    offset: header.readUIntBE(8, 6),
    length,
    epoch: header.readBigUInt64BE(20),
    modifiedMs: header.readUIntBE(28, 6),
    stored: (bits & flags.zeros) !== 0 ? 0 : length,
    discarded: (bits & flags.discarded) !== 0,
  };
}

const behind = ({ at, stored }: KeptEntry): number => at + headerBytes + stored;

function isWhole(log: Reading, header: Header): boolean {
  if (behind(header) > log.sizeBytes) return false;
  if (header.discarded) return true;
  const bytes = log.bytes(header.at, headerBytes + header.stored);
  return bytes.readBigUInt64BE(checksumAt) === checksumOf(bytes, bytes.subarray(headerBytes));
}

/** L1. Where the next entry begins that is whole; null: there is none. */
function nextOf(log: Reading, at: number, header: Header | null): number | null {
  const told = header === null ? null : headerAt(log, behind(header));
  if (told !== null && isWhole(log, told)) return told.at;
  const mark = Buffer.alloc(4);
  mark.writeUInt32BE(magic);
  for (let from = at + 1; from + headerBytes <= log.sizeBytes; from += scanBytes) {
    // A copy: what is found in it is looked at.
    const bytes = Buffer.from(log.bytes(from, Math.min(scanBytes + mark.length - 1, log.sizeBytes - from)));
    for (let found = bytes.indexOf(mark); found !== -1; found = bytes.indexOf(mark, found + 1)) {
      const next = headerAt(log, from + found);
      // That one was discarded is not proven by anything.
      if (next !== null && !next.discarded && isWhole(log, next)) return next.at;
    }
  }
  return null;
}

/** It was kept again. */
function isAmong(range: KeptRange | null, entries: readonly KeptEntry[]): boolean {
  return entries.some(
    ({ offset, length, epoch }) =>
      offset === range?.offset && length === range.length && epoch === range.epoch,
  );
}

function checksumOf(header: Buffer, contents: Buffer): bigint {
  return xxh3.xxh64(contents, xxh3.xxh64(header.subarray(0, checksumAt)));
}
