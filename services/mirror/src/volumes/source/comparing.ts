/** Questions to a target about the hashes of ranges, and their answers, in order. */

import {
  blocksIn,
  compareBlocksMax,
  hashBytes,
  type ByteRange,
  type VolumeCompare,
  type VolumeHashes,
} from '../../transport/volume-frames.ts';

type Answered = (hashes: Buffer) => void;

interface Asked {
  readonly number: number;
  readonly blocks: number;
  readonly answered: Answered;
}

export class Comparing {
  /** Of one question. */
  readonly rangesMax: number;
  readonly #send: (frame: VolumeCompare) => void;
  readonly #asked: Asked[] = [];
  #number = 0;

  /** `compareRanges`: of the target's hello. */
  constructor(compareRanges: number, send: (frame: VolumeCompare) => void) {
    this.rangesMax = Math.min(compareBlocksMax, Math.max(1, compareRanges));
    this.#send = send;
  }

  get underWay(): number {
    return this.#asked.length;
  }

  /** One of questionsOf(). What was sent before is in the answer. */
  ask(ranges: readonly ByteRange[], answered: Answered): void {
    this.#number += 1;
    const blocks = ranges.reduce((sum, { length }) => sum + blocksIn(length), 0);
    this.#asked.push({ number: this.#number, blocks, answered });
    this.#send({ kind: 'volume-compare', number: this.#number, ranges });
  }

  /** False: it answers nothing that was asked. */
  answer(frame: VolumeHashes): boolean {
    const asked = this.#asked.shift();
    if (asked?.number !== frame.number) return false;
    if (frame.hashes.length !== asked.blocks * hashBytes) return false;
    asked.answered(frame.hashes);
    return true;
  }
}
