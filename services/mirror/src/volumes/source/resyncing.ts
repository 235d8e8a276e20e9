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
 *   C5  a chunk that can't be read here is no end of it: it counts as asked, is dirty in the end, and everything else is sent before
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import {
  blockBytes,
  compareBytesMax,
  hashBytes,
  type BlockChange,
  type ByteRange,
} from '../../transport/volume-frames.ts';
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
  /** The same, but for what can't be read here. */
  readonly unread: (says: string) => void;
}

export class Resyncing {
  readonly #ports: ResyncPorts;
  /** C2. Questions about a chunk that are not answered. */
  readonly #asked = new Map<number, number>();
  readonly #buffer = Buffer.allocUnsafeSlow(compareBytesMax);
  /** C5. */
  readonly #unread = new Set<number>();
  #unreadSays = '';
  /** C4. */
  readonly #answers: (() => void)[] = [];
  #cursor = 0;
  #over = false;
  #pumping = false;
  doneBytes = 0;

  constructor(ports: ResyncPorts) {
    this.#ports = ports;
  }

  /** C2, C5. */
  *asked(): Iterable<number> {
    yield* this.#asked.keys();
    yield* this.#unread;
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
        if (this.#unread.size === 0) this.#ports.done();
        else this.#ports.unread(this.#unreadSays);
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
    const whole = this.#differing({ offset, length }, theirs);
    // Otherwise one after the other: all but one may be well.
    const changes = whole ?? chunks.flatMap((chunk) => this.#differingIn(chunk, { offset, length }, theirs));
    for (const chunk of chunks) {
      const left = (this.#asked.get(chunk) ?? 1) - 1;
      if (left === 0) this.#asked.delete(chunk);
      else this.#asked.set(chunk, left);
    }
    this.#ports.send(changes, chunks);
    this.doneBytes += length;
  }

  #differingIn(chunk: number, asked: ByteRange, theirs: Buffer): readonly BlockChange[] {
    const { chunkBytes } = this.#ports.bitmap;
    const offset = Math.max(asked.offset, chunk * chunkBytes);
    const end = Math.min(asked.offset + asked.length, (chunk + 1) * chunkBytes);
    if (end <= offset) return [];
    const at = ((offset - asked.offset) / blockBytes) * hashBytes;
    const changes = this.#differing(
      { offset, length: end - offset },
      theirs.subarray(at),
      offset - asked.offset,
    );
    if (changes === null) this.#unread.add(chunk); // C5
    return changes ?? [];
  }

  /** Null: it can't be read here. `at`: where in the buffer it goes, in which contents stay until they are sent. */
  #differing({ offset, length }: ByteRange, theirs: Buffer, at = 0): BlockChange[] | null {
    try {
      const own = readRange(this.#ports.store, offset, length, this.#buffer.subarray(at));
      return differing(own, offset, theirs);
    } catch (error) {
      if (errorCode(error) === '') throw error;
      this.#unreadSays = `the volume can't be read here at ${offset}: ${errorText(error)}`;
      return null;
    }
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
