/**
 * Frames that came while the consumer holds, in order.
 */

import type { RawFrame } from './assembly.ts';

/** Above this nothing more is to be read. */
const bytesMax = 1_048_576;
/** What a frame costs beside its payload. */
const frameBytes = 64;

export class Inbox {
  #frames: RawFrame[] = [];
  /** Frames before this one were taken. */
  #first = 0;
  #bytes = 0;

  get full(): boolean {
    return this.#bytes >= bytesMax;
  }

  add(frame: RawFrame): void {
    if (this.#first > 0) this.#frames = this.#frames.slice(this.#first);
    this.#first = 0;
    this.#frames.push(frame);
    this.#bytes += frame.payload.length + frameBytes;
  }

  /** The oldest, or null. */
  take(): RawFrame | null {
    const frame = this.#frames[this.#first];
    if (frame === undefined) {
      this.#frames = [];
      this.#first = 0;
      return null;
    }
    this.#first += 1;
    this.#bytes -= frame.payload.length + frameBytes;
    return frame;
  }
}
