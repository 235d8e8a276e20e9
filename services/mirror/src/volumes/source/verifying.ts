/**
 * Compares everything with a target that is in step, while the service goes on: own hashes are taken at the moment of the
 * question, which the target answers as of the same moment.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, errorText } from '@holdfast/wire/directory';
import {
  blockBytes,
  blocksIn,
  compareBytesMax,
  hashBytes,
  type ByteRange,
} from '../../transport/volume-frames.ts';
import { hashesOf, readRange } from '../hashing.ts';
import type { Store } from '../store/store.ts';
import type { Comparing } from './comparing.ts';
import { questionsOf } from './questions.ts';

const asksMax = 4;
/** So that a service keeps most of its disk: 256 MiB/s. */
const bytesPerMs = 268_435;
const differencesMax = 100_000;
/** Of one question: the service waits while they are read. */
const stillRangesMax = 16;

export interface Comparison {
  /** What differs is sent. */
  readonly repair: boolean;
  readonly ranges: readonly ByteRange[] | null;
}

export interface Verification {
  readonly comparedBytes: number;
  readonly differences: readonly ByteRange[];
}

export interface VerifyPorts {
  readonly store: Store;
  /** What is compared; in order. */
  readonly ranges: readonly ByteRange[];
  readonly comparing: Comparing;
  /** What the service wrote so far goes before the question. */
  readonly before: () => void;
  /** Nothing is written while it works, and what was written before is on its way. */
  readonly still: <T>(work: () => T) => T;
  /** Why it can't go on; empty while it can. */
  readonly over: () => string;
  readonly progress: (doneBytes: number) => void;
}

/** A sentence when it did not come to the end. */
export async function verify(ports: VerifyPorts): Promise<Verification | string> {
  const { store, ranges, comparing, still } = ports;
  const buffer = Buffer.allocUnsafeSlow(compareBytesMax);
  const differences: ByteRange[] = [];
  const beganMs = performance.now();
  let askedBytes = 0;
  let answeredBytes = 0;
  for (const question of questionsOf(ranges, Math.min(stillRangesMax, comparing.rangesMax))) {
    await paced(() => comparing.underWay < asksMax, ports.over, beganMs + askedBytes / bytesPerMs);
    if (ports.over() !== '') return ports.over();
    const bytes = question.reduce((sum, { length }) => sum + length, 0);
    askedBytes += bytes;
    const own = still(() => {
      ports.before();
      return readOwn(store, question, buffer);
    });
    if (typeof own === 'string') return own;
    const ours = Buffer.concat(own.map(hashesOf));
    comparing.ask(question, (theirs) => {
      for (const range of differing(ours, theirs, question))
        if (differences.length < differencesMax) differences.push(range);
      answeredBytes += bytes;
      ports.progress(answeredBytes);
    });
  }
  await paced(() => answeredBytes >= askedBytes, ports.over, 0);
  return ports.over() === '' ? { comparedBytes: answeredBytes, differences } : ports.over();
}

/** One behind the other. A sentence when the disk refuses. */
function readOwn(store: Store, question: readonly ByteRange[], into: Buffer): readonly Buffer[] | string {
  const own: Buffer[] = [];
  let at = 0;
  for (const { offset, length } of question) {
    try {
      own.push(readRange(store, offset, length, into.subarray(at)));
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return `the owner's own volume can't be read at ${offset}: ${errorText(error)}`;
    }
    at += blocksIn(length) * blockBytes;
  }
  return own;
}

/** The connection ends, if nothing else does. */
async function paced(ready: () => boolean, over: () => string, notBeforeMs: number): Promise<void> {
  while (over() === '' && (!ready() || performance.now() < notBeforeMs)) await delay(2);
}

/** Neighbours together. */
function differing(ours: Buffer, theirs: Buffer, question: readonly ByteRange[]): readonly ByteRange[] {
  const ranges: { offset: number; length: number }[] = [];
  let at = 0;
  for (const { offset, length } of question)
    for (let done = 0; done < length; done += blockBytes) {
      const same = ours.compare(theirs, at, at + hashBytes, at, at + hashBytes) === 0;
      at += hashBytes;
      if (same) continue;
      const from = offset + done;
      const bytes = Math.min(blockBytes, length - done);
      const last = ranges.at(-1);
      if (last !== undefined && last.offset + last.length === from) last.length += bytes;
      else ranges.push({ offset: from, length: bytes });
    }
  return ranges;
}
