/**
 * Blocks of big files that a target holds in a later version than its number tells. What changes while its file is looked through
 * is on record with a number above that of the batch that sends it (noting.ts, N1), and every later batch would send it again.
 *
 * A1. A block is left out while its hash on record is that of what was sent last. Whatever else is sent of the block, or cuts it off,
 *     ends that.
 * A2. It is known once the batch is committed: one that is read again was never sent.
 * A3. It is good for one session, in which the target does one batch after the other.
 * A4. More than BLOCKS_MAX are not remembered, and sent again.
 */
import { blockBytes } from '../../catalog/block-record.ts';
import type { Holds } from '../../catalog/blocks.ts';
import type { BlockSent } from '../../catalog/sent-blocks.ts';
import type { Segment } from '../../os/types.ts';

/** Of 256 MiB. */
const BLOCKS_MAX = 65_536;

/** Hashes by place among the blocks. */
type Blocks = Map<number, Buffer>;

export class Ahead {
  /** By id. */
  readonly #files = new Map<number, Blocks>();

  holds(id: number): Holds | null {
    const blocks = this.#files.get(id);
    return blocks === undefined ? null : (block, hash) => blocks.get(block)?.equals(hash) === true;
  }

  batch(sequence: number): AheadOfBatch {
    return new AheadOfBatch(this, sequence);
  }

  blocksOf(id: number): ReadonlyMap<number, Buffer> | null {
    return this.#files.get(id) ?? null;
  }

  /** A2. */
  take(files: ReadonlyMap<number, Blocks>): void {
    for (const [id, blocks] of files) {
      if (blocks.size === 0) this.#files.delete(id);
      else this.#files.set(id, blocks);
    }
    let count = 0;
    for (const { size } of this.#files.values()) count += size;
    if (count > BLOCKS_MAX) this.#files.clear(); // A4
  }
}

/** What becomes of it by one batch. */
export class AheadOfBatch {
  readonly #all: Ahead;
  readonly #sequence: number;
  readonly #files = new Map<number, Blocks>();

  constructor(all: Ahead, sequence: number) {
    this.#all = all;
    this.#sequence = sequence;
  }

  holds(id: number): Holds | null {
    return this.#all.holds(id);
  }

  /** It is sent as something else, or as a whole. */
  replaced(id: number): void {
    this.#files.set(id, new Map());
  }

  /** These ranges are sent, and the file has this size at the target afterwards. Answers who is to be told of each block (A1). */
  patched(id: number, ranges: readonly Segment[], size: number): BlockSent {
    const blocks: Blocks = new Map(this.#all.blocksOf(id) ?? []);
    this.#files.set(id, blocks);
    for (const block of blocks.keys()) if (block * blockBytes >= size) blocks.delete(block);
    for (const { offset, length } of ranges) {
      if (blocks.size === 0) break;
      for (let at = Math.floor(offset / blockBytes); at * blockBytes < offset + length; at += 1)
        blocks.delete(at);
    }
    return (block, hash, number) => {
      if (number > this.#sequence && blocks.size <= BLOCKS_MAX) blocks.set(block, Buffer.from(hash));
    };
  }

  /** A2. */
  committed(): void {
    this.#all.take(this.#files);
  }
}
