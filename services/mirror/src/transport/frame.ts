/**
 * Frames as bytes: length (u32, big endian, of what follows), kind (u8), payload. The payload of control frames is a
 * message of the contract; that of data frames is raw, so that contents are neither copied nor scanned:
 *
 *   data   stream u32, offset u48, flags u8, contents                     flag 1: contents are compressed (brotli)
 *   hole   stream u32, offset u48, flags u8 = 2, length u48
 *
 * Kinds from 16 on are those of volumes (volume-codec.ts).
 *
 * Kind 15 is the line's own, from one end of it to the other: how many bytes were heard since the beginning, u48.
 *
 * F1. What decodes is what was encoded, and nothing else decodes: decodeFrame answers every payload with a frame or with
 *     garbage, and makes no more of it than the limits allow, contents that are decompressed included.
 */

import { brotliDecompressSync } from 'node:zlib';
import {
  readAck,
  readBeat,
  readBegin,
  readCandidates,
  readCommit,
  readHello,
  readOffer,
  readPlan,
  readRefuse,
  readStreamAbort,
  readStreamEnd,
  readWants,
} from './decode.ts';
import { readOperations } from './decode-operation.ts';
import { encodeMessage, type ControlFrame } from './encode.ts';
import { dataBytesMax, frameBytesMax } from './limits.ts';
import type { Data, Frame, Garbage, Hole } from './types.ts';
import { decodeVolumeFrame, encodeVolumeFrame, isVolumeKind, volumeKinds } from './volume-codec.ts';
import type { VolumeFrame, VolumeWrites } from './volume-frames.ts';
import { Malformed, WireReader } from './wire-reader.ts';

/** Length and kind. */
export const headerBytes = 5;
const lengthBytes = 4;
const dataHeaderBytes = 11;
const holeBytes = dataHeaderBytes + 6;
const flagCompressed = 1;
const flagHole = 2;
const u48Max = 2 ** 48 - 1;

export const dataKind = 14;
export const heardKind = 15;

/** Numbers of the kinds on the line; they are part of the contract. */
const kinds: Readonly<Record<ControlFrame['kind'], number>> = {
  hello: 1,
  refuse: 2,
  plan: 3,
  candidates: 4,
  offer: 5,
  wants: 6,
  begin: 7,
  operations: 8,
  'stream-end': 9,
  'stream-abort': 10,
  commit: 11,
  ack: 12,
  beat: 13,
};

export const beatKind = kinds.beat;

const readers = new Map<number, (r: WireReader) => ControlFrame>([
  [kinds.hello, readHello],
  [kinds.refuse, readRefuse],
  [kinds.plan, readPlan],
  [kinds.candidates, readCandidates],
  [kinds.offer, readOffer],
  [kinds.wants, readWants],
  [kinds.begin, readBegin],
  [kinds.operations, readOperations],
  [kinds['stream-end'], readStreamEnd],
  [kinds['stream-abort'], readStreamAbort],
  [kinds.commit, readCommit],
  [kinds.ack, readAck],
  [kinds.beat, readBeat],
]);

/** The bytes of a frame in the pieces in which they lie, header first. Throws when it is larger than any may be. */
export function encodeFrame(frame: Frame): readonly Uint8Array[] {
  if (frame.kind === 'data') return encodeData(frame, frame.contents, 0);
  if (frame.kind === 'hole') return [encodeHole(frame)];
  if (isOfVolume(frame)) return encodeOfVolume(frame, null);
  const payload = encodeMessage(frame);
  return [header(kinds[frame.kind], payload.length, 0), payload];
}

/** A frame whose contents were compressed. */
export function encodeCompressed(frame: Data | VolumeWrites, contents: Buffer): readonly Uint8Array[] {
  return frame.kind === 'data'
    ? encodeData(frame, contents, flagCompressed)
    : encodeOfVolume(frame, contents);
}

const isOfVolume = (frame: Frame): frame is VolumeFrame => Object.hasOwn(volumeKinds, frame.kind);

function encodeOfVolume(frame: VolumeFrame, packed: Buffer | null): readonly Uint8Array[] {
  const pieces = encodeVolumeFrame(frame, packed);
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  return [header(volumeKinds[frame.kind], bytes, 0), ...pieces];
}

/** `room`: bytes behind the header that the caller fills; they count as payload. */
function header(kind: number, payloadBytes: number, room: number): Buffer {
  if (payloadBytes + room > frameBytesMax)
    throw new Error(`a frame of ${String(payloadBytes)} bytes is too large`);
  const bytes = Buffer.allocUnsafe(headerBytes + room);
  bytes.writeUInt32BE(payloadBytes + room + 1, 0);
  bytes[lengthBytes] = kind;
  return bytes;
}

function streamHeader(frame: Data | Hole, flags: number, contentBytes: number, room: number): Buffer {
  const bytes = header(dataKind, contentBytes, room);
  bytes.writeUInt32BE(frame.stream, headerBytes);
  bytes.writeUIntBE(frame.offset, headerBytes + 4, 6);
  bytes[headerBytes + 10] = flags;
  return bytes;
}

function encodeData(frame: Data, contents: Uint8Array, flags: number): readonly Uint8Array[] {
  const length = frame.contents.length;
  if (length === 0 || length > dataBytesMax) throw new Error(`a data frame of ${String(length)} bytes`);
  return [streamHeader(frame, flags, contents.length, dataHeaderBytes), contents];
}

function encodeHole(frame: Hole): Buffer {
  const bytes = streamHeader(frame, flagHole, 0, holeBytes);
  bytes.writeUIntBE(frame.length, headerBytes + dataHeaderBytes, 6);
  return bytes;
}

/** The line's own frame: so many bytes were heard. */
export function encodeHeard(totalBytes: number): Uint8Array {
  const bytes = header(heardKind, 0, 6);
  bytes.writeUIntBE(totalBytes, headerBytes, 6);
  return bytes;
}

/** Null: it is none. */
export function decodeHeard(payload: Buffer): number | null {
  return payload.length === 6 ? payload.readUIntBE(0, 6) : null;
}

/**
 * What a payload of this kind is; buffers in it are views of the payload (types.ts, T2). `done` is called once no contents
 * of data or of writes are in the payload any more.
 */
export function decodeFrame(kind: number, payload: Buffer, done?: () => void): Frame | Garbage {
  if (payload.length > frameBytesMax) return garbage(`a frame of ${String(payload.length)} bytes`);
  if (kind === dataKind) return withDone(decodeData(payload), payload, done);
  if (isVolumeKind(kind)) return withDone(decodeVolumeFrame(kind, payload), payload, done);
  const read = readers.get(kind);
  if (read === undefined) return garbage(`a frame of the unknown kind ${String(kind)}`);
  try {
    return read(new WireReader(payload));
  } catch (error) {
    if (error instanceof Malformed) return garbage(error.message);
    throw error;
  }
}

const garbage = (says: string): Garbage => ({ kind: 'garbage', says });

function withDone(frame: Frame | Garbage, payload: Buffer, done?: () => void): Frame | Garbage {
  if (done === undefined) return frame;
  if (frame.kind === 'volume-writes') return { ...frame, done };
  if (frame.kind === 'data' && frame.contents.buffer === payload.buffer) return { ...frame, done };
  done();
  return frame;
}

function decodeData(payload: Buffer): Frame | Garbage {
  if (payload.length < dataHeaderBytes) return garbage('a data frame that ends in its header');
  const stream = payload.readUInt32BE(0);
  const offset = payload.readUIntBE(4, 6);
  const flags = payload.readUInt8(10);
  const rest = payload.subarray(dataHeaderBytes);
  if (stream === 0) return garbage('a data frame of no stream');
  switch (flags) {
    case 0:
      return data(stream, offset, rest);
    case flagCompressed:
      return decompressed(stream, offset, rest);
    case flagHole:
      return hole(stream, offset, rest);
    default:
      return garbage('a data frame with unknown flags');
  }
}

function data(stream: number, offset: number, contents: Buffer): Data | Garbage {
  if (contents.length === 0 || contents.length > dataBytesMax) {
    return garbage(`a data frame of ${String(contents.length)} bytes`);
  }
  if (offset + contents.length > u48Max) return garbage('contents beyond the largest file');
  return { kind: 'data', stream, offset, contents };
}

function decompressed(stream: number, offset: number, rest: Buffer): Data | Garbage {
  let contents: Buffer;
  try {
    contents = brotliDecompressSync(rest, { maxOutputLength: dataBytesMax });
  } catch {
    // F1: it says no more than this, whether the bytes are none of brotli's or come to too many.
    return garbage('compressed contents that can not be expanded within the limit');
  }
  return data(stream, offset, contents);
}

function hole(stream: number, offset: number, rest: Buffer): Hole | Garbage {
  if (rest.length !== 6) return garbage('a hole without a length');
  const length = rest.readUIntBE(0, 6);
  if (length === 0 || offset + length > u48Max) return garbage('a hole beyond the largest file');
  return { kind: 'hole', stream, offset, length };
}
