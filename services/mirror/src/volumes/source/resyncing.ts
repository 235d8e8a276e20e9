/**
 * Brings one target in step: goes through the chunks that may differ, asks for the hashes of their blocks, and sends the
 * blocks that do. The service goes on writing meanwhile.
 *
 *   C1  from the moment a chunk is asked about, every write to it is forwarded; so what is sent for it later is never
 *       older than what the target has. What was forwarded before has left before the question: what the target answers
 *       is not changed again by anything older
 *   C2  a chunk that was asked about and not sent yet is in `asked`: it counts as dirty for as long
 *   C3  zeros stay zeros: they travel as holes
 *   C4  one answer is worked through in each turn of the event loop: the service waits for a millisecond or two, and no more
 */

import { blockBytes, compareBytesMax, hashBytes, type BlockChange } from '../../transport/volume-frames.ts';
import type { PeerBitmap } from '../bitmap/peer-bitmap.ts';
import { blockOf, blocksIn, hashesOf, isZero, readRange } from '../hashing.ts';
import type { Store } from '../store/store.ts';
import type { Comparing } from './comparing.ts';

const asksMax = 8;

export interface ResyncPorts {
  readonly store: Store;
  readonly sizeBytes: number;
  readonly bitmap: PeerBitmap;
  readonly comparing: Comparing;
  /** Whether more may be asked: what is under way is little enough. */
  readonly room: () => boolean;
  /** What the service wrote and is not on its way yet leaves now. */
  readonly flush: () => void;
  /** In order with everything else, after what the service wrote so far. */
  readonly send: (changes: readonly BlockChange[], chunks: readonly number[]) => void;
  /** Everything was asked and sent. */
  readonly done: () => void;
}

export class Resyncing {
  readonly #ports: ResyncPorts;
  /** C2. Questions about a chunk that are not answered. */
  readonly #asked = new Map<number, number>();
  readonly #buffer = Buffer.allocUnsafeSlow(compareBytesMax);
  /** C4. */
  readonly #answers: (() => void)[] = [];
  #cursor = 0;
  #over = false;
  #pumping = false;
  doneBytes = 0;

  constructor(ports: ResyncPorts) {
    this.#ports = ports;
  }

  asked(): Iterable<number> {
    return this.#asked.keys();
  }

  /** Nothing goes on any more. */
  stop(): void {
    this.#over = true;
  }

  /** Asks for more, as far as there is room. */
  pump(): void {
    // An answer may come within a question, where both sides are in one process.
    if (this.#pumping) return;
    this.#pumping = true;
    while (!this.#over && this.#underWay < asksMax && this.#ports.room()) if (!this.#askNext()) break;
    this.#pumping = false;
  }

  /** False: nothing is left to ask. */
  #askNext(): boolean {
    const { bitmap, sizeBytes, comparing, flush } = this.#ports;
    const first = bitmap.next(this.#cursor) ?? bitmap.next(0);
    if (first === null) {
      if (this.#underWay === 0) {
        this.#over = true;
        this.#ports.done();
      }
      return false;
    }
    const { chunkBytes } = bitmap;
    const most = Math.max(1, Math.floor(compareBytesMax / chunkBytes));
    let count = 1;
    while (count < most && bitmap.has(first + count)) count += 1;
    this.#cursor = first + count;
    const end = Math.min(sizeBytes, (first + count) * chunkBytes);
    const chunks = Array.from({ length: count }, (_, i) => first + i);
    const pieces = Math.ceil((end - first * chunkBytes) / compareBytesMax);
    flush();
    for (const chunk of chunks) {
      bitmap.delete(chunk);
      this.#asked.set(chunk, pieces);
    }
    for (let at = first * chunkBytes; at < end; at += compareBytesMax) {
      const length = Math.min(compareBytesMax, end - at);
      comparing.ask(at, length, (hashes) => this.#later(() => this.#answered(at, length, chunks, hashes))); // C1
    }
    return true;
  }

  get #underWay(): number {
    return this.#ports.comparing.underWay + this.#answers.length;
  }

  #later(work: () => void): void {
    this.#answers.push(work);
    if (this.#answers.length === 1) setImmediate(() => this.#next());
  }

  /** It counts as under way until it is done. */
  #next(): void {
    this.#answers[0]?.();
    this.#answers.shift();
    if (this.#answers.length > 0) setImmediate(() => this.#next());
    this.pump();
  }

  #answered(offset: number, length: number, chunks: readonly number[], theirs: Buffer): void {
    if (this.#over) return;
    const own = readRange(this.#ports.store, offset, length, this.#buffer);
    const changes = differing(own, offset, theirs);
    for (const chunk of chunks) {
      const left = (this.#asked.get(chunk) ?? 1) - 1;
      if (left === 0) this.#asked.delete(chunk);
      else this.#asked.set(chunk, left);
    }
    this.#ports.send(changes, chunks);
    this.doneBytes += length;
  }
}

/** What makes their range ours. Contents are views. */
function differing(own: Buffer, offset: number, theirs: Buffer): BlockChange[] {
  const ours = hashesOf(own);
  const changes: BlockChange[] = [];
  const count = blocksIn(own.length);
  for (let i = 0; i < count;) {
    const zero = isZero(blockOf(own, i));
    let end = i;
    while (end < count && !sameHash(ours, theirs, end) && isZero(blockOf(own, end)) === zero) end += 1;
    if (end > i) {
      const from = i * blockBytes;
      const to = Math.min(own.length, end * blockBytes);
      changes.push(
        zero
          ? { kind: 'zero', offset: offset + from, length: to - from, hole: true } // C3
          : { kind: 'write', offset: offset + from, contents: own.subarray(from, to) },
      );
    }
    i = Math.max(end, i + 1);
  }
  return changes;
}

function sameHash(ours: Buffer, theirs: Buffer, index: number): boolean {
  const at = index * hashBytes;
  return ours.compare(theirs, at, at + hashBytes, at, at + hashBytes) === 0;
}
