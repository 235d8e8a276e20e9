/**
 * Moves away from an owner that is alive and says, or is seen, to be in trouble: nobody waits for an outage, and nobody asked.
 *
 *   T1  they count, together with the failovers: so many within an hour, and the group stays where it is (I11)
 *   T2  what failed on the preferred server is not known to be mended: no failback to it before a person asks (failback.ts)
 */

import type { MemberId } from '../names.ts';
import type { GroupRecord, Ownership } from '../records.ts';
import { choose, plannedCandidates } from './candidates.ts';
import type { Case, Judgement } from './case.ts';
import { recentFailovers, recentMoves, releaseTo } from './changes.ts';
import { clusterMs } from './cluster-clock.ts';
import type { DeadPath } from './paths.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;

const movesMax = 32;

/** I11: so many failovers within an hour that a person must look; null when there were fewer. */
export function heldByFailovers(c: Case): string | null {
  const recent = recentFailovers(c).length;
  if (recent < c.config.failoversPerHour) return null;
  return `held after ${String(recent)} failovers within an hour; use holdfast failover --to SERVER to go on`;
}

/** T1. Null: there were fewer. */
export function heldByMoves(c: Case): string | null {
  const moves = recentFailovers(c).length + recentMoves(c).length;
  if (moves < c.config.failoversPerHour) return null;
  return `held after ${String(moves)} moves within an hour; use holdfast switchover to go on`;
}

/** `mends`: it is seen when the trouble is over, so failback need not wait for a person. */
export function leaveInTrouble(c: Case, own: Owned, to: MemberId, why: string, mends: boolean): Judgement {
  const judged = releaseTo(c, own, { to, kind: 'switchover', reason: why });
  if (judged.change === null) return judged;
  const moves = [...recentMoves(c), clusterMs(c.scene.view, c.scene.now)].slice(-movesMax);
  const record: GroupRecord = { ...judged.change.record, moves };
  const waits = mends ? record : { ...record, failbackWaits: { server: own.owner, why } };
  return { ...judged, change: { ...judged.change, record: waits } };
}

type LeaveDeadPath =
  | { readonly kind: 'leave'; readonly judgement: Judgement }
  | { readonly kind: 'stay'; readonly says: string };

/** Rule 7. Null: nobody who is heard there can take over. */
export function leaveDeadPath(c: Case, own: Owned, { better }: DeadPath): LeaveDeadPath | null {
  const all = plannedCandidates(c.scene, c.config, c.record).filter((s) => better.includes(s.server));
  const to = choose(all);
  if (to === undefined) return null;
  const why = `the service network of ${own.owner} is dead, and ${to} is heard on it`;
  const held = heldByMoves(c);
  if (held !== null) return { kind: 'stay', says: `${why}; ${held}` };
  return { kind: 'leave', judgement: leaveInTrouble(c, own, to, why, true) };
}
