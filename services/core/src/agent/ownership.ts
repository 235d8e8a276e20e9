/**
 * One group on one server: acquire, stay, release, fence. Pure: what is ordered comes back in `actions`.
 *
 *   O1  acquiring starts only when our own renewal was committed while the record names us, at an epoch that is
 *       higher than any that ended here
 *   O2  whatever shows that another epoch rules makes us fence at once
 *   O3  a release is refused only before its point of no return; a stop that fails goes to the guard
 */

import type { GroupConfig } from '../config/types.ts';
import type { BootMs, Epoch, MemberId, Revision } from '../names.ts';
import { goneBy, mayActUntil } from '../node.ts';
import type { GroupRecord, StepRecord } from '../records.ts';
import type { TimeRules } from '../time.ts';
import type { AgentAction, Ended } from './events.ts';
import { heldEpoch, type Acquiring, type GroupState, type Releasing, type Walk } from './holding.ts';
import { startMonitoring } from './resources.ts';
import {
  beforePointOfNoReturn,
  identityAddresses,
  releaseSteps,
  stepLimitMs,
  stepName,
  takeoverSteps,
  type TakeoverStep,
} from './step.ts';

/** What every transition needs to know and none may change. */
export interface Here {
  readonly self: MemberId;
  readonly now: BootMs;
  readonly config: GroupConfig;
  /** The boot rule was carried out. */
  readonly stripped: boolean;
  readonly leaving: boolean;
  /** The command that fences a server, where one is configured. */
  readonly fenceCommand: (server: MemberId) => AgentAction | null;
}

export interface Moved {
  readonly group: GroupState;
  readonly actions: readonly AgentAction[];
}

const stay = (group: GroupState): Moved => ({ group, actions: [] });
const probeRetryMs = 1_000;
const fenceRetryMs = 10_000;

/**
 * The group's record as of a revision. `provenAt` is `s` of the renewal that was committed together with this
 * view; null for a hint, which may stop us and never start us.
 */
export function seeRecord(
  g: GroupState,
  record: GroupRecord,
  revision: Revision,
  provenAt: BootMs | null,
  here: Here,
): Moved {
  if (revision < g.seenRevision) return stay(g);
  const own = record.ownership;
  const mine = own.kind !== 'unowned' && own.owner === here.self;
  let next: GroupState = {
    ...g,
    seen: record,
    seenRevision: revision,
    highestEpoch: max(g.highestEpoch, own.epoch),
  };
  if (mine && provenAt !== null) next = entitle(next, own.epoch, provenAt);
  const held = heldEpoch(next.holding);

  if (held === null) {
    if (mine && own.kind === 'releasing' && next.holding.kind === 'idle')
      return stay(declareFenced(next, own.epoch, 'nothing of it runs here'));
    return stay(next);
  }
  if (!mine || own.epoch !== held) return startFence(next, lostReason(record, here.self), here);
  switch (next.holding.kind) {
    case 'acquiring':
    case 'active':
      if (own.kind !== 'releasing' || next.releaseRefused !== null) {
        return stay(own.kind === 'owned' ? { ...next, releaseRefused: null } : next);
      }
      return startRelease(next, record.reason, here);
    case 'releasing':
      return own.kind === 'owned' && next.holding.then === 'fenced'
        ? acquire(next, own.epoch, here)
        : stay(next);
    case 'fencing':
    case 'stuck':
    case 'idle':
    case 'fenced':
      return stay(next);
  }
}

function lostReason(record: GroupRecord, self: MemberId): string {
  const own = record.ownership;
  const who = own.kind === 'unowned' ? 'nobody' : own.owner === self ? 'this server' : own.owner;
  return `${who} owns ${record.group} at epoch ${own.epoch.toString()}`;
}

/** A later proof for the same epoch extends the entitlement; one for a new epoch starts it. */
export function entitle(g: GroupState, epoch: Epoch, provenAt: BootMs): GroupState {
  const before = g.entitledEpoch === epoch ? (g.entitlement?.provenAt ?? -Infinity) : -Infinity;
  return { ...g, entitledEpoch: epoch, entitlement: { provenAt: Math.max(before, provenAt) } };
}

/** Starts to acquire when everything that it takes is there (O1). Called after every event. */
export function acquireWhenEntitled(g: GroupState, here: Here): Moved {
  const own = g.seen?.ownership;
  if (own === undefined || own.kind !== 'owned' || own.owner !== here.self) return stay(g);
  if (g.holding.kind !== 'idle' && g.holding.kind !== 'fenced') return stay(g);
  if (g.holding.kind === 'fenced' && own.epoch <= g.holding.epoch) return stay(g);
  if (g.entitledEpoch !== own.epoch || !entitled(g, here)) return stay(g);
  if (!here.stripped || here.leaving) return stay(g);
  if (g.promisedUntil !== null && here.now < g.promisedUntil) return stay(g);
  return acquire(g, own.epoch, here);
}

function entitled(g: GroupState, here: Here): boolean {
  return g.entitlement !== null && here.now < mayActUntil(g.entitlement, here.config.rules);
}

/** A new boot, or a new agent that nobody vouches for, never acts at an epoch of a former life (boot rule). */
export function declareFenced(g: GroupState, epoch: Epoch, says: string): GroupState {
  return {
    ...g,
    holding: { kind: 'fenced', epoch, after: 'fenced', says, done: [] },
    resources: new Map(),
    wantsRelease: null,
    releaseRefused: null,
    round: null,
    sighting: null,
  };
}

function acquire(g: GroupState, epoch: Epoch, here: Here): Moved {
  const walk: Acquiring = {
    kind: 'acquiring',
    epoch,
    steps: takeoverSteps(here.config),
    at: 0,
    done: [],
    run: 0,
    startedAt: here.now,
    tries: 0,
    retryAt: null,
    held: null,
  };
  const fresh = { ...g, holding: walk, resources: new Map(), wantsRelease: null, releaseRefused: null };
  const moved = runCurrent(fresh, walk, here);
  return {
    group: moved.group,
    actions: [{ kind: 'remember', group: g.group, epoch, state: 'acquiring' }, ...moved.actions],
  };
}

function startRelease(g: GroupState, reason: string, here: Here): Moved {
  const epoch = heldEpoch(g.holding);
  if (epoch === null) return stay(g);
  return walkBack(g, epoch, releaseSteps(here.config), reason, 'fenced', here);
}

/** Undoes what an acquisition had done, without the hooks of an orderly release. */
function undo(g: GroupState, epoch: Epoch, reason: string, here: Here): Moved {
  return walkBack(
    g,
    epoch,
    releaseSteps(here.config).filter((s) => s.kind !== 'hook'),
    reason,
    'failed',
    here,
  );
}

function walkBack(
  g: GroupState,
  epoch: Epoch,
  steps: readonly TakeoverStep[],
  reason: string,
  then: Releasing['then'],
  here: Here,
): Moved {
  const done = then === 'failed' && 'done' in g.holding ? g.holding.done : [];
  const walk: Releasing = {
    kind: 'releasing',
    epoch,
    steps,
    at: 0,
    done,
    run: 0,
    startedAt: here.now,
    reason,
    then,
  };
  const moved = runCurrent({ ...g, holding: walk, wantsRelease: null, sighting: null }, walk, here);
  return {
    group: moved.group,
    actions: [{ kind: 'remember', group: g.group, epoch, state: 'releasing' }, ...moved.actions],
  };
}

/** Orders the step that the walk stands at, or ends the walk behind its last one. */
function runCurrent(g: GroupState, walk: Acquiring | Releasing, here: Here): Moved {
  const step = walk.steps[walk.at];
  if (step === undefined)
    return walk.kind === 'acquiring' ? becomeActive(g, walk, here) : becomeFenced(g, walk);
  const started = { ...walk, run: walk.run + 1, startedAt: here.now };
  const planned =
    g.seen?.operation !== null && g.seen?.operation?.forced === false && plannedKind(g.seen.operation.kind);
  return {
    group: { ...g, holding: started },
    actions: [
      {
        kind: 'run-step',
        group: g.group,
        epoch: walk.epoch,
        run: started.run,
        step,
        limitMs: stepLimitMs(step, here.config),
        goneBy: g.entitlement === null ? here.now : goneBy(g.entitlement, here.config.rules),
        planned,
      },
    ],
  };
}

function plannedKind(kind: string): boolean {
  return kind === 'switchover' || kind === 'failback' || kind === 'release';
}

function becomeActive(g: GroupState, walk: Acquiring, here: Here): Moved {
  const active: GroupState = {
    ...g,
    holding: { kind: 'active', epoch: walk.epoch, done: walk.done },
    resources: startMonitoring(here.config, here.now),
    sighting: { round: 0, tries: 0, nextAt: here.now + 300 },
  };
  return {
    group: active,
    actions: [
      { kind: 'remember', group: g.group, epoch: walk.epoch, state: 'active' },
      { kind: 'note', group: g.group, what: 'active', reason: `active at epoch ${walk.epoch.toString()}` },
    ],
  };
}

function becomeFenced(g: GroupState, walk: Releasing): Moved {
  return {
    group: {
      ...declareFenced(g, walk.epoch, walk.reason),
      holding: { kind: 'fenced', epoch: walk.epoch, after: walk.then, says: walk.reason, done: walk.done },
    },
    actions: [
      { kind: 'remember', group: g.group, epoch: walk.epoch, state: 'fenced' },
      { kind: 'note', group: g.group, what: 'released', reason: walk.reason },
    ],
  };
}

/** The end of a step, of this very run; anything else is stale and ignored. */
export function stepEnded(
  g: GroupState,
  epoch: Epoch,
  run: number,
  ended: Ended,
  ms: number,
  occupied: boolean,
  here: Here,
): Moved {
  const h = g.holding;
  if ((h.kind !== 'acquiring' && h.kind !== 'releasing') || h.epoch !== epoch || h.run !== run)
    return stay(g);
  const step = h.steps[h.at];
  if (step === undefined) return stay(g);
  const record: StepRecord = {
    name: stepName(step),
    server: here.self,
    ms,
    outcome: ended.kind,
    says: ended.kind === 'failed' ? ended.says : '',
  };
  if (h.kind === 'acquiring') {
    if (ended.kind === 'failed') return acquiringFailed(g, h, step, record, occupied, here);
    const on: Acquiring = { ...advance(h, record), tries: 0, retryAt: null, held: null };
    return runCurrent({ ...g, holding: on }, on, here);
  }
  if (ended.kind === 'failed') return releasingFailed(g, h, step, record, here);
  const on: Releasing = advance(h, record);
  return runCurrent({ ...g, holding: on }, on, here);
}

function advance<W extends Walk>(walk: W, record: StepRecord): W {
  return { ...walk, at: walk.at + 1, done: [...walk.done, record] };
}

function acquiringFailed(
  g: GroupState,
  h: Acquiring,
  step: TakeoverStep,
  record: StepRecord,
  occupied: boolean,
  here: Here,
): Moved {
  switch (step.kind) {
    case 'probe': {
      if (!occupied) return undo(g, h.epoch, `${record.name}: ${record.says}`, here);
      const former = g.seen?.operation?.from ?? null;
      const fence =
        h.tries === 0 && former !== null && former !== here.self ? here.fenceCommand(former) : null;
      const held: Acquiring = {
        ...h,
        tries: h.tries + 1,
        retryAt: here.now + probeRetryMs,
        held: `held: ${record.says}`,
      };
      const note: AgentAction[] =
        h.tries === 0 ? [{ kind: 'note', group: g.group, what: 'held', reason: record.says }] : [];
      return { group: { ...g, holding: held }, actions: fence === null ? note : [...note, fence] };
    }
    case 'announce':
    case 'name':
      return skip(g, h, record, here);
    case 'hook':
      return step.point === 'afterTakeover'
        ? skip(g, h, record, here)
        : undo(g, h.epoch, `${record.name}: ${record.says}`, here);
    case 'start': {
      const allowed = here.config.resources.find((r) => r.name === step.resource)?.monitor.restarts ?? 0;
      if (h.tries < allowed) {
        const again: Acquiring = { ...h, tries: h.tries + 1 };
        return runCurrent({ ...g, holding: again }, again, here);
      }
      return undo({ ...g, holding: advance(h, record) }, h.epoch, `${record.name}: ${record.says}`, here);
    }
    case 'yield-own':
    case 'hold-addresses':
    case 'stop':
    case 'unname':
    case 'drop-addresses':
      return undo({ ...g, holding: advance(h, record) }, h.epoch, `${record.name}: ${record.says}`, here);
  }
}

/** The service can live without this step: go on, and keep the failure in the record. */
function skip(g: GroupState, walk: Acquiring | Releasing, record: StepRecord, here: Here): Moved {
  const on = advance(walk, record);
  const moved = runCurrent({ ...g, holding: on }, on, here);
  return {
    group: moved.group,
    actions: [
      { kind: 'note', group: g.group, what: 'step-failed', reason: `${record.name}: ${record.says}` },
      ...moved.actions,
    ],
  };
}

function releasingFailed(
  g: GroupState,
  h: Releasing,
  step: TakeoverStep,
  record: StepRecord,
  here: Here,
): Moved {
  const says = `${record.name}: ${record.says}`;
  if (beforePointOfNoReturn(step) && h.then === 'fenced') {
    return {
      group: { ...g, holding: { kind: 'active', epoch: h.epoch, done: [] }, releaseRefused: says },
      actions: [
        { kind: 'remember', group: g.group, epoch: h.epoch, state: 'active' },
        { kind: 'note', group: g.group, what: 'release-refused', reason: says },
      ],
    };
  }
  if (step.kind === 'stop' || step.kind === 'drop-addresses') return startFence(g, says, here);
  return skip(g, h, record, here);
}

/**
 * The configuration changed under an active group: what is no longer wanted goes, what is new comes, and what did
 * not change is not touched, because every step does nothing where there is nothing to do.
 */
export function reconfigured(g: GroupState, before: GroupConfig, here: Here): Moved {
  if (g.holding.kind === 'fenced' && g.holding.after === 'failed') {
    // It failed under the old configuration; the new one deserves a try.
    return stay({ ...g, holding: { ...g.holding, after: 'fenced' } });
  }
  const after = here.config;
  if (g.holding.kind !== 'active') return stay(g);
  const gone = before.resources.filter((r) => !after.resources.some((n) => n.name === r.name));
  const wanted = identityAddresses(after.identity);
  const left = identityAddresses(before.identity).filter((a) => !wanted.includes(a));
  const added = wanted.some((a) => !identityAddresses(before.identity).includes(a));
  const fresh = after.resources.some((r) => !before.resources.some((o) => o.name === r.name));
  const renamed = before.identity.hostname !== after.identity.hostname;
  if (gone.length === 0 && left.length === 0 && !added && !fresh && !renamed) return stay(g);
  const steps: TakeoverStep[] = [
    ...[...gone].reverse().map((r) => ({ kind: 'stop', resource: r.name }) as const),
    ...(renamed && before.identity.hostname !== null ? [{ kind: 'unname' } as const] : []),
    ...(left.length > 0 ? [{ kind: 'drop-addresses', addresses: left } as const] : []),
    ...takeoverSteps(after).filter((s) => s.kind !== 'hook' && s.kind !== 'yield-own'),
  ];
  const walk: Acquiring = {
    kind: 'acquiring',
    epoch: g.holding.epoch,
    steps,
    at: 0,
    done: [],
    run: 0,
    startedAt: here.now,
    tries: 0,
    retryAt: null,
    held: null,
  };
  return runCurrent({ ...g, holding: walk }, walk, here);
}

/** Gives everything up now, through the guard: addresses first, then resources. */
export function startFence(g: GroupState, reason: string, here: Here): Moved {
  const epoch = heldEpoch(g.holding);
  if (epoch === null || g.holding.kind === 'fencing') return stay(g);
  const limit = here.now + here.config.rules.stopMs;
  const doneBy = g.entitlement === null ? limit : Math.min(limit, goneBy(g.entitlement, here.config.rules));
  return {
    group: {
      ...g,
      holding: {
        kind: 'fencing',
        epoch,
        reason,
        retryAt: here.now + here.config.rules.stopMs + fenceRetryMs,
      },
      round: null,
      wantsRelease: null,
      sighting: null,
    },
    actions: [
      { kind: 'fence', group: g.group, epoch, doneBy: Math.max(doneBy, here.now), reason },
      { kind: 'note', group: g.group, what: 'fencing', reason },
    ],
  };
}

export function fenceEnded(g: GroupState, epoch: Epoch, ended: Ended, here: Here): Moved {
  const held = heldEpoch(g.holding);
  if (held === null || held !== epoch) return stay(g);
  if (ended.kind === 'done') {
    const says = g.holding.kind === 'fencing' ? g.holding.reason : 'fenced by the guard';
    return {
      group: declareFenced(g, epoch, says),
      actions: [
        { kind: 'remember', group: g.group, epoch, state: 'fenced' },
        { kind: 'note', group: g.group, what: 'fenced', reason: says },
      ],
    };
  }
  return {
    group: { ...g, holding: { kind: 'stuck', epoch, says: ended.says, retryAt: here.now + fenceRetryMs } },
    actions: [{ kind: 'note', group: g.group, what: 'fence-failed', reason: ended.says }],
  };
}

/** Deadlines of this group: the fence, the retries. */
export function onTime(g: GroupState, here: Here): Moved {
  const h = g.holding;
  switch (h.kind) {
    case 'acquiring':
    case 'active':
    case 'releasing':
      if (!entitled(g, here)) {
        return startFence(g, 'no renewal was confirmed in time', here);
      }
      if (h.kind === 'acquiring' && h.retryAt !== null && here.now >= h.retryAt) {
        const again: Acquiring = { ...h, retryAt: null };
        return runCurrent({ ...g, holding: again }, again, here);
      }
      return stay(g);
    case 'fencing':
    case 'stuck':
      if (here.now < h.retryAt) return stay(g);
      return startFence(
        { ...g, holding: { kind: 'stuck', epoch: h.epoch, says: '', retryAt: 0 } },
        h.kind === 'stuck' ? h.says : h.reason,
        here,
      );
    case 'idle':
    case 'fenced':
      return stay(g);
  }
}

export function nextDeadline(g: GroupState, rules: TimeRules): BootMs | null {
  const times: BootMs[] = [];
  const h = g.holding;
  if (h.kind === 'acquiring' || h.kind === 'active' || h.kind === 'releasing') {
    if (g.entitlement !== null) times.push(mayActUntil(g.entitlement, rules));
  }
  if (h.kind === 'acquiring' && h.retryAt !== null) times.push(h.retryAt);
  if (h.kind === 'fencing' || h.kind === 'stuck') times.push(h.retryAt);
  if ((h.kind === 'idle' || h.kind === 'fenced') && g.promisedUntil !== null) times.push(g.promisedUntil);
  return times.length === 0 ? null : Math.min(...times);
}

function max(a: Epoch, b: Epoch): Epoch {
  return a > b ? a : b;
}
