/**
 * Changes whose compare did not hold: something in the store is not as it was judged. Mostly the next look tells what, and the
 * next try is at once. Where it does not, tries are as far apart as heartbeats.
 */

import type { BootMs, GroupId } from '../names.ts';

interface Overtaken {
  readonly times: number;
  /** Not tried again before. */
  readonly until: BootMs;
}

export type OvertakenChanges = ReadonlyMap<GroupId, Overtaken>;

export const nothingOvertaken: OvertakenChanges = new Map();

const timesAtOnce = 3;

export function overtaken(
  before: OvertakenChanges,
  group: GroupId,
  now: BootMs,
  heartbeatMs: number,
): OvertakenChanges {
  const times = (before.get(group)?.times ?? 0) + 1;
  return new Map(before).set(group, { times, until: times < timesAtOnce ? now : now + heartbeatMs });
}

/** A change of the group came about. */
export function cameAbout(before: OvertakenChanges, group: GroupId): OvertakenChanges {
  return before.has(group) ? new Map([...before].filter(([other]) => other !== group)) : before;
}

export function mayTry(changes: OvertakenChanges, group: GroupId, now: BootMs): boolean {
  return now >= (changes.get(group)?.until ?? now);
}
