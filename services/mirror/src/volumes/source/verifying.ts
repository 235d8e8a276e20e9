/**
 * Compares everything with a target that is in step, while the service goes on: own hashes are taken at the moment of the
 * question, which the target answers as of the same moment.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, errorText } from '@holdfast/wire/directory';
import { blockBytes, compareBytesMax, hashBytes, type ByteRange } from '../../transport/volume-frames.ts';
import { blocksIn, hashesOf, readRange } from '../hashing.ts';
import type { Store } from '../store/store.ts';
import type { Comparing } from './comparing.ts';

const asksMax = 4;
/** So that a service keeps most of its disk: 256 MiB/s. */
const bytesPerMs = 268_435;
const differencesMax = 100_000;

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
  for (const { offset: at, length } of piecesOf(ranges)) {
    await paced(() => comparing.underWay < asksMax, ports.over, beganMs + askedBytes / bytesPerMs);
    if (ports.over() !== '') return ports.over();
    askedBytes += length;
    const own = still(() => {
      ports.before();
      return readOwn(store, { offset: at, length }, buffer);
    });
    if (typeof own === 'string') return own;
    const ours = hashesOf(own);
    comparing.ask(at, length, (theirs) => {
      for (const range of differing(ours, theirs, at, length))
        if (differences.length < differencesMax) differences.push(range);
      answeredBytes += length;
      ports.progress(answeredBytes);
    });
  }
  await paced(() => answeredBytes >= askedBytes, ports.over, 0);
  return ports.over() === '' ? { comparedBytes: answeredBytes, differences } : ports.over();
}

/** A sentence when the disk refuses. */
function readOwn(store: Store, { offset, length }: ByteRange, into: Buffer): Buffer | string {
  try {
    return readRange(store, offset, length, into);
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return `the owner's own volume can't be read at ${offset}: ${errorText(error)}`;
  }
}

function* piecesOf(ranges: readonly ByteRange[]): Iterable<ByteRange> {
  for (const { offset, length } of ranges)
    for (let at = 0; at < length; at += compareBytesMax)
      yield { offset: offset + at, length: Math.min(compareBytesMax, length - at) };
}

/** The connection ends, if nothing else does. */
async function paced(ready: () => boolean, over: () => string, notBeforeMs: number): Promise<void> {
  while (over() === '' && (!ready() || performance.now() < notBeforeMs)) await delay(2);
}

function differing(ours: Buffer, theirs: Buffer, offset: number, length: number): ByteRange[] {
  const ranges: { offset: number; length: number }[] = [];
  for (let i = 0; i < blocksIn(length); i += 1) {
    const at = i * hashBytes;
    if (ours.compare(theirs, at, at + hashBytes, at, at + hashBytes) === 0) continue;
    const from = offset + i * blockBytes;
    const bytes = Math.min(blockBytes, length - i * blockBytes);
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.length === from) last.length += bytes;
    else ranges.push({ offset: from, length: bytes });
  }
  return ranges;
}
