/**
 * One number over all entries of a copy: the sum of a hash of each, modulo 2^64. It does not depend on the order in which
 * entries came, so both sides can keep it up with every change, and compare it at the end of every batch.
 *
 * Names without their folders go in, so that the move of a folder is one change; two files that exchanged their folders look
 * the same to it. Contents do not go in: they are compared by verify. Who compares it, and when: files/target/agreement.ts.
 *
 * Source: XXH3, 64 bits (github.com/Cyan4973/xxHash).
 */
import { xxh3 } from '@node-rs/xxhash';
import { kindCode } from './row.ts';
import type { EntryAttributes } from './types.ts';

const fixedBytes = 40;
const bytes = Buffer.alloc(fixedBytes + 255);
const view = new DataView(bytes.buffer, bytes.byteOffset);
const mask = 2n ** 64n - 1n;

export function plus(checksum: bigint, name: Uint8Array, of: EntryAttributes): bigint {
  return (checksum + hashOf(name, of)) & mask;
}

export function minus(checksum: bigint, name: Uint8Array, of: EntryAttributes): bigint {
  return (checksum - hashOf(name, of)) & mask;
}

export function checksumText(checksum: bigint): string {
  return checksum.toString(16).padStart(16, '0');
}

/** Of one name: they count the same. */
export function hashesAlike(a: EntryAttributes, b: EntryAttributes): boolean {
  return (
    a.mtimeNs === b.mtimeNs &&
    a.mtimeS === b.mtimeS &&
    a.size === b.size &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    a.kind === b.kind &&
    a.deviceMajor === b.deviceMajor &&
    a.deviceMinor === b.deviceMinor
  );
}

function hashOf(name: Uint8Array, of: EntryAttributes): bigint {
  view.setUint16(0, kindCode(of.kind));
  view.setUint16(2, of.mode);
  view.setUint32(4, of.uid);
  view.setUint32(8, of.gid);
  view.setFloat64(12, of.size);
  view.setFloat64(20, of.mtimeS);
  view.setUint32(28, of.mtimeNs);
  view.setUint32(32, of.deviceMajor);
  view.setUint32(36, of.deviceMinor);
  bytes.set(name, fixedBytes);
  return xxh3.xxh64(bytes.subarray(0, fixedBytes + name.length));
}
