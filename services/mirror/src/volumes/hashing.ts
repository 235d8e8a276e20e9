/**
 * Hashes of the blocks of a range, by which two copies find what differs: XXH3 of 64 bits with two seeds. Not meant to
 * withstand an adversary: both sides are members of one cluster.
 *
 *   H1  holes count as zeros, and are not read
 */

import { xxh3 } from '@node-rs/xxhash';
import { blockBytes, blocksIn, hashBytes } from '../transport/volume-frames.ts';
import type { Store } from './store/store.ts';

const seeds = [0n, 0x9e3779b97f4a7c15n] as const;

/** The contents of a range, and which of its blocks are zeros for certain. Reused: valid until the next call. */
export function readRange(store: Store, offset: number, length: number, into: Buffer): Buffer {
  const bytes = into.subarray(0, length);
  bytes.fill(0);
  for (const segment of store.segments(offset, length))
    // H1
    store.read(
      bytes.subarray(segment.offset - offset, segment.offset - offset + segment.length),
      segment.offset,
    );
  return bytes;
}

export function blockOf(bytes: Buffer, index: number): Buffer {
  return bytes.subarray(index * blockBytes, (index + 1) * blockBytes);
}

const zeros = Buffer.alloc(blockBytes);

export function isZero(block: Buffer): boolean {
  return block.equals(block.length === blockBytes ? zeros : zeros.subarray(0, block.length));
}

const zeroHash = Buffer.alloc(hashBytes);
hashInto(zeros, zeroHash, 0);

export function hashesOf(bytes: Buffer): Buffer {
  const count = blocksIn(bytes.length);
  const hashes = Buffer.allocUnsafe(count * hashBytes);
  for (let i = 0; i < count; i += 1) {
    const block = blockOf(bytes, i);
    if (block.length === blockBytes && isZero(block)) zeroHash.copy(hashes, i * hashBytes);
    else hashInto(block, hashes, i * hashBytes);
  }
  return hashes;
}

function hashInto(block: Buffer, into: Buffer, at: number): void {
  into.writeBigUInt64BE(xxh3.xxh64(block, seeds[0]), at);
  into.writeBigUInt64BE(xxh3.xxh64(block, seeds[1]), at + 8);
}
