/**
 * A planned move that is called off before anything of it was done: its target can't take over any more, or the owner refused
 * (a hook said no).
 *
 *   F1  an owner that refused is not asked again by itself before a rest: each question runs its hooks
 *   F2  what it said to the question before is not taken for its answer: nothing is asked while that is still told
 */

import type { BootMs } from '../names.ts';
import type { EndedOperation, GroupRecord, Operation, Ownership, StepRecord } from '../records.ts';
import type { Case, Judgement } from './case.ts';
import { change, ended, withOwnership } from './changes.ts';
import { clusterMs } from './cluster-clock.ts';
import { reportFor } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;
type Releasing = Extract<Ownership, { kind: 'releasing' }>;

/** For a server that is none of the group's any more: a person was told, and can ask at once. */
const outsideMs = 600_000;

export interface Rest {
  readonly says: string;
  readonly until: BootMs;
}

/** F1. Null: it may be asked. */
export function restAfterRefusal(c: Case, { owner }: Owned): Rest | null {
  const { config, record, scene } = c;
  if (record?.refusedAt === undefined) return null;
  const outside = !config.servers.includes(owner);
  const restMs = outside ? outsideMs : config.rules.outageMs;
  const leftMs = record.refusedAt + restMs - clusterMs(scene.view, scene.now);
  if (leftMs <= 0) return null;
  const why = outside ? `${owner} is no longer a server of ${config.name}; ` : '';
  const says = `${why}${record.reason}; it is asked again after a rest, or by holdfast switchover ${config.name}`;
  return { says, until: scene.now + leftMs };
}

/** F2. Null: it was heard that it may stay. */
export function refusalTold({ config, scene }: Case, { owner, epoch }: Owned | Releasing): string | null {
  const report = reportFor(scene, owner, config.name);
  return report?.epoch === epoch ? report.releaseRefused : null;
}

/** The owner is well, and is left alone for now. */
export function resting(judged: Judgement, { says, until }: Rest): Judgement {
  return {
    ...judged,
    reason: `${judged.reason}; ${says}`,
    wakeAt: Math.min(judged.wakeAt ?? Infinity, until),
    warnings: [...judged.warnings, says],
  };
}

/** `why`: the target's blocker, or that the owner refused. */
export function callOff(
  c: Case,
  own: Releasing,
  op: Operation | null,
  why: string,
  steps: readonly StepRecord[],
): Judgement {
  const owned: Owned = { kind: 'owned', owner: own.owner, epoch: own.epoch };
  const reason = `${own.owner} keeps ${c.config.name}: ${why}`;
  const next = withOwnership(c, owned, null, reason);
  const record: GroupRecord =
    refusalTold(c, own) === null ? next : { ...next, refusedAt: clusterMs(c.scene.view, c.scene.now) };
  const over: EndedOperation | null = ended(c, op, 'rolled-back', why, steps);
  return change('active', 'rolled-back', record, over);
}
