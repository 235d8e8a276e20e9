/** The records that a judgement may put: each function makes one whole group record from the one before. */

import type { Epoch, MemberId } from '../names.ts';
import type {
  EndedOperation,
  Former,
  GroupRecord,
  Operation,
  OperationKind,
  OperationOutcome,
  OperationPhase,
  Ownership,
  StepRecord,
} from '../records.ts';
import { isReleasedAtOnce } from '../step.ts';
import { clusterMs } from './cluster-clock.ts';
import type { Case, Change, Judgement } from './case.ts';
import { dataHolder } from './copies.ts';
import { lastOwner, reportFor, saysFenced } from './scene.ts';
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
  c: Pick<Case, 'wall'>,
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
  return withinHour(c, c.record?.failovers);
}

export function recentMoves(c: Case): readonly number[] {
  return withinHour(c, c.record?.moves);
}

function withinHour({ scene }: Case, times: readonly number[] = []): readonly number[] {
  const now = clusterMs(scene.view, scene.now);
  return times.filter((t) => now - t < hourMs);
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
    ...failbackMemory(c, ownership),
    reason,
    since: c.wall,
    takeoverMs: c.record?.takeoverMs ?? [],
    ...(holder === null ? {} : { data: { server: holder.server, epoch: holder.epoch } }),
    ...(c.record?.forced === undefined ? {} : { forced: c.record.forced }),
  };
}

/** What keeps a group from going back and forth. Once a server owns it again, or whom a person chose does not, that is over. */
function failbackMemory(c: Case, ownership: Ownership): Partial<GroupRecord> {
  const moves = recentMoves(c);
  const [failedBackAt] = c.record?.failedBackAt === undefined ? [] : withinHour(c, [c.record.failedBackAt]);
  const waits = c.record?.failbackWaits;
  const owner = ownership.kind === 'owned' ? ownership.owner : null;
  const over = owner !== null && (owner === waits?.server || owner !== (waits?.chosen ?? owner));
  return {
    ...(moves.length === 0 ? {} : { moves }),
    ...(failedBackAt === undefined ? {} : { failedBackAt }),
    ...(waits === undefined || over ? {} : { failbackWaits: waits }),
  };
}

/** By itself it went back to the preferred server, or left it within an hour of that (B3 of failback.ts). */
function failedBack(c: Case, to: MemberId, op: Operation): Partial<GroupRecord> {
  const now = clusterMs(c.scene.view, c.scene.now);
  if (op.by !== 'holdfast') return {};
  if (op.kind === 'failback' && op.phase !== 'rolling-back') return { failedBackAt: now };
  const from = lastOwner(c.record);
  const at = c.record?.failedBackAt;
  if (from === null || from === to || from !== c.config.servers[0] || at === undefined) return {};
  if (withinHour(c, [at]).length === 0) return {};
  const why = `it went back by itself and had to leave ${from} again within an hour: ${op.reason}`;
  return { failbackWaits: { server: from, why } };
}

/** `to` owns the group from this epoch on. */
export function givenTo(c: Case, to: MemberId, epoch: Epoch, op: Operation, reason: string): GroupRecord {
  const after = stillLettingGo(c, to);
  const owned: Ownership = { kind: 'owned', owner: to, epoch, ...(after === null ? {} : { after }) };
  const base = withOwnership(c, owned, op, reason);
  const counts = op.kind === 'failover' && op.phase === 'acquiring';
  return {
    ...base,
    ...failedBack(c, to, op),
    ...(isForcedAway(c, to, op) ? { forced: epoch } : {}),
    ownerBoot: c.scene.view.renewals.get(to)?.value.bootId ?? null,
    failovers: counts
      ? [...base.failovers, clusterMs(c.scene.view, c.scene.now)].slice(-failoversMax)
      : base.failovers,
  };
}

/** Whoever goes on with its own data, or with nobody's, is not given another's by force. */
function isForcedAway({ record }: Case, to: MemberId, op: Operation): boolean {
  const last = lastOwner(record);
  return op.forced && op.phase === 'acquiring' && last !== null && last !== to;
}

/** The former owner that nobody has seen the end of yet: whoever comes next waits for it, too. */
function stillLettingGo({ scene, config, record }: Case, to: MemberId): Former | null {
  const own = record?.ownership;
  if (own?.kind !== 'owned' || own.after === undefined || own.after.server === to) return null;
  const { server, epoch } = own.after;
  return saysFenced(scene, server, config.name, epoch) === null ? own.after : null;
}

/** The operation is over and the owner stays; a takeover's duration is remembered. */
export function settled(
  c: Case,
  own: Extract<Ownership, { kind: 'owned' }>,
  done: EndedOperation | null,
  reason: string,
): GroupRecord {
  const { owner, epoch } = own;
  const data = { server: owner, epoch };
  const base = { ...withOwnership(c, { kind: 'owned', owner, epoch }, null, reason), data };
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

/** A planned move away from an owner; `to` null: to nobody. */
interface Release {
  readonly to: MemberId | null;
  readonly kind: OperationKind;
  readonly reason: string;
  readonly by?: string;
  readonly forced?: boolean;
}

/** Asks the owner to release, as one operation. Also what operators command. */
export function releaseTo(
  c: Case,
  own: Extract<Ownership, { kind: 'owned' }>,
  { to, kind, reason, by = 'holdfast', forced = false }: Release,
): Judgement {
  if (to !== null && !forced && mayHandOver(c, own)) {
    return handOver(c, own, { ...begin(kind, own.owner, to, reason), by, to });
  }
  const ownership: Ownership = { kind: 'releasing', owner: own.owner, epoch: own.epoch, to };
  const op = operation(c, { ...begin(kind, own.owner, to, reason), phase: 'releasing', by, forced });
  return change('releasing', kind, withOwnership(c, ownership, op, reason));
}

/**
 * Nothing can be refused, nothing has to be brought in step, and the owner is there: then the successor is named in the
 * same breath, and begins at the owner's own word instead of behind another commit (docs/adr/0023).
 */
function mayHandOver(c: Case, { owner, epoch }: Extract<Ownership, { kind: 'owned' }>): boolean {
  if (!isReleasedAtOnce(c.config)) return false;
  const { renewals } = c.scene.view;
  // Whoever is given the group later waits, too.
  if (!c.config.servers.every((server) => renewals.get(server)?.value.awaitsFormer === true)) return false;
  // One that is about to leave may be gone before its word was heard.
  if (renewals.get(owner)?.value.leaving !== false) return false;
  const report = reportFor(c.scene, owner, c.config.name);
  return report?.state === 'active' && report.epoch === epoch;
}

function handOver(
  c: Case,
  own: Extract<Ownership, { kind: 'owned' }>,
  wanted: Wanted & { readonly to: MemberId },
): Judgement {
  const { to, kind, reason } = wanted;
  const given = givenTo(c, to, own.epoch + 1n, operation(c, wanted), reason);
  const after = { server: own.owner, epoch: own.epoch };
  const ownership: Ownership = { kind: 'owned', owner: to, epoch: own.epoch + 1n, after };
  return change('failing-over', kind, { ...given, ownership });
}

/** The former owner said that it let go. */
export function letGo(c: Case, { owner, epoch }: Extract<Ownership, { kind: 'owned' }>): Judgement {
  const reason = c.record?.reason ?? 'released';
  const op = c.record?.operation ?? null;
  return change('failing-over', 'released', withOwnership(c, { kind: 'owned', owner, epoch }, op, reason));
}

/** The former owner is down before it said anything: what was a planned move is none any more, and probes. */
export function withoutItsWord(
  c: Case,
  { owner, epoch }: Extract<Ownership, { kind: 'owned' }>,
  former: MemberId,
  why: string,
): Judgement {
  const reason = `${owner} takes over because ${why}`;
  const op = operation(c, begin('failover', former, owner, reason));
  const record = givenTo(c, owner, epoch, op, reason);
  const before = ended(c, c.record?.operation ?? null, 'failed', why, []);
  return change(
    'failing-over',
    'failover',
    { ...record, ownership: { kind: 'owned', owner, epoch } },
    before,
    former,
  );
}

export function begin(
  kind: OperationKind,
  from: MemberId | null,
  to: MemberId | null,
  reason: string,
): Wanted {
  return { kind, phase: 'acquiring', from, to, by: 'holdfast', forced: false, reason, steps: [] };
}

interface Gift {
  readonly to: MemberId;
  readonly epoch: Epoch;
  readonly wanted: Wanted;
  readonly phase: Phase;
  /** Whose renewal was judged stale. */
  readonly stale?: MemberId | null;
  /** What becomes of the operation that was under way; by itself it ends as failed. */
  readonly before?: EndedOperation | null;
}

/** Gives the group to `to`. */
export function give(c: Case, { to, epoch, wanted, phase, stale = null, before }: Gift): Judgement {
  const { kind, reason } = wanted;
  const undone = before === undefined ? ended(c, c.record?.operation ?? null, 'failed', reason, []) : before;
  return change(phase, kind, givenTo(c, to, epoch, operation(c, wanted), reason), undone, stale);
}
