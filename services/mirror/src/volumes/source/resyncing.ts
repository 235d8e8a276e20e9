/**
 * Brings one target in step: goes through the chunks that may differ, asks for the hashes of their blocks, of many chunks at
 * once, and sends the blocks that do. The service goes on writing meanwhile.
 *
 *   C1  from the moment a chunk is asked about, every write to it is forwarded; so what is sent for it later is never
 *       older than what the target has. What was forwarded before has left before the question: what the target answers
 *       is not changed again by anything older
 *   C2  a chunk that was asked about and not sent yet is in `asked`: it counts as dirty for as long. It is sent in the turn in
 *       which it was read
 *   C3  zeros stay zeros: they travel as holes
 *   C4  in each turn of the event loop one answer is worked through, or what is done of it after `turnMs`: the service waits for a
 *       millisecond or two, and for no more than one range of a disk that is slow
 *   C5  a chunk that can't be read here is no end of it: it counts as asked, is dirty in the end, and everything else is sent before
 *   C6  what the questions under way may bring is bounded like what is under way, as far as the last answer tells it: what the service
 *       writes does not wait long behind it on a slow line, and where little differs much is asked
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import {
  blockBytes,
  blocksIn,
  compareBytesMax,
  hashBytes,
  type BlockChange,
  type ByteRange,
} from '../../transport/volume-frames.ts';
import { contentBytesOf } from '../../transport/volume-codec.ts';
import type { PeerBitmap } from '../bitmap/peer-bitmap.ts';
import { blockOf, hashesOf, isZero, readRange } from '../hashing.ts';
import type { Store } from '../store/store.ts';
import type { Comparing } from './comparing.ts';
import { questionsOf } from './questions.ts';

const asksMax = 8;
/** C4. */
const turnMs = 2;

export interface ResyncPorts {
  readonly store: Store;
  readonly sizeBytes: number;
  readonly bitmap: PeerBitmap;
  readonly comparing: Comparing;
  /** Whether more may be asked: what is under way is little enough, and so are the `bytes` that answers may bring (C6). */
  readonly room: (bytes: number) => boolean;
  /** What the service wrote and is not on its way yet leaves now. */
  readonly flush: () => void;
  /** In order with everything else, after what the service wrote so far. */
  readonly send: (changes: readonly BlockChange[], chunks: readonly number[]) => void;
  /** Everything was asked and sent. */
  readonly done: () => void;
  /** The same, but for what can't be read here. */
  readonly unread: (says: string) => void;
}

interface Answer {
  /** What was asked, and how much of that is done: ranges, and the blocks of those. */
  readonly ranges: readonly ByteRange[];
  readonly theirs: Buffer;
  done: number;
  doneBlocks: number;
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
  readonly #answers: Answer[] = [];
  /** C6. Of the volume, that is asked about and not worked on; and of what was worked on last, the share that was sent. */
  #askedBytes = 0;
  #share = 1;
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
    while (!this.#over && this.#underWay < asksMax && this.#ports.room(this.#askedBytes * this.#share))
      if (!this.#askNext()) break;
    this.#pumping = false;
  }

  /** False: nothing is left to ask. */
  #askNext(): boolean {
    const { bitmap, comparing, flush } = this.#ports;
    const chunks = this.#gather();
    if (chunks.length === 0) {
      if (this.#underWay === 0) {
        this.#over = true;
        if (this.#unread.size === 0) this.#ports.done();
        else this.#ports.unread(this.#unreadSays);
      }
      return false;
    }
    const questions = [...questionsOf(this.#rangesOf(chunks), comparing.rangesMax)];
    flush();
    for (const chunk of chunks) {
      bitmap.delete(chunk);
      this.#asked.set(chunk, questions.length);
    }
    for (const ranges of questions) {
      this.#askedBytes += ranges.reduce((sum, { length }) => sum + length, 0);
      comparing.ask(ranges, (theirs) => this.#later({ ranges, theirs, done: 0, doneBlocks: 0 })); // C1
    }
    return true;
  }

  /** The next chunks that may differ, as many as one question names; one that is larger than that by itself. */
  #gather(): readonly number[] {
    const { bitmap, comparing } = this.#ports;
    const most = Math.max(1, Math.floor(compareBytesMax / bitmap.chunkBytes));
    const chunks: number[] = [];
    let ranges = 0;
    let next = bitmap.next(this.#cursor) ?? bitmap.next(0);
    while (next !== null && chunks.length < most) {
      if (next !== this.#cursor || chunks.length === 0) ranges += 1;
      if (ranges > comparing.rangesMax) break;
      chunks.push(next);
      this.#cursor = next + 1;
      next = bitmap.next(this.#cursor);
    }
    return chunks;
  }

  /** Neighbours together. */
  #rangesOf(chunks: readonly number[]): readonly ByteRange[] {
    const { bitmap, sizeBytes } = this.#ports;
    const ranges: { offset: number; length: number }[] = [];
    for (const chunk of chunks) {
      const offset = chunk * bitmap.chunkBytes;
      const length = Math.min(bitmap.chunkBytes, sizeBytes - offset);
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === offset) last.length += length;
      else ranges.push({ offset, length });
    }
    return ranges;
  }

  get #underWay(): number {
    return this.#ports.comparing.underWay + this.#answers.length;
  }

  #later(answer: Answer): void {
    this.#answers.push(answer);
    if (this.#answers.length === 1) setImmediate(() => this.#next());
  }

  /** It counts as under way until it is done. */
  #next(): void {
    const [answer] = this.#answers;
    if (answer === undefined || this.#over || this.#workOn(answer)) this.#answers.shift();
    if (this.#answers.length > 0) setImmediate(() => this.#next());
    this.pump();
  }

  /** C4. True: nothing is left of it. */
  #workOn(answer: Answer): boolean {
    const endMs = performance.now() + turnMs;
    const changes: BlockChange[] = [];
    const chunks: number[] = [];
    const beforeBytes = this.doneBytes;
    let at = 0;
    for (const range of answer.ranges.slice(answer.done)) {
      const theirs = answer.theirs.subarray(answer.doneBlocks * hashBytes);
      changes.push(...this.#differingIn(range, theirs, at));
      chunks.push(...this.#chunksOf(range));
      answer.done += 1;
      answer.doneBlocks += blocksIn(range.length);
      at += blocksIn(range.length) * blockBytes;
      this.doneBytes += range.length;
      if (performance.now() >= endMs) break;
    }
    const bytes = this.doneBytes - beforeBytes;
    this.#askedBytes -= bytes;
    this.#share = contentBytesOf({ changes }) / bytes; // C6
    for (const chunk of chunks) {
      const left = (this.#asked.get(chunk) ?? 1) - 1;
      if (left === 0) this.#asked.delete(chunk);
      else this.#asked.set(chunk, left);
    }
    this.#ports.send(changes, chunks); // C2
    return answer.done === answer.ranges.length;
  }

  /** A range has whole chunks, or is a part of one. */
  #chunksOf({ offset, length }: ByteRange): readonly number[] {
    const { chunkBytes } = this.#ports.bitmap;
    const first = Math.floor(offset / chunkBytes);
    return Array.from({ length: Math.ceil((offset + length) / chunkBytes) - first }, (_, i) => first + i);
  }

  /** C5. As a whole, or else one chunk after the other: all but one may be well. `at`: as of #differing. */
  #differingIn(range: ByteRange, theirs: Buffer, at: number): readonly BlockChange[] {
    const whole = this.#differing(range, theirs, at);
    return whole ?? this.#chunksOf(range).flatMap((chunk) => this.#differingOf(chunk, range, theirs, at));
  }

  #differingOf(chunk: number, range: ByteRange, theirs: Buffer, at: number): readonly BlockChange[] {
    const { chunkBytes } = this.#ports.bitmap;
    const offset = Math.max(range.offset, chunk * chunkBytes);
    const end = Math.min(range.offset + range.length, (chunk + 1) * chunkBytes);
    const before = offset - range.offset;
    const hashes = theirs.subarray((before / blockBytes) * hashBytes);
    const changes = this.#differing({ offset, length: end - offset }, hashes, at + before);
    if (changes === null) this.#unread.add(chunk); // C5
    return changes ?? [];
  }

  /** Null: it can't be read here. `at`: where in the buffer it goes, in which contents stay until they are sent. */
  #differing({ offset, length }: ByteRange, theirs: Buffer, at: number): BlockChange[] | null {
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
