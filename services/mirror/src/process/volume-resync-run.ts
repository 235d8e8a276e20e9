/**
 * What a person has compared of a volume, and sent where it differs: ordered at every target, then waited for.
 *
 *   R1  the order stands whatever becomes of the waiting: a target that is away, or paused, is compared when it is back
 *   R2  whoever goes away ends the waiting
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { MemberId, MirrorId } from '@holdfast/core';
import type { VolumeSource } from '../volumes/source/volume-source.ts';
import { progressMs } from './rows.ts';
import type { Answered, RunPorts } from './side.ts';

/** Before it began, and while it lasts. */
const lookMs = { first: 5, then: 100 } as const;
/** The connection is ended by the order, and nothing is compared sooner than it is made anew. */
const leaveMs = 2_000;
/** A target that is not back by then is away. */
const awayMs = 10_000;

export async function resyncBlocks(
  source: VolumeSource,
  mirror: MirrorId,
  members: readonly MemberId[],
  ports: RunPorts,
): Promise<Answered> {
  const ended = await Promise.all(members.map((member) => compared(source, member, ports)));
  const refused = ended.filter((says) => says !== '');
  if (refused.length > 0) return { kind: 'failed', as: 'failed', says: refused.join('; ') };
  return {
    kind: 'done',
    says: `${mirror} was compared as a whole with ${members.join(', ')}, and is in step`,
  };
}

/** Empty when it was, otherwise why not. */
async function compared(source: VolumeSource, member: MemberId, { row, signal }: RunPorts): Promise<string> {
  source.resync(member);
  row({ kind: 'progress', target: member, done: 0, total: 0, unit: 'bytes' });
  const untilLeft = performance.now() + leaveMs;
  let left = false;
  let heardMs = performance.now();
  let shownMs = heardMs;
  while (!signal.aborted) {
    const found = source.rows().find(({ target }) => target === member);
    if (found === undefined) return `${member} is no target any more`;
    const { state, says, doneBytes: done, totalBytes: total } = found;
    const nowMs = performance.now();
    if (state !== 'replicating') left = true;
    else if (left || nowMs > untilLeft) return '';
    if (state === 'paused') return `${member} is paused (${says}): it is compared when it goes on`; // R1
    if (state !== 'disconnected') heardMs = nowMs;
    else if (nowMs - heardMs > awayMs)
      return `${member} is compared when it is back: ${says || 'it is away'}`; // R1
    if (total > 0 && nowMs - shownMs > progressMs) {
      shownMs = nowMs;
      row({ kind: 'progress', target: member, done, total, unit: 'bytes' });
    }
    await delay(left ? lookMs.then : lookMs.first);
  }
  return 'whoever asked went away'; // R2
}
