/**
 * A comparison of a volume with its targets, with repair or without. One target after the other, each with an answer of its own.
 *
 *   V1  a repair is done when a second comparison of what differed says so: what that finds still differs, the rest was mended
 *   V2  whoever goes away ends the comparing, and not what is being sent
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { MemberId } from '@holdfast/core';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { blockBytes, type ByteRange } from '../transport/volume-frames.ts';
import type { Verification } from '../volumes/source/verifying.ts';
import type { VolumeSource } from '../volumes/source/volume-source.ts';
import { progressMs, tellAll } from './rows.ts';
import type { Answered, RunPorts } from './side.ts';

/** More are counted, and not named. */
const differencesMax = 10_000;
const lookMs = 50;
/** What differed is sent within this, or the repair was not seen to its end. */
const mendMsMax = 3_600_000;

interface Outcome {
  readonly compared: number;
  readonly left: readonly ByteRange[];
  readonly mended: readonly ByteRange[];
}

export async function verifyBlocks(
  source: VolumeSource,
  members: readonly MemberId[],
  repair: boolean,
  ports: RunPorts,
): Promise<Answered> {
  const { row, signal } = ports;
  for (const target of members) {
    if (signal.aborted) return { kind: 'failed', as: 'failed', says: 'whoever asked went away' };
    let done = 0;
    const total = source.sizeBytes;
    const shown = setInterval(
      () => row({ kind: 'progress', target, done, total, unit: 'bytes' }),
      progressMs,
    );
    const compare = (ranges: readonly ByteRange[] | null): Promise<Verification | string> =>
      source.verify(target, { repair: repair && ranges === null, ranges }, (bytes) => (done = bytes));
    const found = await outcomeOf(source, target, repair, signal, compare).finally(() =>
      clearInterval(shown),
    );
    await tell(target, found, ports);
  }
  return { kind: 'done', says: '' };
}

async function outcomeOf(
  source: VolumeSource,
  target: MemberId,
  repair: boolean,
  signal: AbortSignal,
  compare: (ranges: readonly ByteRange[] | null) => Promise<Verification | string>,
): Promise<Outcome | string> {
  const first = await compare(null);
  if (typeof first === 'string') return first;
  const { comparedBytes, differences } = first;
  const compared = Math.ceil(comparedBytes / blockBytes);
  if (!repair || differences.length === 0) return { compared, left: differences, mended: [] };
  await untilInStep(source, target, signal);
  const second = await compare(differences); // V1
  if (typeof second === 'string')
    return `${blocksOf(differences)} blocks differ and are being mended, which was not seen to its end: ${second}`;
  return { compared, left: second.differences, mended: without(differences, second.differences) };
}

async function untilInStep(source: VolumeSource, target: MemberId, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + mendMsMax;
  const isInStep = (): boolean =>
    source.rows().some((one) => one.target === target && one.state === 'replicating');
  while (!isInStep() && !signal.aborted && performance.now() < endMs) await delay(lookMs);
}

async function tell(target: MemberId, found: Outcome | string, ports: RunPorts): Promise<void> {
  if (typeof found === 'string') {
    ports.row({ kind: 'verified', target, compared: 0, differing: 0, mended: 0, says: found });
    return;
  }
  const { compared, left, mended } = found;
  const rowOf =
    (isMended: boolean) =>
    ({ offset, length }: ByteRange): MirrorRunRow => ({
      kind: 'difference',
      target,
      path: '',
      what: 'contents',
      offset,
      length,
      mended: isMended,
    });
  await tellAll(left.slice(0, differencesMax), rowOf(false), ports);
  await tellAll(mended.slice(0, differencesMax), rowOf(true), ports);
  const counts = { differing: blocksOf(left), mended: blocksOf(mended) };
  ports.row({ kind: 'verified', target, compared, ...counts, says: '' });
}

const blocksOf = (ranges: readonly ByteRange[]): number =>
  ranges.reduce((sum, { length }) => sum + Math.ceil(length / blockBytes), 0);

/** Both in order; `gone` lies within `ranges`. */
export function without(ranges: readonly ByteRange[], gone: readonly ByteRange[]): readonly ByteRange[] {
  const left: ByteRange[] = [];
  let next = 0;
  for (const { offset, length } of ranges) {
    let at = offset;
    for (let one = gone[next]; one !== undefined && one.offset < offset + length; one = gone[next]) {
      if (one.offset > at) left.push({ offset: at, length: one.offset - at });
      at = one.offset + one.length;
      next += 1;
    }
    if (at < offset + length) left.push({ offset: at, length: offset + length - at });
  }
  return left;
}
