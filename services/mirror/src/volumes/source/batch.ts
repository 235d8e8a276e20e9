/**
 * Changes on their way into frames. Large writes are cut; what a frame can't hold waits for the next one.
 *
 *   B1  contents are copied, one behind the other, into memory that is used again when the frame has left: whose they were
 *       need not wait for that, and the line need not gather them. They may lie in memory that is shared
 *   B2  a write that a frame can hold lies in one: a target that is taken over to has the whole of it or nothing
 */

import { copyShared } from '../../os/shared-copy.ts';
import { SpareBuffers } from '../../transport/spare-buffers.ts';
import { changesMax, type BlockChange } from '../../transport/volume-frames.ts';

/** Of one frame: enough that its own cost does not count, and little enough that beats do not wait for it. */
const frameBytes = 262_144;
/** Of the volume, that zeros of one frame cover: a target whose disk writes them is to answer now and then. */
const frameZeroBytes = 16_777_216;

export interface BatchFrame {
  readonly changes: readonly BlockChange[];
  /** Of the last change that ends in it or before it. */
  readonly sequence: number;
  readonly bytes: number;
  /** Of the volume, that its zeros cover. */
  readonly zeroBytes: number;
  /** Nobody needs its contents any more. */
  readonly done: () => void;
}

/** Of all targets of a thread, and no more than one has under way before writes wait for it. */
const sparesMax = 128;
const spares = new SpareBuffers(frameBytes, sparesMax);

export class Batch {
  #frames: BatchFrame[] = [];
  #open: BlockChange[] = [];
  #openBytes = 0;
  #openZeroBytes = 0;
  #contents: Buffer | null = null;
  #bytes = 0;
  #zeroBytes = 0;
  #sequence: number;

  constructor(sequence: number) {
    this.#sequence = sequence;
  }

  /** Of contents. */
  get bytes(): number {
    return this.#bytes;
  }

  get zeroBytes(): number {
    return this.#zeroBytes;
  }

  get empty(): boolean {
    return this.#open.length === 0 && this.#frames.length === 0;
  }

  /** Of the last change that was added. */
  get sequence(): number {
    return this.#sequence;
  }

  /** What was written up to here went before, or is among these changes. */
  reached(sequence: number): void {
    this.#sequence = sequence;
  }

  /** True: a frame is full. `mostBytes`: of contents of one frame. */
  add(sequence: number, change: BlockChange, mostBytes: number): boolean {
    const room = Math.min(frameBytes, mostBytes);
    if (change.kind === 'zero') this.#push(change, 0, change.length);
    else {
      const { offset, contents } = change;
      if (contents.length <= room && this.#openBytes + contents.length > room) this.#close(); // B2
      for (let at = 0; at < contents.length;) {
        if (this.#openBytes >= room) this.#close();
        if (this.#open.length >= changesMax) this.#close();
        const bytes = Math.min(contents.length - at, room - this.#openBytes);
        this.#push(
          { kind: 'write', offset: offset + at, contents: this.#copied(contents, at, bytes) },
          bytes,
        );
        at += bytes;
      }
    }
    this.#sequence = sequence;
    const full = this.#openBytes >= room || this.#openZeroBytes >= frameZeroBytes;
    if (full || this.#open.length >= changesMax) this.#close();
    return this.#frames.length > 0;
  }

  /** All frames, the last one as full as it is. Empty afterwards. */
  take(): readonly BatchFrame[] {
    if (this.#open.length > 0) this.#close();
    const frames = this.#frames;
    this.#frames = [];
    this.#bytes = 0;
    this.#zeroBytes = 0;
    return frames;
  }

  /** B1. */
  #copied(contents: Buffer, at: number, bytes: number): Buffer {
    this.#contents ??= spares.take(frameBytes);
    const copy = this.#contents.subarray(this.#openBytes, this.#openBytes + bytes);
    copyShared(contents.subarray(at, at + bytes), copy);
    return copy;
  }

  #push(change: BlockChange, bytes: number, zeroBytes = 0): void {
    if (this.#open.length >= changesMax) this.#close();
    this.#open.push(change);
    this.#openBytes += bytes;
    this.#openZeroBytes += zeroBytes;
    this.#bytes += bytes;
    this.#zeroBytes += zeroBytes;
  }

  #close(): void {
    const contents = this.#contents;
    const done = (): void => {
      if (contents !== null) spares.give(contents);
    };
    this.#frames.push({
      ...{ changes: this.#open, sequence: this.#sequence, done },
      ...{ bytes: this.#openBytes, zeroBytes: this.#openZeroBytes },
    });
    this.#contents = null;
    this.#open = [];
    this.#openBytes = 0;
    this.#openZeroBytes = 0;
  }
}
