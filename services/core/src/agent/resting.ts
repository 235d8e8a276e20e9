/**
 * A server that could not acquire a group rests before it is a candidate again: what was in the way may be gone by then,
 * and to try at once again and again would only be noise. Each failure in a row doubles the rest.
 */

import type { BootMs } from '../names.ts';

const firstRestMs = 60_000;
const restMaxMs = 10 * 60_000;
const doublingsMax = 4;

export interface Failures {
  /** In a row; an acquisition that works, or a new configuration, ends it. */
  readonly count: number;
  readonly restsUntil: BootMs;
  readonly rested: boolean;
}

export function failedAgain(before: Failures | null, now: BootMs): Failures {
  const count = (before?.count ?? 0) + 1;
  const restMs = Math.min(restMaxMs, firstRestMs * 2 ** Math.min(count - 1, doublingsMax));
  return { count, restsUntil: now + restMs, rested: false };
}

/** The same while nothing is due. */
export function resting(failures: Failures | null, now: BootMs): Failures | null {
  if (failures === null || failures.rested || now < failures.restsUntil) return failures;
  return { ...failures, rested: true };
}
