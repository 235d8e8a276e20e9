/**
 * Makes frames of the bytes as they come. A frame that lies whole within what the system delivered is a view of it; one
 * that comes in parts has a buffer of its own, into which the system reads what is missing.
 *
 * A1. It holds at most one frame that is not whole, and no frame is larger than the limit: whoever is not yet
 *     authenticated gets a small one.
 */

import { dataKind, headerBytes } from './frame.ts';
import { frameBytesMax } from './limits.ts';
import { SpareBuffers } from './spare-buffers.ts';
import { volumeKinds } from './volume-codec.ts';

const lengthBytes = 4;
/** The usual frame of contents of a large file or of a volume; larger ones get a buffer of their own. */
const spareBytes = 524_288 + 64;
/** What a target has not written yet of the contents of large files (8 MiB), and what is just being read. */
const sparesMax = 24;
/** Below it a buffer of the right size is cheaper. */
const spareBytesMin = 65_536;

/** What small frames lie in; never used again, since their frames are views of it. */
const chunkBytes = 65_536;
const roomBytesMin = 4_096;

export interface RawFrame {
  readonly kind: number;
  readonly payload: Buffer;
}

export class Assembly {
  /** Bytes of a payload; raised once the other side is known. */
  limit: number;
  /** What came last and is not read yet. */
  #chunk: Buffer | null = null;
  #at = 0;
  /** The beginning of a header that was cut in two. */
  readonly #header = Buffer.alloc(headerBytes);
  #headerFilled = 0;
  /** A payload that is not whole. */
  #payload: Buffer | null = null;
  readonly #spares = new SpareBuffers(spareBytes, sparesMax);
  #filled = 0;
  /** Of which room was given out up to `#usedBytes`. */
  #memory: Buffer | null = null;
  #usedBytes = 0;
  /** The last frame was large: what comes is the header of another one. */
  #large = false;

  constructor(limit = frameBytesMax) {
    this.limit = limit;
  }

  /** Bytes that came and are in no frame yet. */
  get unread(): number {
    const begun = this.#payload === null ? this.#headerFilled : headerBytes + this.#filled;
    return begun + (this.#chunk === null ? 0 : this.#chunk.length - this.#at);
  }

  /** Where the next bytes are to be put. To be asked for when `next` has answered null. */
  room(): Buffer {
    if (this.#payload !== null) return this.#payload.subarray(this.#filled);
    if (this.#memory === null || this.#memory.length - this.#usedBytes < roomBytesMin) {
      this.#memory = Buffer.allocUnsafeSlow(chunkBytes);
      this.#usedBytes = 0;
    }
    const end = this.#large ? this.#usedBytes + roomBytesMin : this.#memory.length;
    return this.#memory.subarray(this.#usedBytes, end);
  }

  /** So many came to where there was room. */
  came(bytes: number): void {
    if (this.#payload !== null) {
      this.#filled += bytes;
      return;
    }
    if (this.#memory === null) throw new Error('bytes came for which there was no room');
    this.push(this.#memory.subarray(this.#usedBytes, this.#usedBytes + bytes));
    this.#usedBytes += bytes;
  }

  /** Throws unless `next` had answered null before. The chunk belongs to the assembly from now on. */
  push(chunk: Buffer): void {
    if (this.#chunk !== null) throw new Error('bytes came before the last ones were read');
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole frame; null when more has to come; a sentence when what came is none. */
  next(): RawFrame | string | null {
    if (this.#payload !== null && this.#filled === this.#payload.length) return this.#parted(this.#payload);
    const chunk = this.#chunk;
    if (chunk === null) return null;
    if (this.#payload === null) {
      if (!this.#takeHeader(chunk)) return this.#empty();
      const length = this.#header.readUInt32BE(0) - 1;
      if (length < 0 || length > this.limit) return `a frame of ${String(length)} bytes`;
      const end = this.#at + length;
      if (end <= chunk.length) {
        const payload = chunk.subarray(this.#at, end);
        this.#at = end;
        this.#large = false;
        return this.#whole(payload);
      }
      const kind = this.#header[lengthBytes];
      const hasContents = kind === dataKind || kind === volumeKinds['volume-writes'];
      const isSpare = hasContents && length >= spareBytesMin && length <= spareBytes;
      this.#payload = isSpare ? this.#spares.take(length) : Buffer.allocUnsafeSlow(length);
      this.#filled = 0;
    }
    const payload = this.#payload;
    const copied = chunk.copy(payload, this.#filled, this.#at);
    this.#filled += copied;
    this.#at += copied;
    return this.#filled < payload.length ? this.#empty() : this.#parted(payload);
  }

  /** Nobody needs this payload any more. */
  spare(payload: Buffer): void {
    this.#spares.give(payload);
  }

  #takeHeader(chunk: Buffer): boolean {
    const copied = chunk.copy(this.#header, this.#headerFilled, this.#at);
    this.#headerFilled += copied;
    this.#at += copied;
    return this.#headerFilled === headerBytes;
  }

  #parted(payload: Buffer): RawFrame {
    this.#payload = null;
    this.#large = payload.length >= spareBytesMin;
    return this.#whole(payload);
  }

  #whole(payload: Buffer): RawFrame {
    this.#headerFilled = 0;
    return { kind: this.#header.readUInt8(lengthBytes), payload };
  }

  #empty(): null {
    this.#chunk = null;
    return null;
  }
}
