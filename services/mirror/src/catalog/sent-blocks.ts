/**
 * What is sent of a big file that was noted before (blocks.ts, X1), held against its record: a block may change after it was
 * noted, and be again what it was at the next noting. The target would keep what was between the two.
 *
 * S1. A block that differs is in the record as it is sent, before it is sent, with a number above all that a target may hold:
 *     the next noting tells it again, whatever it finds.
 * S2. A block of which not everything came is one of unknown contents.
 * S3. A record that is another one at the end is worth nothing: it was made anew by somebody who knows nothing of this.
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
} from './block-record.ts';

const zeros = Buffer.alloc(blockBytes);
/** S2. No contents have it. */
const unknown = Buffer.alloc(hashBytes, 0xff);
const none = -1;

/** A block that is sent whole, by its place among the blocks: its hash, which is good for this call, and its number on record. */
export type BlockSent = (block: number, hash: Buffer, number: number) => void;

export class SentBlocks {
  readonly #record: BlockRecord;
  readonly #size: number;
  readonly #number: () => number;
  readonly #sent: BlockSent | null;
  readonly #row = Buffer.alloc(rowBytes);
  readonly #view = new DataView(this.#row.buffer, this.#row.byteOffset, rowBytes);
  readonly #hash = Buffer.alloc(hashBytes);
  readonly #hashView = new DataView(this.#hash.buffer, this.#hash.byteOffset, hashBytes);
  /** Of the row. */
  #group = none;
  #differs = false;
  /** Where it goes on when nothing is left out. */
  #next = 0;
  /** The beginning of a block of which more is to come, and where that block is. */
  readonly #part = Buffer.alloc(blockBytes);
  #partAt = none;

  /** `size`: of the version that is sent. `number`: above all that a target may hold now. */
  constructor(record: BlockRecord, size: number, number: () => number, sent: BlockSent | null = null) {
    this.#record = record;
    this.#size = size;
    this.#number = number;
    this.#sent = sent;
  }

  /** S1. Pieces come in order. */
  data(offset: number, bytes: Buffer): void {
    this.#goOn(offset);
    for (let done = 0; done < bytes.length;) {
      const length = Math.min(bytes.length - done, blockBytes - ((offset + done) % blockBytes));
      this.#piece(offset + done, bytes.subarray(done, done + length));
      done += length;
    }
    this.#stop(offset + bytes.length);
  }

  hole(offset: number, length: number): void {
    this.#goOn(offset);
    const end = offset + length;
    for (let at = offset; at < end;) {
      const recorded = at % groupBytes === 0 ? this.#record.nextRecorded(at) : at;
      // The record knows of zeros only. What begins a block is taken as a piece.
      const skipped = Math.min(recorded, end === this.#size ? end : end - (end % blockBytes));
      if (skipped > at) at = skipped;
      else {
        const piece = Math.min(end - at, blockBytes - (at % blockBytes));
        this.#piece(at, zeros.subarray(0, piece));
        at += piece;
      }
    }
    this.#stop(end);
  }

  /** False: the record has to be forgotten (S3). */
  end(): boolean {
    this.#goOn(none);
    this.#stop(none);
    const { isThere } = this.#record;
    this.#record.close();
    return isThere;
  }

  #goOn(offset: number): void {
    if (offset === this.#next || this.#partAt === none) return;
    this.#block(this.#partAt, null);
    this.#partAt = none;
  }

  /** Others write rows as soon as this returns. */
  #stop(next: number): void {
    this.#next = next;
    this.#write();
    this.#group = none;
  }

  /** Of one block. */
  #piece(offset: number, bytes: Buffer): void {
    const within = offset % blockBytes;
    const at = offset - within;
    const end = offset + bytes.length;
    const isLast = end % blockBytes === 0 || end === this.#size;
    if (within === 0 && isLast) {
      this.#block(at, bytes);
      return;
    }
    if (within === 0) this.#partAt = at;
    bytes.copy(this.#part, within);
    if (!isLast) return;
    this.#block(at, this.#partAt === at ? this.#part.subarray(0, end - at) : null);
    this.#partAt = none;
  }

  /** Null: S2. */
  #block(at: number, bytes: Buffer | null): void {
    this.#read(Math.floor(at / groupBytes));
    const block = Math.floor(at / blockBytes) % groupBlocks;
    const hashAt = hashesAt + block * hashBytes;
    if (bytes === null) unknown.copy(this.#hash);
    else putBlockHash(this.#hashView, 0, bytes);
    if (this.#hash.compare(this.#row, hashAt, hashAt + hashBytes) !== 0) {
      this.#row.writeDoubleBE(this.#number(), block * 8);
      this.#hash.copy(this.#row, hashAt);
      this.#differs = true;
    }
    if (bytes !== null) this.#sent?.(at / blockBytes, this.#hash, this.#row.readDoubleBE(block * 8));
  }

  #read(group: number): void {
    if (group === this.#group) return;
    this.#write();
    this.#record.read(group, this.#row);
    this.#group = group;
  }

  #write(): void {
    if (!this.#differs) return;
    putGroupHash(this.#view, groupHashAt, this.#row.subarray(hashesAt, groupHashAt));
    this.#record.write(this.#group, this.#row);
    this.#differs = false;
  }
}
