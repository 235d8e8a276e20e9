/** Requests of a client, and answers to it, as bytes. */

import type { Segment } from '../store/store.ts';
import type { Incoming } from './incoming.ts';
import { allocationId } from './handshake.ts';
import {
  chunk,
  command,
  extentFlags,
  extentsMax,
  requestBytesMax,
  requestMagic,
  simpleReplyMagic,
  structuredReplyMagic,
} from './protocol.ts';

export interface Request {
  readonly flags: number;
  readonly command: number;
  /** As the client chose it; 8 bytes that go back with the answer. */
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
  /** Of a write; otherwise empty. A piece of Incoming. */
  readonly contents: Buffer;
}

const headerBytes = 28;
const none = Buffer.alloc(0);

export class Requests {
  readonly #incoming: Incoming;
  #header: Request | null = null;

  constructor(incoming: Incoming) {
    this.#incoming = incoming;
  }

  /** Null: more has to come. A sentence: what came is no request, and nothing after it can be read. */
  next(): Request | string | null {
    if (this.#header === null) {
      const bytes = this.#incoming.take(headerBytes);
      if (bytes === null) return null;
      const header = headerOf(bytes);
      if (typeof header === 'string') return header;
      if (header.command !== command.write) return header;
      this.#header = header;
    }
    const { flags, command: number, cookie, offset, length } = this.#header;
    const contents = this.#incoming.take(length);
    if (contents === null) return null;
    this.#header = null;
    return { flags, command: number, cookie, offset, length, contents };
  }
}

function headerOf(bytes: Buffer): Request | string {
  if (bytes.readUInt32BE(0) !== requestMagic) return 'what it sends is no request';
  const number = bytes.readUInt16BE(6);
  const length = bytes.readUInt32BE(24);
  if ((number === command.write || number === command.read) && length > requestBytesMax)
    return `a request of ${String(length)} bytes`;
  return {
    flags: bytes.readUInt16BE(4),
    command: number,
    cookie: bytes.readBigUInt64BE(8),
    // Beyond 2^53 it is inexact, and beyond every volume.
    offset: bytes.readUInt32BE(16) * 2 ** 32 + bytes.readUInt32BE(20),
    length,
    contents: none,
  };
}

export function simpleReply(cookie: bigint, outcome: number): Buffer {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUInt32BE(simpleReplyMagic, 0);
  bytes.writeUInt32BE(outcome, 4);
  bytes.writeBigUInt64BE(cookie, 8);
  return bytes;
}

/** The only chunk of an answer; `payloadBytes` are in it from byte 20 on, and `behind` follow. */
function structured(cookie: bigint, type: number, payloadBytes: number, behind: number): Buffer {
  const bytes = Buffer.alloc(20 + payloadBytes);
  bytes.writeUInt32BE(structuredReplyMagic, 0);
  bytes.writeUInt16BE(chunk.done, 4);
  bytes.writeUInt16BE(type, 6);
  bytes.writeBigUInt64BE(cookie, 8);
  bytes.writeUInt32BE(payloadBytes + behind, 16);
  return bytes;
}

/** What goes before the contents of a read. */
export function structuredData(cookie: bigint, offset: number, length: number): Buffer {
  const bytes = structured(cookie, chunk.offsetData, 8, length);
  bytes.writeBigUInt64BE(BigInt(offset), 20);
  return bytes;
}

export function structuredError(cookie: bigint, outcome: number): Buffer {
  const bytes = structured(cookie, chunk.error, 6, 0);
  bytes.writeUInt32BE(outcome, 20);
  return bytes;
}

/** What of the range holds data. `one`: only the first extent is asked for. */
export function structuredAllocation(
  cookie: bigint,
  range: Segment,
  data: readonly Segment[],
  one: boolean,
): Buffer {
  const extents: { readonly length: number; readonly flags: number }[] = [];
  const add = (length: number, flags: number): void => {
    if (length > 0 && extents.length < (one ? 1 : extentsMax)) extents.push({ length, flags });
  };
  let at = range.offset;
  for (const { offset, length } of data) {
    add(offset - at, extentFlags.hole | extentFlags.zero);
    add(length, 0);
    at = offset + length;
  }
  add(range.offset + range.length - at, extentFlags.hole | extentFlags.zero);
  const bytes = structured(cookie, chunk.blockStatus, 4 + extents.length * 8, 0);
  bytes.writeUInt32BE(allocationId, 20);
  extents.forEach(({ length, flags }, i) => {
    bytes.writeUInt32BE(length, 24 + i * 8);
    bytes.writeUInt32BE(flags, 28 + i * 8);
  });
  return bytes;
}
