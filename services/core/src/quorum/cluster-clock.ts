/**
 * Time that all quorum services agree on, to count failovers within an hour (I11). The leader adds the boot time that
 * went by into every beat, so neither a new leader nor a wall clock that jumps makes an old failover look young, or a
 * young one old. It never runs ahead of true time by more than the clocks' own error.
 */

import type { BootMs, MemberId } from '../names.ts';
import type { StoreView } from './view.ts';

/** Milliseconds since the cluster's first beat. */
export function clusterMs(view: Pick<StoreView, 'beat'>, now: BootMs): number {
  if (view.beat === null) return 0;
  const told = Number(view.beat.value.split(' ')[2]);
  return (Number.isFinite(told) ? told : 0) + Math.max(0, now - view.beat.changedAt);
}

/** What a beat says: who leads, how many beats, and the cluster's time. */
export function beatText(self: MemberId, count: number, atMs: number): string {
  return `${self} ${String(count)} ${String(Math.round(atMs))}`;
}
