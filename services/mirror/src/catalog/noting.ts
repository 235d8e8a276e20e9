/**
 * One noting of a big file's blocks (blocks.ts): takes its contents piece by piece, and writes down what differs from what
 * the record knows.
 *
 * N1. What is taken while the file is not the one that the entry tells of is of a later version: blocks that differ get a
 *     number above all that any target may hold by now (`laterThan`). Each target gets them with the next one, which the file
 *     has as soon as its change is noticed; with the entry's a target that holds it, or more, would never get them.
 * N2. Until its end a record that is new is good for no number. Whoever sent contents and could not note them to the end
 *     has the record forgotten: the next noting would compare with what another version had.
 */
import { putBlockHash, putGroupHash } from './block-hash.ts';
import {
  blockBytes,
  groupBlocks,
  groupBytes,
  groupHashAt,
  hashBytes,
  hashesAt,
  rowBytes,
  type BlockRecord,
  type RecordHeader,
} from './block-record.ts';
import type { Entry } from './types.ts';

/** N1. Between the last number that was given and the next one. */
export const laterThan = (lastSequence: number): number => lastSequence + 0.5;

/** Groups that are taken at once. */
export const spanGroups = 16;
/** What 6 bytes hold. */
const numberMax = 2 ** 48 - 1;
const rowsSpace = Buffer.alloc(spanGroups * rowBytes);
/** The hashes of a group as a row has them, from `hashesAt` to its end. */
const fresh = Buffer.alloc(rowBytes - hashesAt);
const groupHashFreshAt = groupHashAt - hashesAt;
const freshHashes = fresh.subarray(0, groupHashFreshAt);
const freshView = new DataView(fresh.buffer, fresh.byteOffset, fresh.length);
const hashWords = hashBytes / Uint32Array.BYTES_PER_ELEMENT;
const freshWords = new Uint32Array(fresh.buffer, fresh.byteOffset, groupBlocks * hashWords);

export class Noting {
  readonly record: BlockRecord;
  /** Told of its end. */
  readonly #over: () => void;
  readonly #entry: Entry;
  readonly #header: RecordHeader;
  readonly #number: () => number;
  #next = 0;
  #state: 'open' | 'ended' | 'given-up' = 'open';

  /** `number`: the entry's while the open file is still its version, else N1. */
  constructor(record: BlockRecord, entry: Entry, number: () => number, over: () => void) {
    this.record = record;
    this.#over = over;
    this.#entry = entry;
    this.#number = number;
    const { sequence } = entry;
    const { size } = entry.attributes;
    const known = record.header === null || record.header.base === numberMax ? null : record.header;
    const old = known ?? { base: sequence, size: 0, shrunkTo: Infinity, shrunkAt: 0 };
    const shrank = known !== null && size < old.size;
    this.#header = {
      base: old.base,
      size,
      shrunkTo: Math.min(shrank ? size : old.shrunkTo, old.shrunkTo, numberMax),
      shrunkAt: shrank ? sequence : old.shrunkAt,
    };
    record.begin({ ...this.#header, base: known?.base ?? numberMax, size: old.size }); // N2
  }

  /** Where the next piece begins, when nothing is left out. */
  get next(): number {
    return this.#next;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** The record tells all blocks of this version. */
  get isWhole(): boolean {
    return this.#state === 'ended';
  }

  /** At most 4 MiB, from the beginning of a group of 256 KiB on. Nothing once it is over. */
  take(offset: number, bytes: Buffer): void {
    if (!this.isOpen) return;
    if (bytes.length % groupBytes !== 0 && offset + bytes.length < this.#entry.attributes.size) {
      this.giveUp(); // It got a hole meanwhile.
      return;
    }
    if (offset % groupBytes !== 0) throw new Error('a piece of a file begins within a group of blocks');
    const number = this.#number();
    const first = offset / groupBytes;
    const groups = Math.ceil(bytes.length / groupBytes);
    const rows = rowsSpace.subarray(0, groups * rowBytes);
    this.record.read(first, rows);
    let from = groups;
    let to = 0;
    for (let i = 0; i < groups; i += 1) {
      const row = rows.subarray(i * rowBytes, (i + 1) * rowBytes);
      if (!this.#group(row, bytes.subarray(i * groupBytes, (i + 1) * groupBytes), number)) continue;
      from = Math.min(from, i);
      to = i + 1;
    }
    if (to > 0) this.record.write(first + from, rows.subarray(from * rowBytes, to * rowBytes));
    this.#next = offset + bytes.length;
  }

  /** Everything was taken that is not a hole of both the file and its record. */
  end(): void {
    if (!this.isOpen) return;
    this.record.cut(Math.ceil(this.#entry.attributes.size / groupBytes));
    this.record.end(this.#header);
    this.#close('ended');
  }

  /** Another noting of the same file begins, or nobody goes on with this one (N2). */
  giveUp(): void {
    if (this.isOpen) this.#close('given-up');
  }

  #close(state: 'ended' | 'given-up'): void {
    this.#state = state;
    this.record.close();
    this.#over();
  }

  /** True: it differs, and `row` says so now. */
  #group(row: Buffer, bytes: Buffer, number: number): boolean {
    fresh.fill(0);
    for (let at = 0, block = 0; at < bytes.length; at += blockBytes, block += 1)
      putBlockHash(freshView, block * hashBytes, bytes.subarray(at, at + blockBytes));
    putGroupHash(freshView, groupHashFreshAt, freshHashes);
    if (fresh.compare(row, hashesAt) === 0) return false;
    const known = new Uint32Array(row.buffer, row.byteOffset + hashesAt, groupBlocks * hashWords);
    for (let block = 0; block < groupBlocks; block += 1)
      if (!isSameHash(known, block * hashWords)) row.writeDoubleBE(number, block * 8);
    fresh.copy(row, hashesAt);
    return true;
  }
}

function isSameHash(known: Uint32Array, at: number): boolean {
  for (let word = at; word < at + hashWords; word += 1) if (known[word] !== freshWords[word]) return false;
  return true;
}
