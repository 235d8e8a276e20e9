/** Changes on their way into frames. Large writes are cut; what a frame can't hold waits for the next one. */

import { changesMax, type BlockChange } from '../../transport/volume-frames.ts';

/** Of one frame: enough that its own cost does not count, and little enough that beats do not wait for it. */
const frameBytes = 262_144;

export interface BatchFrame {
  readonly changes: readonly BlockChange[];
  /** Of the last change that ends in it or before it. */
  readonly sequence: number;
  readonly bytes: number;
}

export class Batch {
  #frames: BatchFrame[] = [];
  #open: BlockChange[] = [];
  #openBytes = 0;
  #bytes = 0;
  #sequence: number;

  constructor(sequence: number) {
    this.#sequence = sequence;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#open.length === 0 && this.#frames.length === 0;
  }

  /** Of the last change that was added. */
  get sequence(): number {
    return this.#sequence;
  }

  /** True: a frame is full. `mostBytes`: of contents of one frame. */
  add(sequence: number, change: BlockChange, mostBytes: number): boolean {
    const room = Math.min(frameBytes, mostBytes);
    if (change.kind === 'zero') this.#push(change, 0);
    else {
      const { offset, contents } = change;
      for (let at = 0; at < contents.length;) {
        if (this.#openBytes >= room) this.#close();
        const piece = contents.subarray(at, at + room - this.#openBytes);
        this.#push({ kind: 'write', offset: offset + at, contents: piece }, piece.length);
        at += piece.length;
      }
    }
    this.#sequence = sequence;
    if (this.#openBytes >= room || this.#open.length >= changesMax) this.#close();
    return this.#frames.length > 0;
  }

  /** All frames, the last one as full as it is. Empty afterwards. */
  take(): readonly BatchFrame[] {
    if (this.#open.length > 0) this.#close();
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    return frames;
  }

  #push(change: BlockChange, bytes: number): void {
    if (this.#open.length >= changesMax) this.#close();
    this.#open.push(change);
    this.#openBytes += bytes;
    this.#bytes += bytes;
  }

  #close(): void {
    this.#frames.push({ changes: this.#open, sequence: this.#sequence, bytes: this.#openBytes });
    this.#open = [];
    this.#openBytes = 0;
  }
}
