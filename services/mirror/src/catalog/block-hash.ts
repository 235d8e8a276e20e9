/** The hashes in a record of blocks (block-record.ts): two of XXH64, and zeros for zeros (D2). */
import { xxh64 } from '@node-rs/xxhash';
import { blockBytes, groupBlocks, hashBytes } from './block-record.ts';

/** Two of 64 bits, because here XXH64 runs at 6 to 20 GB/s and the 128 bits of XXH3 at 1.2. */
const secondSeed = 0x9e3779b97f4a7c15n;
const zeros = Buffer.alloc(blockBytes);
const noHashes = Buffer.alloc(groupBlocks * hashBytes);

/** Of one block, or what a file has of its last one. */
export function putBlockHash(into: DataView, at: number, bytes: Buffer): void {
  putHash(into, at, bytes, zeros);
}

/** Of the hashes of a group. */
export function putGroupHash(into: DataView, at: number, hashes: Buffer): void {
  putHash(into, at, hashes, noHashes);
}

function putHash(into: DataView, at: number, bytes: Buffer, none: Buffer): void {
  const isZero =
    bytes[0] === 0 &&
    bytes[bytes.length - 1] === 0 &&
    none.compare(bytes, 0, bytes.length, 0, bytes.length) === 0;
  into.setBigUint64(at, isZero ? 0n : xxh64(bytes, 0n));
  into.setBigUint64(at + 8, isZero ? 0n : xxh64(bytes, secondSeed));
}
