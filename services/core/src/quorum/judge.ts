/**
 * What should become of one group now, and why. Pure and complete: called after every event, for every group, by
 * every quorum service; only the leader's judgement is carried out.
 *
 *   J1  a change of owner needs one of: the owner is down (node.ts); its own word that it is fenced; or its own fresh word that
 *       it began nothing at its epoch, while its renewal did not change for the longer of outage and G (docs/adr/0015)
 *   J2  at most one operation per group; the record itself carries it, so a new leader goes on with it
 *   J3  maintenance and observe-only explain, and begin nothing: a question that nobody answered was not begun
 *   J4  nothing else becomes of a group while its former owner may still be letting go (former.ts)
 *   J5  what a person denied is not asked for again before something has changed: denial.ts
 */

import type { BootMs, MemberId } from '../names.ts';
import type { Operation, Ownership, StepRecord } from '../records.ts';
import { whenSilent } from './asked.ts';
import {
  askFor,
  assess,
  blockerList,
  blockerOf,
  blockers,
  candidates,
  choose,
  lossClause,
  plannedCandidates,
} from './candidates.ts';
import { callOff, refusalTold, restAfterRefusal, resting } from './refusal.ts';
import {
  heardAt,
  lastOwner,
  liveReportFor,
  neverBegan,
  reportFor,
  saysFenced,
  seconds,
  serverDownAt,
  wellPace,
} from './scene.ts';
import type { Candidate } from './candidates.ts';
import type { Case, Change, Judgement } from './case.ts';
import {
  begin,
  change,
  ended,
  give,
  givenTo,
  operation,
  releaseTo,
  settled,
  stay,
  withOwnership,
} from './changes.ts';
import { isDrained } from './copies.ts';
import { deniedBecause, denialOver } from './denial.ts';
import { failbackDue } from './failback.ts';
import { judgeFormer } from './former.ts';
import { waitForOthers } from './leaving.ts';
import { lateSteps, stepsAwaitedUntil } from './late-steps.ts';
import { acquiring, well } from './owner-told.ts';
import { servicePathDead } from './paths.ts';
import { takeBack } from './taking-back.ts';
import { heldByFailovers, heldByMoves, leaveDeadPath, leaveInTrouble } from './trouble.ts';
import { unreadable } from './unreadable.ts';
import { maintenanceOf } from './view.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;
type Releasing = Extract<Ownership, { kind: 'releasing' }>;

export function judge(c: Case): Judgement {
  const garbage = unreadable(c);
  if (garbage !== null) return stay('blocked', garbage, null, [garbage]);
  const judged = judgeOwnership(c);
  const pause = pausedBecause(c);
  if (pause === null) return judged;
  const observed = c.config.takeover === 'observe';
  const { change } = judged;
  const asks = c.record?.operation?.phase === 'awaiting-approval';
  const begun = !asks && (c.record?.operation ?? null) !== null;
  const stands = change === null ? !asks : begun || onlyEnds(c, change); // what was begun is ended
  if (stands) return { ...judged, phase: observed && judged.phase === 'stopped' ? 'observe' : judged.phase };
  return {
    ...judged,
    phase: observed ? 'observe' : change === null ? judged.phase : standing(c),
    change: null,
    reason: `${pause}; otherwise: ${change?.record.reason ?? judged.reason}`,
    warnings: [...judged.warnings, pause],
    withheld: change ?? undefined,
  };
}

/** A question is withdrawn or a denial is over, and everything else stays as it is. */
function onlyEnds(c: Case, { record }: Change): boolean {
  return record.operation === null && record.ownership === c.record?.ownership;
}

/** The phase of a group about which nothing is decided. */
function standing(c: Case): Judgement['phase'] {
  const own = c.record?.ownership;
  if (own === undefined || own.kind === 'unowned') return 'stopped';
  const report = reportFor(c.scene, own.owner, c.config.name);
  return report?.epoch === own.epoch && report.state === 'active' ? 'active' : 'blocked';
}

/** Why decisions are explained and not carried out (J3); null when they are. */
export function pausedBecause(c: Pick<Case, 'scene' | 'config' | 'record'>): string | null {
  const m = maintenanceOf(c.scene.view);
  const why = (what: string, text: string) => `${what} is in maintenance${text === '' ? '' : ` (${text})`}`;
  if (m.cluster !== null) return why('the cluster', m.cluster);
  const group = m.groups[c.config.name];
  if (group !== undefined) return why(c.config.name, group);
  const owner = lastOwner(c.record);
  const server = owner === null ? undefined : m.servers[owner];
  if (owner !== null && server !== undefined) return why(owner, server);
  return c.config.takeover === 'observe' ? `${c.config.name} is only observed` : null;
}

function judgeOwnership(c: Case): Judgement {
  const own: Ownership = c.record?.ownership ?? { kind: 'unowned', epoch: 0n, lastOwner: null };
  switch (own.kind) {
    case 'unowned':
      return judgeUnowned(c, own);
    case 'owned':
      return judgeFormer(c, own) ?? judgeOwned(c, own);
    case 'releasing':
      return judgeReleasing(c, own);
  }
}

// -- unowned ---------------------------------------------------------------------------------------------------

function judgeUnowned(c: Case, own: Extract<Ownership, { kind: 'unowned' }>): Judgement {
  // Nobody is asked about a group that nobody owns: `failover` is the answer.
  const all = candidates(c.scene, c.config, c.record).map((s) =>
    s.ask === null ? s : { ...s, blocker: s.ask, forceable: true, ask: null },
  );
  const firstChoice = own.lastOwner ?? c.config.servers[0];
  const to = choose(all, firstChoice);
  // At the very first start the preferred server gets its outage to appear.
  const waitUntil =
    own.lastOwner === null && firstChoice !== undefined
      ? serverDownAt(c.scene, firstChoice, c.config)
      : -Infinity;
  if (to !== firstChoice && c.scene.now < waitUntil) {
    return stay('stopped', `waiting for ${String(firstChoice)}, the preferred server, to appear`, waitUntil);
  }
  if (to === undefined) {
    const phase = own.epoch === 0n ? 'stopped' : 'blocked';
    return stay(phase, `nobody can take ${c.config.name}: ${blockers(all)}`, null, blockerList(all));
  }
  const waits = waitForOthers(c, own, to);
  if (waits !== null) return waits;
  const others = own.lastOwner === null || to === own.lastOwner ? '' : `: ${blockerOf(all, own.lastOwner)}`;
  const reason = `${to} takes ${c.config.name} up${others}${lossUnlessLast(c, all, to)}`;
  const wanted = begin('start', own.lastOwner, to, reason);
  return give(c, { to, epoch: own.epoch + 1n, wanted, phase: 'starting' });
}

/** Whoever had the data last loses nothing of it. */
function lossUnlessLast(c: Case, all: readonly Candidate[], to: MemberId): string {
  const last = lastOwner(c.record);
  return last === null || last === to ? '' : lossClause(all, to);
}

// -- owned -----------------------------------------------------------------------------------------------------

function judgeOwned(c: Case, own: Owned): Judgement {
  const { scene, config } = c;
  const { owner, epoch } = own;
  const op = c.record?.operation ?? null;
  const rest = restAfterRefusal(c, own);
  if (!config.servers.includes(owner) && op === null && rest === null) {
    const reason = `${owner} is no longer a server of ${config.name}`;
    return releaseTo(c, own, { to: null, kind: 'release', reason });
  }
  const fenced = saysFenced(scene, owner, config.name, epoch);
  if (fenced !== null) return reassign(c, own, fenced);
  const downFrom = serverDownAt(scene, owner, config);
  if (scene.now >= downFrom) return failOver(c, own);
  if (op?.phase === 'awaiting-approval') return awaitApproval(c, own, op, downFrom);
  const report = liveReportFor(scene, owner, config.name);
  const active = report?.epoch === epoch && report.state === 'active';
  if (op !== null && active) {
    const awaited = stepsAwaitedUntil(c, own, op);
    if (awaited !== null) return acquiring(c, own, op, Math.min(downFrom, awaited));
    return operationDone(c, own, op, report.steps);
  }
  const never = neverBegan(scene, config, owner, epoch);
  if (never !== null && scene.now >= never) return failOver(c, own, notRenewing(owner));
  const back = active ? null : takeBack(c, own);
  if (back !== null) return back;
  if (op !== null) return acquiring(c, own, op, Math.min(downFrom, never ?? Infinity));
  if (!active) return well(c, own, Math.min(downFrom, never ?? Infinity));
  const over = denialOver(c, own);
  if (over !== null) return over;
  if (rest !== null) return resting(well(c, own, downFrom), rest);
  if (report.wantsRelease !== null) return ownerWantsOut(c, own, report.wantsRelease, downFrom);
  return leaveForBetter(c, own, downFrom);
}

function awaitApproval(c: Case, own: Owned, op: Operation, downFrom: BootMs): Judgement {
  const silent = c.scene.now - heardAt(c.scene, own.owner) >= c.config.rules.suspectMs;
  if (silent) return stay('awaiting-approval', op.reason, downFrom);
  const says = `${own.owner} is back before it was approved`;
  return change('active', 'withdrawn', withOwnership(c, own, null, says), ended(c, op, 'denied', says, []));
}

function operationDone(c: Case, own: Owned, op: Operation, steps: readonly StepRecord[]): Judgement {
  // One that was to be released, and was configured again before, stays.
  const back = op.phase === 'rolling-back' || op.kind === 'release';
  const done = ended(c, op, back ? 'rolled-back' : 'done', op.reason, [...lateSteps(c, own, op), ...steps]);
  const reason = `${own.owner} holds epoch ${own.epoch.toString()}: ${op.reason}`;
  return change('active', back ? 'rolled-back' : `${op.kind}-done`, settled(c, own, done, reason), done);
}

function ownerWantsOut(c: Case, own: Owned, why: string, downFrom: BootMs): Judgement {
  const all = plannedCandidates(c.scene, c.config, c.record).filter((s) => s.server !== own.owner);
  const to = choose(all);
  const leaving = c.scene.view.renewals.get(own.owner)?.value.leaving === true;
  if (leaving && to !== undefined) return releaseTo(c, own, { to, kind: 'switchover', reason: why });
  if (leaving) {
    const reason = `${why}; nobody can take over: ${blockers(all)}`;
    return releaseTo(c, own, { to: null, kind: 'release', reason });
  }
  const held = heldByMoves(c);
  if (to !== undefined && held === null) return leaveInTrouble(c, own, to, why, false);
  const judged = well(c, own, downFrom);
  const stays = to === undefined ? `nobody can take over: ${blockers(all)}` : String(held);
  const warnings = [...judged.warnings, why, ...(to === undefined || held === null ? [] : [held])];
  return {
    ...judged,
    reason: `${judged.reason}; ${why}, and ${to === undefined ? '' : 'it is '}${stays}`,
    warnings,
  };
}

/** The owner is well, and yet another server would serve better: its service network is dead, or failback is due. */
function leaveForBetter(c: Case, own: Owned, downFrom: BootMs): Judgement {
  const judged = well(c, own, downFrom);
  const path = servicePathDead(c.scene, c.config, own.owner);
  const dead = path !== null && c.scene.now >= path.from ? leaveDeadPath(c, own, path) : null;
  if (dead?.kind === 'leave') return dead.judgement;
  const back = failbackDue(c);
  if (back?.kind === 'now') return releaseTo(c, own, { to: back.to, kind: 'failback', reason: back.reason });
  const times = [judged.wakeAt, path?.from ?? null, back?.at ?? null];
  const future = times.filter((t): t is BootMs => t !== null && t > c.scene.now);
  const reason = [
    judged.reason,
    ...(dead === null ? [] : [dead.says]),
    ...(back === null ? [] : [back.says]),
  ];
  return {
    ...judged,
    reason: reason.join('; '),
    wakeAt: future.length === 0 ? null : Math.min(...future),
    warnings: dead === null ? judged.warnings : [...judged.warnings, dead.says],
  };
}

const notRenewing = (owner: MemberId): string => `${owner} is heard and does not renew`;

/** J1: it is down, or never began. */
function failOver(c: Case, own: Owned | Releasing, because: string | null = null): Judgement {
  const { scene, config, record } = c;
  const { owner, epoch } = own;
  const silent = `${owner} was silent for ${seconds(scene.now - heardAt(scene, owner))} and did not renew`;
  const why = because ?? silent;
  const op = record?.operation ?? null;
  const held = heldByFailovers(c);
  if (held !== null) return stay('blocked', `${why}; ${held}`, null, [held]);
  const others = candidates(scene, config, record).filter((s) => s.server !== owner);
  const all = whenSilent(scene, config, owner, others);
  const to = choose(all, own.kind === 'releasing' ? own.to : undefined);
  if (to === undefined)
    return stay('blocked', `${why}; nobody can take over: ${blockers(all)}`, null, blockerList(all));
  const wanted = askFor(all, to);
  const reason = `${to} takes over because ${why}${wanted === null ? '' : `, but ${wanted}`}${lossClause(all, to)}`;
  if ((config.takeover === 'manual' || wanted !== null) && op?.forced !== true) {
    const asked = stillAsked(op, all);
    if (asked !== null) return stay('awaiting-approval', asked.reason, null);
    const denied = deniedBecause(c, 'silent'); // J5
    if (denied !== null) return stay('blocked', `${why}; ${denied}`, null, [denied]);
    const ask = operation(c, { ...begin('failover', owner, to, reason), phase: 'awaiting-approval' });
    const next = withOwnership(c, { kind: 'owned', owner, epoch }, ask, `${reason}, once approved`);
    return change(
      'awaiting-approval',
      'approval-wanted',
      next,
      ended(c, op, 'failed', inVain(op, all) ?? why, []),
    );
  }
  // It was dying while it released: what a person forced is forced still.
  const forced = op?.forced === true && op.to === to;
  const begun = { ...begin('failover', owner, to, reason), forced };
  return give(c, { to, epoch: epoch + 1n, wanted: begun, phase: 'failing-over', stale: owner });
}

/** The question on record, if whom it is about can take over still; another one is asked about where it can't. */
function stillAsked(op: Operation | null, all: readonly Candidate[]): Operation | null {
  return op?.phase === 'awaiting-approval' && inVain(op, all) === null ? op : null;
}

/** Why a person was asked in vain; null: nobody was, or not in vain. */
function inVain(op: Operation | null, all: readonly Candidate[]): string | null {
  if (op?.phase !== 'awaiting-approval' || op.to === null) return null;
  const asked = all.find((s) => s.server === op.to);
  return asked === undefined ? blockerOf(all, op.to) : asked.blocker;
}

/** J1, by the owner's own word: nothing need be waited for. */
function reassign(c: Case, own: Owned, word: 'fenced' | 'failed'): Judgement {
  const { scene, config, record } = c;
  const { owner, epoch } = own;
  const op = record?.operation ?? null;
  const report = reportFor(scene, owner, config.name);
  const told = report?.epoch === epoch ? report : null;
  const says = told === null || told.says === '' ? 'it says so itself' : told.says;
  const all = candidates(scene, config, record);
  if (
    word === 'failed' &&
    op !== null &&
    (op.kind === 'switchover' || op.kind === 'failback') &&
    op.from !== null
  ) {
    const back = choose(all.filter((s) => s.server === op.from));
    if (back !== undefined)
      return rollBack(c, back, epoch, op, `${owner} could not take over (${says})`, told?.steps ?? []);
  }
  const to = choose(all, owner);
  const failed = ended(c, op, 'failed', says, told?.steps ?? []);
  if (to === undefined) {
    const reason = `${owner} gave ${config.name} up (${says}); nobody can take it: ${blockers(all)}`;
    const next = withOwnership(c, { kind: 'unowned', epoch, lastOwner: owner }, null, reason);
    return change('blocked', 'unowned', next, failed);
  }
  const reason =
    to === owner
      ? `${owner} takes ${config.name} up again: ${says}`
      : `${to} takes over at once: ${owner} is fenced (${says})${lossClause(all, to)}`;
  const kind = to === owner ? 'start' : 'failover';
  const asks = config.takeover === 'manual' || askFor(all, to) !== null;
  const denied = kind === 'failover' && asks ? deniedBecause(c, 'fenced') : null; // J5
  if (denied !== null) return stay('blocked', `${owner} is fenced (${says}); ${denied}`, null, [denied]);
  if (kind === 'failover' && asks) {
    const asked = stillAsked(op, all);
    if (asked !== null) return stay('awaiting-approval', asked.reason, null);
    const ask = operation(c, { ...begin(kind, owner, to, reason), phase: 'awaiting-approval' });
    return change(
      'awaiting-approval',
      'approval-wanted',
      withOwnership(c, own, ask, `${reason}, once approved`),
      ended(c, op, 'failed', inVain(op, all) ?? says, told?.steps ?? []),
    );
  }
  const held = kind === 'failover' ? heldByFailovers(c) : null;
  if (held !== null) {
    const why = `${owner} is fenced (${says}); ${held}`;
    if (op === null) return stay('blocked', why, null, [held]);
    return change('blocked', 'held', withOwnership(c, own, null, why), failed);
  }
  const phase = kind === 'start' ? 'starting' : 'failing-over';
  return give(c, { to, epoch: epoch + 1n, wanted: begin(kind, owner, to, reason), phase, before: failed });
}

// -- releasing -------------------------------------------------------------------------------------------------

function judgeReleasing(c: Case, own: Releasing): Judgement {
  const { scene, config, record } = c;
  const { owner, epoch, to } = own;
  const op = record?.operation ?? null;
  const report = liveReportFor(scene, owner, config.name);
  const mine = report?.epoch === epoch ? report : null;
  if (saysFenced(scene, owner, config.name, epoch) !== null) return released(c, own, op, mine?.steps ?? []);
  const downFrom = serverDownAt(scene, owner, config);
  if (scene.now >= downFrom) return failOver(c, own);
  const never = neverBegan(scene, config, owner, epoch);
  if (never !== null && scene.now >= never) return failOver(c, own, notRenewing(owner));
  const refused = refusalTold(c, own);
  if (refused !== null) return callOff(c, own, op, `${owner} refused: ${refused}`, mine?.steps ?? []);
  const blocker = to === null ? null : assess(scene, config, record, to).blocker;
  // Those of one that is still active are of an earlier operation.
  const done = mine?.state === 'releasing' ? mine.steps : [];
  if (blocker !== null) return callOff(c, own, op, blocker, done);
  const says = mine === null || mine.says === '' || mine.says === record?.reason ? '' : ` (${mine.says})`;
  const targetSilentAt = to === null ? Infinity : heardAt(scene, to) + wellPace(scene, to, config).heardMs;
  const reason = `${owner} is releasing ${config.name} to ${to ?? 'nobody'}: ${record?.reason ?? ''}${says}`;
  return stay('releasing', reason, Math.min(downFrom, targetSilentAt, never ?? Infinity));
}

/** The owner said that it is fenced: on to the next one. */
function released(c: Case, own: Releasing, op: Operation | null, told: readonly StepRecord[]): Judgement {
  const { config } = c;
  const { owner, epoch, to } = own;
  const steps = told.some((s) => s.outcome === 'running') ? [] : told;
  const reason = c.record?.reason ?? 'released';
  const unowned = (why: string, outcome: 'done' | 'failed') =>
    change(
      outcome === 'done' ? 'stopped' : 'blocked',
      'unowned',
      withOwnership(c, { kind: 'unowned', epoch, lastOwner: owner }, null, why),
      ended(c, op, outcome, why, steps),
    );
  if (to === null) return unowned(reason, 'done');
  const all = candidates(c.scene, c.config, c.record);
  const target = choose(all.filter((s) => s.server === to));
  if (target !== undefined) {
    const drained =
      config.mirrors.length === 0 || isDrained(c.scene, config.name, { server: owner, epoch }, to);
    const because = drained ? reason : `${reason}${lossClause(all, to)}`;
    const next: Operation =
      op === null
        ? operation(c, { ...begin('switchover', owner, to, reason), steps })
        : { ...op, phase: 'acquiring', steps: [...op.steps, ...steps] };
    return change('failing-over', 'released', givenTo(c, to, epoch + 1n, next, because));
  }
  const other = choose(all, owner);
  const why = blockerOf(all, to);
  if (other === undefined || op === null)
    return unowned(`${why}; nobody can take ${c.config.name}`, 'failed');
  return rollBack(c, other, epoch, op, why, steps);
}

function rollBack(
  c: Case,
  to: MemberId,
  epoch: bigint,
  op: Operation,
  why: string,
  steps: readonly StepRecord[],
): Judgement {
  const reason = `${why}: ${to} takes ${c.config.name} again`;
  const back: Operation = { ...op, phase: 'rolling-back', reason, steps: [...op.steps, ...steps] };
  return change('failing-over', 'rolling-back', givenTo(c, to, epoch + 1n, back, reason));
}
