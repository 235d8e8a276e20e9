/**
 * One quorum service leads. Leadership only saves double work: every change is a compare-and-swap that also compares
 * the leader record, so a leader that was deposed in its sleep changes nothing.
 *
 *   L1  the leader beats; who has not seen the beat change for a while, on its own clock, may take over: soon when
 *       nobody hears its member either, after three beats when it is heard
 *   L2  a leader that hears nobody, itself included, is blind and lets go
 *   L3  one that is asked to end lets go by a record that the others see at once, and leads no more
 *   L4  a new configuration may have a quicker pace: the leader beats at once, and is judged by that pace from then on
 */

import { encode } from '../codec.ts';
import { keys } from '../keys.ts';
import type { BootMs, MemberId } from '../names.ts';
import type { Txn } from '../store.ts';
import { beatText, clusterMs } from './cluster-clock.ts';
import { silentHeartbeats } from './scene.ts';
import type { StoreView } from './view.ts';

const leftHeadStartMs = 50;
/** Long enough for a witness, which goes first, to commit that it leads. */
const headStartMs = 500;
/** Of the leader, without a change, after which its member need only be silent (silentHeartbeats), too. */
const silentBeats = 1.5;

export interface LeaderPace {
  readonly beatMs: number;
  readonly heartbeatMs: number;
  /** A beat that did not change for this long is dead. */
  readonly deadMs: number;
}

export function leaderPace(heartbeatMs: number): LeaderPace {
  const beatMs = Math.max(300, Math.min(2_000, heartbeatMs * 2));
  return { beatMs, heartbeatMs, deadMs: beatMs * 3 };
}

export function leads(view: StoreView, self: MemberId, incarnation: number): boolean {
  const leader = view.leader?.value;
  return leader?.member === self && leader.incarnation === incarnation && leader.left !== true;
}

/** Who may try to become leader. */
interface Aspirant {
  readonly self: MemberId;
  readonly incarnation: number;
  readonly witness: boolean;
  /** Since when it looks on. */
  readonly since: BootMs;
}

/** When this service may try to become leader; null while it leads. Witnesses go first: they own nothing that dies. */
export function candidateAt(
  view: StoreView,
  { self, incarnation, witness, since }: Aspirant,
  pace: LeaderPace,
  heardAt: (member: MemberId) => BootMs,
): BootMs | null {
  if (leads(view, self, incarnation)) return null;
  const headStart = witness ? 0 : headStartMs;
  if (view.leader === null) return since + headStart;
  // L3. Witnesses first all the same; a tie costs one of the two a failed compare.
  if (view.leader.value.left === true) return view.leader.changedAt + (witness ? 0 : leftHeadStartMs);
  const beatAt = Math.max(
    view.leader.changedAt,
    view.beat?.changedAt ?? -Infinity,
    view.config?.changedAt ?? -Infinity, // L4
  );
  const silentAt = Math.max(
    beatAt + silentBeats * pace.beatMs,
    heardAt(view.leader.value.member) + silentHeartbeats * pace.heartbeatMs,
  );
  return Math.min(beatAt + pace.deadMs, silentAt) + headStart;
}

export function takeLeadership(view: StoreView, self: MemberId, incarnation: number, now: BootMs): Txn {
  const record = { member: self, incarnation, term: (view.leader?.value.term ?? 0) + 1 };
  return {
    compares: [
      { kind: 'mod-revision', key: keys.leader, revision: view.leader?.modRevision ?? 0n },
      { kind: 'mod-revision', key: keys.beat, revision: view.beat?.modRevision ?? 0n },
    ],
    puts: [
      { key: keys.leader, value: encode(record) },
      { key: keys.beat, value: beatText(self, 0, clusterMs(view, now)) },
    ],
    deletes: [],
    reads: [keys.leader, keys.beat],
  };
}

/** L3. Null when it does not lead. */
export function letGo(view: StoreView, self: MemberId, incarnation: number): Txn | null {
  if (view.leader === null || !leads(view, self, incarnation)) return null;
  return {
    compares: [{ kind: 'mod-revision', key: keys.leader, revision: view.leader.modRevision }],
    puts: [{ key: keys.leader, value: encode({ ...view.leader.value, left: true }) }],
    deletes: [],
    reads: [keys.leader],
  };
}

export function beat(view: StoreView, self: MemberId, count: number, now: BootMs): Txn {
  return {
    compares: [{ kind: 'mod-revision', key: keys.leader, revision: view.leader?.modRevision ?? 0n }],
    puts: [{ key: keys.beat, value: beatText(self, count, clusterMs(view, now)) }],
    deletes: [],
    reads: [keys.leader, keys.beat],
  };
}
