/**
 * A volume that can be written to and thrown away: what is written goes to a store of its own, and everything else is read
 * from one that is never changed.
 *
 *   O1  nothing is written to the store below
 *   O2  it holds at most `bytesMax` of its own; then there is no space
 *   O3  nothing of it survives, so a flush is done at once
 */

import { Bits } from './bitmap/bits.ts';
import { outcome } from './nbd/protocol.ts';
import { outcomeOf } from './plain-volume.ts';
import type { Segment, Store } from './store/store.ts';
import type { Volume, VolumeRequest } from './volume.ts';

const blockBytes = 4_096;

export class OverlayVolume implements Volume {
  readonly sizeBytes: number;
  readonly #below: Store;
  readonly #own: Store;
  readonly #bytesMax: number;
  /** Blocks that are read from its own store. */
  readonly #written: Bits;

  /** `own`: empty. `sizeBytes`: whole blocks. Throws what the disk says. */
  constructor(below: Store, own: Store, sizeBytes: number, bytesMax: number) {
    this.sizeBytes = sizeBytes;
    this.#below = below;
    this.#own = own;
    this.#bytesMax = bytesMax;
    this.#written = new Bits(Math.ceil(sizeBytes / blockBytes));
    own.resize(sizeBytes);
  }

  submit(request: VolumeRequest, done: (outcome: number) => void): void {
    done(this.#carryOut(request));
  }

  segments(offset: number, length: number): readonly Segment[] {
    return [{ offset, length }];
  }

  #carryOut(request: VolumeRequest): number {
    try {
      switch (request.kind) {
        case 'read':
          this.#read(request.into, request.offset);
          return outcome.done;
        case 'write': {
          const { offset, contents } = request;
          return this.#change(offset, contents.length, () => this.#own.write(contents, offset));
        }
        case 'zero': {
          const { offset, length, hole } = request;
          return this.#change(offset, length, () => this.#own.zero(offset, length, hole));
        }
        case 'flush':
          return outcome.done; // O3
      }
    } catch (error) {
      return outcomeOf(error);
    }
  }

  /** Neighbours from the same store at once. */
  #read(into: Buffer, offset: number): void {
    const end = offset + into.length;
    for (let at = offset; at < end;) {
      const own = this.#written.has(blockOf(at));
      let to = startOf(blockOf(at) + 1);
      while (to < end && this.#written.has(blockOf(to)) === own) to += blockBytes;
      to = Math.min(to, end);
      (own ? this.#own : this.#below).read(into.subarray(at - offset, to - offset), at);
      at = to;
    }
  }

  #change(offset: number, length: number, write: () => void): number {
    if (length === 0) return outcome.done;
    const [first, last] = [blockOf(offset), blockOf(offset + length - 1)];
    const fresh: number[] = [];
    for (let block = first; block <= last; block += 1) if (!this.#written.has(block)) fresh.push(block);
    if ((this.#written.count + fresh.length) * blockBytes > this.#bytesMax) return outcome.noSpace; // O2
    // The rest of a block that is written to in part.
    for (const block of fresh)
      if (startOf(block) < offset || startOf(block + 1) > offset + length) this.#copy(block);
    write();
    for (const block of fresh) this.#written.add(block);
    return outcome.done;
  }

  #copy(block: number): void {
    const bytes = Buffer.alloc(blockBytes);
    this.#below.read(bytes, startOf(block));
    this.#own.write(bytes, startOf(block));
  }
}

const blockOf = (at: number): number => Math.floor(at / blockBytes);
const startOf = (block: number): number => block * blockBytes;
