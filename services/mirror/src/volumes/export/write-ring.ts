/**
 * Writes on their way from the export to the source, in the order in which they were carried out: records of a fixed size in
 * one ring, their contents in another.
 *
 *   R1  a record that can be read is whole, and so are its contents
 *   R2  nothing is overwritten before it was taken: without room nothing is written
 *   R3  contents of one record lie in one piece; what is left at the end of the ring is skipped
 */

import { recordBytes, recordsMax, word, type SharedMemory } from './shared-memory.ts';

export const recordKind = {
  write: 1,
  zero: 2,
  flush: 3,
  /** Nothing was done: the extents of the range are cold, and somebody waits for them. */
  warm: 4,
  /** A write that failed: what is there now, nobody knows. */
  unknown: 5,
} as const;

/** bare: of a write whose contents were not wanted. */
export const recordFlag = { durable: 1, hole: 2, bare: 4 } as const;

export interface WriteRecord {
  /** Of recordKind. */
  readonly kind: number;
  /** Of recordFlag. */
  readonly flags: number;
  /** Of the answer that somebody waits for; 0: nobody does. */
  readonly ticket: number;
  readonly offset: number;
  readonly length: number;
}

const wordsOf = recordBytes / 4;
const numbersOf = recordBytes / 8;
const none = Buffer.alloc(0);

/** Of the export. */
export class WriteRingHead {
  readonly #shared: SharedMemory;
  readonly #size: number;
  #records = 0;
  #bytes = 0;
  /** Of the contents that are being written. */
  #reserved = 0;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
    this.#size = shared.contents.length;
  }

  /** Records that were not taken, at most. */
  get waiting(): number {
    return (this.#records - this.#shared.load(word.recordsTaken)) | 0;
  }

  get full(): boolean {
    return this.waiting >= recordsMax;
  }

  get bytesWaiting(): number {
    return (this.#bytes - this.#shared.load(word.bytesTaken)) | 0;
  }

  /** Where contents are to be put, as an index of shared.contents; null: there is no room now (R2). */
  reserve(length: number): number | null {
    if (this.full) return null;
    const at = this.#bytes & (this.#size - 1);
    const skipped = at + length > this.#size ? this.#size - at : 0; // R3
    if (this.bytesWaiting + skipped + length > this.#size) return null;
    this.#reserved = skipped + length;
    return skipped > 0 ? 0 : at;
  }

  /** With the contents that were reserved. */
  write(record: WriteRecord): void {
    this.#publish(record, this.#reserved);
    this.#reserved = 0;
  }

  /** Without contents; there is room for it. */
  note(record: WriteRecord): void {
    this.#publish(record, 0);
  }

  #publish({ kind, flags, ticket, offset, length }: WriteRecord, bytes: number): void {
    const { records, recordNumbers } = this.#shared;
    const slot = this.#records & (recordsMax - 1);
    this.#bytes = (this.#bytes + bytes) | 0;
    this.#records = (this.#records + 1) | 0;
    recordNumbers[slot * numbersOf] = offset;
    const at = slot * wordsOf;
    records[at + 2] = length;
    records[at + 3] = kind;
    records[at + 4] = flags;
    records[at + 5] = ticket;
    records[at + 6] = this.#bytes;
    this.#shared.store(word.bytesWritten, this.#bytes);
    if (ticket !== 0 || kind === recordKind.warm) this.#shared.store(word.urgent, this.#records);
    this.#shared.store(word.recordsWritten, this.#records); // R1
  }
}

/** Of the source. */
export class WriteRingTail {
  readonly #shared: SharedMemory;
  #records = 0;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  /** That were written and not taken. */
  get waiting(): number {
    return (this.#shared.load(word.recordsWritten) - this.#records) | 0;
  }

  /** Somebody waits for one of them. */
  get urgent(): boolean {
    const ahead = (this.#shared.load(word.urgent) - this.#records) | 0;
    return ahead > 0 && ahead <= this.waiting;
  }

  /** The contents are valid as long as `with` runs. False: there is none. */
  take(using: (record: WriteRecord, contents: Buffer) => void): boolean {
    if (this.waiting <= 0) return false;
    const { records, recordNumbers, contents } = this.#shared;
    const slot = this.#records & (recordsMax - 1);
    const at = slot * wordsOf;
    const length = records[at + 2] ?? 0;
    const kind = records[at + 3] ?? 0;
    const end = records[at + 6] ?? 0;
    const from = (end - length) & (contents.length - 1);
    const bare = ((records[at + 4] ?? 0) & recordFlag.bare) !== 0;
    const flags = records[at + 4] ?? 0;
    const ticket = records[at + 5] ?? 0;
    const offset = recordNumbers[slot * numbersOf] ?? 0;
    using(
      { kind, flags, ticket, offset, length },
      kind === recordKind.write && !bare ? contents.subarray(from, from + length) : none,
    );
    this.#records = (this.#records + 1) | 0;
    this.#shared.store(word.bytesTaken, end);
    this.#shared.store(word.recordsTaken, this.#records);
    return true;
  }
}
