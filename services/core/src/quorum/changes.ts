/** The records that a judgement may put: each function makes one whole group record from the one before. */

import type { Epoch, MemberId } from '../names.ts';
import type {
  EndedOperation,
  GroupRecord,
  Operation,
  OperationKind,
  OperationOutcome,
  OperationPhase,
  Ownership,
  StepRecord,
} from '../records.ts';
import { clusterMs } from './cluster-clock.ts';
import type { Case, Change, Judgement } from './case.ts';
import { dataHolder } from './copies.ts';
import type { Phase } from '../records.ts';

const hourMs = 3_600_000;
const measuredMax = 8;
const failoversMax = 32;

export interface Wanted {
  readonly kind: OperationKind;
  readonly phase: OperationPhase;
  readonly from: MemberId | null;
  readonly to: MemberId | null;
  readonly by: string;
  readonly forced: boolean;
  readonly reason: string;
  readonly steps: readonly StepRecord[];
}

/** One operation per change of the record, so the record's revision names it. */
export function operation(c: Case, wanted: Wanted): Operation {
  return {
    ...wanted,
    id: `${c.config.name}-${c.recordRevision.toString()}-${wanted.kind}`,
    group: c.config.name,
    startedAt: c.wall,
  };
}

export function ended(
  c: Case,
  op: Operation | null,
  outcome: OperationOutcome,
  says: string,
  steps: readonly StepRecord[],
): EndedOperation | null {
  if (op === null) return null;
  const { id, group, kind, from, to, by, forced, reason, startedAt } = op;
  const all = [...op.steps, ...steps];
  return {
    id,
    group,
    kind,
    from,
    to,
    by,
    forced,
    reason,
    startedAt,
    steps: all,
    outcome,
    says,
    endedAt: c.wall,
  };
}

export function recentFailovers(c: Case): readonly number[] {
  const now = clusterMs(c.scene.view, c.scene.now);
  return (c.record?.failovers ?? []).filter((t) => now - t < hourMs);
}

/** Same group, other ownership. */
export function withOwnership(
  c: Case,
  ownership: Ownership,
  op: Operation | null,
  reason: string,
): GroupRecord {
  const holder = dataHolder(c.scene, c.config.name, c.record);
  return {
    group: c.config.name,
    ownership,
    operation: op,
    ownerBoot: c.record?.ownerBoot ?? null,
    failovers: recentFailovers(c),
    reason,
    since: c.wall,
    takeoverMs: c.record?.takeoverMs ?? [],
    ...(holder === null ? {} : { data: { server: holder.server, epoch: holder.epoch } }),
  };
}

/** `to` owns the group from this epoch on. */
export function givenTo(c: Case, to: MemberId, epoch: Epoch, op: Operation, reason: string): GroupRecord {
  const base = withOwnership(c, { kind: 'owned', owner: to, epoch }, op, reason);
  const counts = op.kind === 'failover' && op.phase === 'acquiring';
  return {
    ...base,
    ownerBoot: c.scene.view.renewals.get(to)?.value.bootId ?? null,
    failovers: counts
      ? [...base.failovers, clusterMs(c.scene.view, c.scene.now)].slice(-failoversMax)
      : base.failovers,
  };
}

/** The operation is over and the owner stays; a takeover's duration is remembered. */
export function settled(
  c: Case,
  own: Extract<Ownership, { kind: 'owned' }>,
  done: EndedOperation | null,
  reason: string,
): GroupRecord {
  const data = { server: own.owner, epoch: own.epoch };
  const base = { ...withOwnership(c, own, null, reason), data };
  const steps = (done?.steps ?? []).filter((s) => s.server === own.owner);
  if (done?.outcome !== 'done' || steps.length === 0) return base;
  const tookMs = steps.reduce((sum, s) => sum + s.ms, 0);
  return { ...base, takeoverMs: [...base.takeoverMs, tookMs].slice(-measuredMax) };
}

export function change(
  phase: Phase,
  what: string,
  record: GroupRecord,
  endedOperation: EndedOperation | null = null,
  stale: MemberId | null = null,
): Judgement {
  const put: Change = { record, ended: endedOperation, what, stale };
  return { phase, reason: record.reason, change: put, wakeAt: null, warnings: [] };
}

export function stay(
  phase: Phase,
  reason: string,
  wakeAt: number | null,
  warnings: readonly string[] = [],
): Judgement {
  return { phase, reason, change: null, wakeAt, warnings };
}

/** Asks the owner to release, as one operation. Also what operators command. */
export function releaseTo(
  c: Case,
  own: Extract<Ownership, { kind: 'owned' }>,
  to: MemberId | null,
  kind: OperationKind,
  reason: string,
  by = 'holdfast',
  forced = false,
): Judgement {
  const ownership: Ownership = { kind: 'releasing', owner: own.owner, epoch: own.epoch, to };
  const op = operation(c, { ...begin(kind, own.owner, to, reason), phase: 'releasing', by, forced });
  return change('releasing', kind, withOwnership(c, ownership, op, reason));
}

export function begin(
  kind: OperationKind,
  from: MemberId | null,
  to: MemberId | null,
  reason: string,
): Wanted {
  return { kind, phase: 'acquiring', from, to, by: 'holdfast', forced: false, reason, steps: [] };
}

/** Gives the group to `to`; whatever operation was under way ends as failed. */
export function give(
  c: Case,
  to: MemberId,
  epoch: bigint,
  wanted: Wanted,
  phase: Judgement['phase'],
  stale: MemberId | null = null,
  endedBefore = ended(c, c.record?.operation ?? null, 'failed', wanted.reason, []),
): Judgement {
  return change(
    phase,
    wanted.kind,
    givenTo(c, to, epoch, operation(c, wanted), wanted.reason),
    endedBefore,
    stale,
  );
}
