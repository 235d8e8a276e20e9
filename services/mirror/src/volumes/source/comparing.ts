/** Questions to a target about the hashes of ranges, and their answers, in order. */

import { blocksIn } from '../hashing.ts';
import { hashBytes, type VolumeCompare, type VolumeHashes } from '../../transport/volume-frames.ts';

type Answered = (hashes: Buffer) => void;

export class Comparing {
  readonly #send: (frame: VolumeCompare) => void;
  readonly #asked: { readonly number: number; readonly length: number; readonly answered: Answered }[] = [];
  #number = 0;

  constructor(send: (frame: VolumeCompare) => void) {
    this.#send = send;
  }

  get underWay(): number {
    return this.#asked.length;
  }

  /** What was sent before is in the answer. */
  ask(offset: number, length: number, answered: Answered): void {
    this.#number += 1;
    this.#asked.push({ number: this.#number, length, answered });
    this.#send({ kind: 'volume-compare', number: this.#number, offset, length });
  }

  /** False: it answers nothing that was asked. */
  answer(frame: VolumeHashes): boolean {
    const asked = this.#asked.shift();
    if (asked?.number !== frame.number) return false;
    if (frame.hashes.length !== blocksIn(asked.length) * hashBytes) return false;
    asked.answered(frame.hashes);
    return true;
  }
}
