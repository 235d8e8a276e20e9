/**
 * Frames of volumes as bytes; all numbers are big endian, u48 unless said:
 *
 *   writes    number, sequence, flags u8, changes u32, then for each: kind u8, offset, length; then the contents of all
 *             flags: 1 barrier, 2 in step, 4 resync, 8 the contents are compressed (brotli)
 *             kinds: 1 write, 2 zeros, 3 a hole
 *   ack       received, durable, sequence, flags u8 (1 consistent)
 *   standing  size, flags u8 (1 last), stamp (u8 and so many bytes), ranges u32, then for each: offset, length
 *   resync    bytes, size, stamp (as above)
 *   compare   number, then for each range: offset, length
 *   hashes    number, 16 bytes for each block
 *
 * V1. What decodes is what was encoded, and nothing else decodes: each payload is a frame or garbage, and no more is made
 *     of it than the limits allow, contents that are decompressed included.
 */

import { brotliDecompressSync } from 'node:zlib';
import { dataBytesMax } from './limits.ts';
import type { Garbage } from './types.ts';
import {
  blockBytes,
  blocksIn,
  changesMax,
  compareBlocksMax,
  hashBytes,
  rangesMax,
  stampBytesMax,
  type BlockChange,
  type ByteRange,
  type VolumeFrame,
  type VolumeStanding,
  type VolumeWrites,
} from './volume-frames.ts';

/** Numbers of the kinds on the line; they are part of the contract. */
export const volumeKinds: Readonly<Record<VolumeFrame['kind'], number>> = {
  'volume-writes': 16,
  'volume-ack': 17,
  'volume-standing': 18,
  'volume-resync': 19,
  'volume-compare': 20,
  'volume-hashes': 21,
};
const kindOf = new Map(Object.entries(volumeKinds).map(([kind, number]) => [number, kind]));

const u48Max = 2 ** 48 - 1;
const flags = { barrier: 1, inStep: 2, resync: 4, compressed: 8 } as const;
const knownFlags = 15;
const changeKinds = { write: 1, zero: 2, hole: 3 } as const;
const writesHeaderBytes = 17;
const changeBytes = 13;
const rangeBytes = 12;

export const isVolumeKind = (number: number): boolean => kindOf.has(number);

/** Payload in pieces. Throws for a frame beyond the limits: that is a fault of the sender. */
export function encodeVolumeFrame(frame: VolumeFrame, packed: Buffer | null): readonly Uint8Array[] {
  switch (frame.kind) {
    case 'volume-writes':
      return encodeWrites(frame, packed);
    case 'volume-ack': {
      const bytes = Buffer.alloc(19);
      bytes.writeUIntBE(frame.received, 0, 6);
      bytes.writeUIntBE(frame.durable, 6, 6);
      bytes.writeUIntBE(frame.sequence, 12, 6);
      bytes[18] = frame.consistent ? 1 : 0;
      return [bytes];
    }
    case 'volume-standing':
      return encodeStanding(frame);
    case 'volume-resync': {
      const bytes = Buffer.alloc(12);
      bytes.writeUIntBE(frame.bytes, 0, 6);
      bytes.writeUIntBE(frame.sizeBytes, 6, 6);
      return [bytes, stampBytes(frame.stamp)];
    }
    case 'volume-compare': {
      if (!isQuestion(frame.ranges)) throw new Error(`a comparison of ${String(frame.ranges.length)} ranges`);
      const bytes = Buffer.alloc(6);
      bytes.writeUIntBE(frame.number, 0, 6);
      return [bytes, rangesBytes(frame.ranges)];
    }
    case 'volume-hashes': {
      const bytes = Buffer.alloc(6);
      bytes.writeUIntBE(frame.number, 0, 6);
      return [bytes, frame.hashes];
    }
  }
}

/** Bytes that its writes carry. */
export function contentBytesOf({ changes }: Pick<VolumeWrites, 'changes'>): number {
  return changes.reduce((sum, change) => sum + (change.kind === 'write' ? change.contents.length : 0), 0);
}

/** In as few pieces as they lie in: what was gathered into one buffer is one. */
export function contentsOf({ changes }: VolumeWrites): Buffer[] {
  const pieces: Buffer[] = [];
  let begun: Buffer | null = null;
  let bytes = 0;
  const close = (): void => {
    if (begun === null) return;
    pieces.push(bytes === begun.length ? begun : Buffer.from(begun.buffer, begun.byteOffset, bytes));
  };
  for (const change of changes) {
    if (change.kind !== 'write') continue;
    const { contents } = change;
    if (begun?.buffer === contents.buffer && begun.byteOffset + bytes === contents.byteOffset) {
      bytes += contents.length;
      continue;
    }
    close();
    begun = contents;
    bytes = contents.length;
  }
  close();
  return pieces;
}

function encodeWrites(frame: VolumeWrites, packed: Buffer | null): readonly Uint8Array[] {
  const { changes } = frame;
  if (changes.length > changesMax || contentBytesOf(frame) > dataBytesMax)
    throw new Error(`${String(changes.length)} changes in one frame`);
  const bytes = Buffer.allocUnsafe(writesHeaderBytes + changes.length * changeBytes);
  bytes.writeUIntBE(frame.number, 0, 6);
  bytes.writeUIntBE(frame.sequence, 6, 6);
  bytes[12] =
    (frame.barrier ? flags.barrier : 0) |
    (frame.inStep ? flags.inStep : 0) |
    (frame.resync ? flags.resync : 0) |
    (packed === null ? 0 : flags.compressed);
  bytes.writeUInt32BE(changes.length, 13);
  let at = writesHeaderBytes;
  for (const change of changes) {
    bytes[at] =
      change.kind === 'write' ? changeKinds.write : change.hole ? changeKinds.hole : changeKinds.zero;
    bytes.writeUIntBE(change.offset, at + 1, 6);
    bytes.writeUIntBE(change.kind === 'write' ? change.contents.length : change.length, at + 7, 6);
    at += changeBytes;
  }
  return packed === null ? [bytes, ...contentsOf(frame)] : [bytes, packed];
}

function encodeStanding(frame: VolumeStanding): readonly Uint8Array[] {
  if (frame.ranges.length > rangesMax) throw new Error(`${String(frame.ranges.length)} ranges in one frame`);
  const head = Buffer.alloc(7);
  head.writeUIntBE(frame.sizeBytes, 0, 6);
  head[6] = frame.last ? 1 : 0;
  const count = Buffer.alloc(4);
  count.writeUInt32BE(frame.ranges.length, 0);
  return [head, stampBytes(frame.stamp), count, rangesBytes(frame.ranges)];
}

function rangesBytes(ranges: readonly ByteRange[]): Buffer {
  const bytes = Buffer.allocUnsafe(ranges.length * rangeBytes);
  ranges.forEach(({ offset, length }, i) => {
    bytes.writeUIntBE(offset, i * rangeBytes, 6);
    bytes.writeUIntBE(length, i * rangeBytes + 6, 6);
  });
  return bytes;
}

/** Whether one frame may ask for them. */
function isQuestion(ranges: readonly ByteRange[]): boolean {
  let blocks = 0;
  for (const { offset, length } of ranges) {
    if (length === 0 || offset % blockBytes !== 0) return false;
    blocks += blocksIn(length);
  }
  return ranges.length > 0 && blocks <= compareBlocksMax;
}

function stampBytes(stamp: string): Buffer {
  const text = Buffer.from(stamp);
  if (text.length > stampBytesMax) throw new Error(`a stamp of ${String(text.length)} bytes`);
  return Buffer.concat([Buffer.from([text.length]), text]);
}

/** What a payload of this kind is; buffers in it are views of the payload. */
export function decodeVolumeFrame(number: number, payload: Buffer): VolumeFrame | Garbage {
  switch (number) {
    case volumeKinds['volume-writes']:
      return decodeWrites(payload);
    case volumeKinds['volume-ack']:
      return decodeAck(payload);
    case volumeKinds['volume-standing']:
      return decodeStanding(payload);
    case volumeKinds['volume-resync']:
      return decodeResync(payload);
    case volumeKinds['volume-compare']:
      return decodeCompare(payload);
    case volumeKinds['volume-hashes']:
      return decodeHashes(payload);
    default:
      return garbage(`a frame of the unknown kind ${String(number)}`);
  }
}

const garbage = (says: string): Garbage => ({ kind: 'garbage', says });

function decodeWrites(payload: Buffer): VolumeWrites | Garbage {
  if (payload.length < writesHeaderBytes) return garbage('writes that end in their header');
  const bits = payload.readUInt8(12);
  const count = payload.readUInt32BE(13);
  const contentsAt = writesHeaderBytes + count * changeBytes;
  if ((bits & ~knownFlags) !== 0) return garbage('writes with unknown flags');
  if (count > changesMax || contentsAt > payload.length)
    return garbage(`${String(count)} changes in a frame`);
  const contents = expanded(payload.subarray(contentsAt), (bits & flags.compressed) !== 0);
  if (contents === null) return garbage('contents that can not be expanded within the limit');
  const changes = changesOf(payload, count, contents);
  if (typeof changes === 'string') return garbage(changes);
  return {
    kind: 'volume-writes',
    number: payload.readUIntBE(0, 6),
    sequence: payload.readUIntBE(6, 6),
    changes,
    barrier: (bits & flags.barrier) !== 0,
    inStep: (bits & flags.inStep) !== 0,
    resync: (bits & flags.resync) !== 0,
  };
}

function expanded(contents: Buffer, compressed: boolean): Buffer | null {
  if (!compressed) return contents;
  try {
    return brotliDecompressSync(contents, { maxOutputLength: dataBytesMax });
  } catch {
    // V1: it says no more than this, whether the bytes are none of brotli's or come to too many.
    return null;
  }
}

function changesOf(payload: Buffer, count: number, contents: Buffer): readonly BlockChange[] | string {
  const changes: BlockChange[] = [];
  let used = 0;
  for (let i = 0; i < count; i += 1) {
    const at = writesHeaderBytes + i * changeBytes;
    const offset = payload.readUIntBE(at + 1, 6);
    const length = payload.readUIntBE(at + 7, 6);
    if (length === 0 || offset + length > u48Max) return 'a change of nothing, or beyond the largest volume';
    const kind = payload.readUInt8(at);
    switch (kind) {
      case changeKinds.write:
        if (length > contents.length - used) return 'writes that end before their contents';
        changes.push({ kind: 'write', offset, contents: contents.subarray(used, used + length) });
        used += length;
        break;
      case changeKinds.zero:
      case changeKinds.hole:
        changes.push({ kind: 'zero', offset, length, hole: kind === changeKinds.hole });
        break;
      default:
        return 'a change of an unknown kind';
    }
  }
  return used === contents.length && used <= dataBytesMax ? changes : 'contents that belong to no write';
}

function decodeAck(payload: Buffer): VolumeFrame | Garbage {
  if (payload.length !== 19) return garbage('an acknowledgement of another length');
  const consistent = payload.readUInt8(18);
  const received = payload.readUIntBE(0, 6);
  const durable = payload.readUIntBE(6, 6);
  if (consistent > 1 || durable > received) return garbage('an acknowledgement that contradicts itself');
  const sequence = payload.readUIntBE(12, 6);
  return { kind: 'volume-ack', received, durable, sequence, consistent: consistent === 1 };
}

function decodeStanding(payload: Buffer): VolumeFrame | Garbage {
  const stamp = payload.length < 7 ? null : stampAt(payload, 7);
  if (stamp === null || payload.length < stamp.end + 4) return garbage('a standing that ends early');
  const count = payload.readUInt32BE(stamp.end);
  const listAt = stamp.end + 4;
  if (count > rangesMax || payload.length !== listAt + count * rangeBytes)
    return garbage('a standing of another length');
  const last = payload.readUInt8(6);
  if (last > 1) return garbage('a standing with unknown flags');
  const ranges = rangesIn(payload.subarray(listAt));
  if (ranges === null) return garbage('a range beyond the largest volume');
  const sizeBytes = payload.readUIntBE(0, 6);
  return { kind: 'volume-standing', sizeBytes, stamp: stamp.text, ranges, last: last === 1 };
}

function decodeResync(payload: Buffer): VolumeFrame | Garbage {
  const stamp = payload.length < 12 ? null : stampAt(payload, 12);
  if (stamp?.end !== payload.length) return garbage('a resync of another length');
  return {
    kind: 'volume-resync',
    stamp: stamp.text,
    bytes: payload.readUIntBE(0, 6),
    sizeBytes: payload.readUIntBE(6, 6),
  };
}

/** Null: one is of nothing, or beyond the largest volume. */
function rangesIn(list: Buffer): readonly ByteRange[] | null {
  const ranges: ByteRange[] = [];
  for (let at = 0; at < list.length; at += rangeBytes) {
    const offset = list.readUIntBE(at, 6);
    const length = list.readUIntBE(at + 6, 6);
    if (length === 0 || offset + length > u48Max) return null;
    ranges.push({ offset, length });
  }
  return ranges;
}

/** ASCII letters and digits; null: it is none. */
function stampAt(payload: Buffer, at: number): { readonly text: string; readonly end: number } | null {
  if (payload.length <= at) return null;
  const end = at + 1 + payload.readUInt8(at);
  if (end > payload.length || end - at - 1 > stampBytesMax) return null;
  const text = payload.toString('latin1', at + 1, end);
  return /^[\w-]*$/.test(text) ? { text, end } : null;
}

function decodeCompare(payload: Buffer): VolumeFrame | Garbage {
  const count = (payload.length - 6) / rangeBytes;
  if (!Number.isInteger(count) || count < 1 || count > compareBlocksMax)
    return garbage('a comparison of another length');
  const ranges = rangesIn(payload.subarray(6));
  if (ranges === null || !isQuestion(ranges)) return garbage('a comparison beyond the limits');
  return { kind: 'volume-compare', number: payload.readUIntBE(0, 6), ranges };
}

function decodeHashes(payload: Buffer): VolumeFrame | Garbage {
  const bytes = payload.length - 6;
  if (bytes < hashBytes || bytes % hashBytes !== 0 || bytes / hashBytes > compareBlocksMax)
    return garbage('hashes of another length');
  return { kind: 'volume-hashes', number: payload.readUIntBE(0, 6), hashes: payload.subarray(6) };
}
