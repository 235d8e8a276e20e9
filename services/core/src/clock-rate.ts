/** How fast another host's boot clock runs by ours, from the times in its heartbeats. */

import type { BootMs } from './names.ts';

/** Over this long, transit and scheduling blur a rate by a few parts in a thousand at most. */
const windowMs = 30_000;
export interface ClockRate {
  /** Their boot time and ours when the window began. */
  readonly theirs: BootMs;
  readonly ours: BootMs;
  /** Of the window before: 1 is as fast as ours. Null: none has ended yet. */
  readonly rate: number | null;
}

/** `before`: of the same boot of that host. */
export function measured(before: ClockRate | null, theirs: BootMs, ours: BootMs): ClockRate {
  if (before === null) return { theirs, ours, rate: null };
  const elapsed = ours - before.ours;
  if (elapsed < windowMs || theirs <= before.theirs) return before;
  return { theirs, ours, rate: (theirs - before.theirs) / elapsed };
}
