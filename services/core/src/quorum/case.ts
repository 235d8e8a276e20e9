/** What a judgement is made from, and what it is. */

import type { GroupConfig } from '../config/types.ts';
import type { BootMs, MemberId, Revision, WallMs } from '../names.ts';
import type { EndedOperation, GroupRecord, Phase } from '../records.ts';
import type { Scene } from './scene.ts';

export interface Judgement {
  readonly phase: Phase;
  readonly reason: string;
  /** Null: nothing is to be changed now. */
  readonly change: Change | null;
  /** When to judge again, if nothing happens before. */
  readonly wakeAt: BootMs | null;
  /** What a person should know besides. */
  readonly warnings: readonly string[];
  /** What maintenance, or that the group is only observed, keeps from being done. Absent: nothing. */
  readonly withheld?: Change | undefined;
}

/** A new group record, and what must still hold when it is put. */
export interface Change {
  readonly record: GroupRecord;
  readonly ended: EndedOperation | null;
  readonly what: string;
  /** The server whose renewal must still be the one that was judged stale. */
  readonly stale: MemberId | null;
}

/**
 * The phase that people are told. A question is told once it is on record: before that it has no operation, so nobody
 * could answer it.
 */
export function phaseTold(judged: Judgement, record: GroupRecord | null): Phase {
  const onRecord = record?.operation?.phase === 'awaiting-approval';
  return judged.phase === 'awaiting-approval' && !onRecord ? 'blocked' : judged.phase;
}

/** One judgement's worth of arguments. */
export interface Case {
  readonly scene: Scene;
  readonly config: GroupConfig;
  /** Null: the group was never given to anybody. */
  readonly record: GroupRecord | null;
  readonly recordRevision: Revision;
  readonly wall: WallMs;
}
