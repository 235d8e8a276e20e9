/**
 * Whether to compress a data frame. Brotli at quality 0 is the fastest that Node brings along; it pays where the line
 * and not the processor is the limit.
 *
 * C1. `auto` compresses only while frames wait for the line, and the line is slower than half of what this processor
 *     compresses: the other half is for reading and hashing.
 *     How fast that is was measured some time ago, of whatever came: a small frame, the first one, and a busy host take much
 *     longer. Where it says no, a frame now and then is compressed to measure it anew.
 * C2. Contents that do not shrink are left alone for a while, and tried again with one frame.
 */

import { brotliCompressSync, constants } from 'node:zlib';
import type { CompressionMode } from './types.ts';

/** Smaller frames gain less than the call costs. */
const contentBytesMin = 1_024;
/** What has to be saved: a tenth. */
const worthShare = 0.9;
/** Of an old speed in the smoothed one. */
const keep = 7 / 8;
const skipMin = 8;
const skipMax = 256;
/** C1: of so many frames one is measured. */
const measureEvery = 64;

export const bytesOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => sum + piece.length, 0);

export class Compression {
  mode: CompressionMode;
  /** Bytes for each millisecond, smoothed; null before the first. */
  #speed: number | null = null;
  #skip = 0;
  #skipNext = skipMin;
  /** Frames for which it was too slow. */
  #slow = 0;

  readonly #now: () => number;

  /** `now`: milliseconds that only rise. */
  constructor(mode: CompressionMode, now: () => number = () => performance.now()) {
    this.mode = mode;
    this.#now = now;
  }

  /**
   * The compressed contents, the pieces as one, or null when they are to be sent as they are. `lineBytesPerMs`: what the line carries, or
   * null when frames do not wait for it.
   */
  compress(pieces: readonly Buffer[], lineBytesPerMs: number | null): Buffer | null {
    if (this.mode === 'never' || bytesOf(pieces) < contentBytesMin) return null;
    if (this.mode === 'auto' && !this.#pays(lineBytesPerMs)) return null;
    if (this.#skip > 0) {
      this.#skip -= 1;
      return null;
    }
    const [first] = pieces;
    const contents = first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces);
    const packed = this.#pack(contents);
    if (packed.length <= contents.length * worthShare) {
      this.#skipNext = skipMin;
      return packed;
    }
    // C2.
    this.#skip = this.#skipNext;
    this.#skipNext = Math.min(skipMax, this.#skipNext * 2);
    return null;
  }

  /** C1. */
  #pays(lineBytesPerMs: number | null): boolean {
    if (lineBytesPerMs === null) return false;
    if (this.#speed === null || this.#speed > 2 * lineBytesPerMs) return true;
    this.#slow = (this.#slow + 1) % measureEvery;
    return this.#slow === 0;
  }

  #pack(contents: Buffer): Buffer {
    const fromMs = this.#now();
    const packed = brotliCompressSync(contents, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: 0,
        [constants.BROTLI_PARAM_LGWIN]: 18,
        [constants.BROTLI_PARAM_SIZE_HINT]: contents.length,
      },
    });
    const speed = contents.length / Math.max(0.001, this.#now() - fromMs);
    this.#speed = this.#speed === null ? speed : this.#speed * keep + speed * (1 - keep);
    return packed;
  }
}
