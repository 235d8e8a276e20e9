/**
 * Walks: the list of steps that acquires a group, and the one that gives it up, one step at a time. What a failed step
 * means is decided here: some can be lived without, some undo everything, some go to the guard.
 */

import type { GroupConfig } from '../config/types.ts';
import { mirrorsOf } from '../mirror/mirror-id.ts';
import type { Epoch, MemberId } from '../names.ts';
import { goneBy } from '../node.ts';
import type { StepRecord } from '../records.ts';
import type { AgentAction, AgentEvent, Ended } from './events.ts';
import {
  heldEpoch,
  type Acquiring,
  type GroupState,
  type Releasing,
  type Trying,
  type Walk,
} from './holding.ts';
import type { Here, Moved } from './here.ts';
import { failedAgain } from './resting.ts';
import { startMonitoring } from './resources.ts';
import {
  beforePointOfNoReturn,
  releaseSteps,
  stepLimitMs,
  stepName,
  takeoverSteps,
  type TakeoverStep,
} from '../step.ts';

export const stay = (group: GroupState): Moved => ({ group, actions: [] });
export const probeRetryMs = 1_000;
export const fenceRetryMs = 10_000;

/** A new boot, or a new agent that nobody vouches for, never acts at an epoch of a former life (boot rule). */
export function declareFenced(g: GroupState, epoch: Epoch, says: string): GroupState {
  return {
    ...g,
    holding: { kind: 'fenced', epoch, after: 'fenced', says, done: [] },
    resources: new Map(),
    held: [],
    wantsRelease: null,
    releaseRefused: null,
    opened: null,
    rounds: [],
    sighting: null,
  };
}

export function acquire(g: GroupState, epoch: Epoch, here: Here): Moved {
  const walk = acquiring(epoch, takeoverSteps(here.config), here);
  const fresh: GroupState = {
    ...g,
    holding: walk,
    resources: new Map(),
    wantsRelease: null,
    releaseRefused: null,
    opened: null,
    drained: [],
    spare: 'not-here',
  };
  const moved = runCurrent(fresh, walk, here);
  return {
    group: moved.group,
    actions: [{ kind: 'remember', group: g.group, epoch, state: 'acquiring' }, ...moved.actions],
  };
}

export function startRelease(g: GroupState, reason: string, here: Here): Moved {
  const epoch = heldEpoch(g.holding);
  if (epoch === null) return stay(g);
  const own = g.seen?.ownership;
  const to = own?.kind === 'releasing' ? own.to : null;
  return walkBack(g, epoch, releaseSteps(here.config, to), reason, 'fenced', here);
}

/** Undoes what an acquisition had done, without the hooks of an orderly release. */
function undo(g: GroupState, epoch: Epoch, reason: string, here: Here): Moved {
  return walkBack(
    g,
    epoch,
    releaseSteps(here.config, null).filter((s) => s.kind !== 'hook' && s.kind !== 'drain-mirrors'),
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
  const left = {
    ...g,
    next: then === 'fenced' ? unfinished(g, here) : g.next,
    wantsRelease: null,
    sighting: null,
  };
  const moved = runCurrent({ ...left, holding: walk }, walk, here);
  return {
    group: moved.group,
    actions: [{ kind: 'remember', group: g.group, epoch, state: 'releasing' }, ...moved.actions],
  };
}

/** What a walk had not done yet is looked for again, should the group stay after all. */
function unfinished({ holding, next }: GroupState, here: Here): GroupConfig | null {
  const cut = holding.kind === 'acquiring' || (holding.kind === 'active' && holding.change !== null);
  return next ?? (cut ? here.config : null);
}

/** Orders the step that the walk stands at, or ends the walk behind its last one. */
export function runCurrent(g: GroupState, walk: Acquiring | Releasing, here: Here): Moved {
  const step = walk.steps[walk.at];
  if (step === undefined)
    return walk.kind === 'acquiring' ? becomeActive(g, walk, here) : becomeFenced(g, walk, here);
  const { group, actions } = orderStep(g, walk.epoch, step, isPlanned(g), here);
  return { group: { ...group, holding: { ...walk, run: group.runs, startedAt: here.now } }, actions };
}

/** `runs` of the group is the number of this run. An address that is about to be given up is not kept any more. */
export function orderStep(
  g: GroupState,
  epoch: Epoch,
  step: TakeoverStep,
  planned: boolean,
  here: Here,
): Moved {
  const runs = g.runs + 1;
  const held = step.kind === 'drop-addresses' ? without(g.held, step.addresses) : g.held;
  return {
    group: { ...g, runs, held },
    actions: [
      {
        kind: 'run-step',
        group: g.group,
        epoch,
        run: runs,
        step,
        limitMs: stepLimitMs(step, here.config),
        goneBy: g.entitlement === null ? here.now : goneBy(g.entitlement),
        planned,
        forced: g.seen?.operation?.forced === true,
      },
    ],
  };
}

/** What is here once this step was done. */
export function stepDone(g: GroupState, step: TakeoverStep): GroupState {
  if (step.kind !== 'hold-addresses') return g;
  return { ...g, held: [...without(g.held, step.addresses), ...step.addresses] };
}

const without = (some: readonly string[], gone: readonly string[]): readonly string[] =>
  some.filter((one) => !gone.includes(one));

function isPlanned({ seen }: GroupState): boolean {
  const operation = seen?.operation ?? null;
  if (operation === null || operation.forced) return false;
  const { kind } = operation;
  return kind === 'switchover' || kind === 'failback' || kind === 'release';
}

function becomeActive(g: GroupState, walk: Acquiring, here: Here): Moved {
  const active: GroupState = {
    ...g,
    holding: { kind: 'active', epoch: walk.epoch, done: walk.done, change: null },
    failures: null,
    resources: startMonitoring(here.config, here.now),
    opened: { epoch: walk.epoch, mirrors: mirrorsOf(here.config) },
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

function becomeFenced(g: GroupState, walk: Releasing, { now }: Here): Moved {
  return {
    group: {
      ...declareFenced(g, walk.epoch, walk.reason),
      failures: walk.then === 'failed' ? failedAgain(g.failures, now) : g.failures,
      holding: { kind: 'fenced', epoch: walk.epoch, after: walk.then, says: walk.reason, done: walk.done },
    },
    actions: [
      { kind: 'remember', group: g.group, epoch: walk.epoch, state: 'fenced' },
      { kind: 'note', group: g.group, what: 'released', reason: walk.reason },
    ],
  };
}

export type StepEnded = Extract<AgentEvent, { kind: 'step-ended' }>;

/** The end of a step, of this very run; anything else is stale and ignored. */
export function stepEnded(g: GroupState, end: StepEnded, here: Here): Moved {
  const { epoch, run, ended } = end;
  const h = g.holding;
  if ((h.kind !== 'acquiring' && h.kind !== 'releasing') || h.epoch !== epoch || h.run !== run)
    return stay(g);
  const step = h.steps[h.at];
  if (step === undefined) return stay(g);
  const record = recordOf(step, end, here);
  if (h.kind === 'acquiring') {
    if (ended.kind === 'failed') return acquiringFailed(g, h, step, record, end.occupied === true, here);
    const on: Acquiring = { ...advance(h, record), tries: 0, retryAt: null, held: null };
    const opened = step.kind === 'open-mirrors' ? { epoch, mirrors: step.mirrors } : g.opened;
    return runCurrent({ ...stepDone(g, step), holding: on, opened }, on, here);
  }
  if (ended.kind === 'failed') return releasingFailed(g, h, step, record, here);
  const on: Releasing = advance(h, record);
  const drained = step.kind === 'drain-mirrors' ? drainedTo(step, end) : g.drained;
  return runCurrent({ ...g, holding: on, drained }, on, here);
}

export function recordOf(step: TakeoverStep, { ended, ms }: StepEnded, here: Here): StepRecord {
  const says = ended.kind === 'failed' ? ended.says : '';
  return { name: stepName(step), server: here.self, ms, outcome: ended.kind, says };
}

function drainedTo(
  step: Extract<TakeoverStep, { kind: 'drain-mirrors' }>,
  end: StepEnded,
): readonly MemberId[] {
  return end.drained ?? (step.to === null ? [] : [step.to]);
}

export function advance<W extends Walk>(walk: W, record: StepRecord): W {
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
    case 'open-mirrors':
    case 'drain-mirrors':
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
  const own = g.seen?.ownership;
  const forced = g.seen?.operation?.forced === true;
  // A person wants it gone from here, wherever it goes.
  const dismissed = forced && own?.kind === 'releasing' && own.to === null;
  if (beforePointOfNoReturn(step) && h.then === 'fenced' && !dismissed) {
    return {
      group: {
        ...g,
        holding: { kind: 'active', epoch: h.epoch, done: advance(h, record).done, change: null },
        releaseRefused: says,
      },
      actions: [
        { kind: 'remember', group: g.group, epoch: h.epoch, state: 'active' },
        { kind: 'note', group: g.group, what: 'release-refused', reason: says },
      ],
    };
  }
  if (step.kind === 'drain-mirrors' && step.to !== null && h.then === 'fenced' && !forced)
    return resume(g, advance(h, record), says, here);
  if (step.kind === 'stop' || step.kind === 'drop-addresses') return startFence(g, says, here);
  return skip(g, h, record, here);
}

/** The copy could not be brought in step, and the addresses are still here: the resources start again, and all stays. */
function resume(g: GroupState, { epoch, done }: Releasing, says: string, here: Here): Moved {
  // What one mirror holds back since it was drained goes on, though another one could not be.
  const steps = takeoverSteps(here.config).filter((s) => s.kind === 'start' || s.kind === 'open-mirrors');
  const walk = { ...acquiring(epoch, steps, here), done };
  const moved = runCurrent({ ...g, holding: walk, releaseRefused: says, drained: [] }, walk, here);
  return {
    group: moved.group,
    actions: [
      { kind: 'remember', group: g.group, epoch, state: 'acquiring' },
      { kind: 'note', group: g.group, what: 'release-refused', reason: says },
      ...moved.actions,
    ],
  };
}

function acquiring(epoch: Epoch, steps: readonly TakeoverStep[], here: Here): Acquiring {
  return { kind: 'acquiring', ...atFirst(epoch, steps, here) };
}

export function atFirst(epoch: Epoch, steps: readonly TakeoverStep[], { now }: Here): Trying {
  return { epoch, steps, at: 0, done: [], run: 0, startedAt: now, tries: 0, retryAt: null, held: null };
}

/** Gives everything up now, through the guard: addresses first, then resources. */
export function startFence(g: GroupState, reason: string, here: Here): Moved {
  const epoch = heldEpoch(g.holding);
  if (epoch === null || g.holding.kind === 'fencing') return stay(g);
  const limit = here.now + here.config.rules.stopMs;
  const doneBy = g.entitlement === null ? limit : Math.min(limit, goneBy(g.entitlement));
  return {
    group: {
      ...g,
      holding: {
        kind: 'fencing',
        epoch,
        reason,
        retryAt: here.now + here.config.rules.stopMs + fenceRetryMs,
        then: afterwards(g),
      },
      held: [],
      rounds: [],
      wantsRelease: null,
      sighting: null,
    },
    actions: [
      { kind: 'fence', group: g.group, epoch, doneBy: Math.max(doneBy, here.now), reason },
      { kind: 'note', group: g.group, what: 'fencing', reason },
    ],
  };
}

/** A fence in the middle of undoing is still the end of a failure: it is not to be tried here again and again. */
function afterwards({ holding }: GroupState): Releasing['then'] {
  return 'then' in holding ? holding.then : 'fenced';
}

export function fenceEnded(g: GroupState, epoch: Epoch, ended: Ended, here: Here): Moved {
  const held = heldEpoch(g.holding);
  if (held === null || held !== epoch) return stay(g);
  if (ended.kind === 'done') {
    const says = g.holding.kind === 'fencing' ? g.holding.reason : 'fenced by the guard';
    return {
      group: {
        ...declareFenced(g, epoch, says),
        failures: afterwards(g) === 'failed' ? failedAgain(g.failures, here.now) : g.failures,
        holding: { kind: 'fenced', epoch, after: afterwards(g), says, done: [] },
      },
      actions: [
        { kind: 'remember', group: g.group, epoch, state: 'fenced' },
        { kind: 'note', group: g.group, what: 'fenced', reason: says },
      ],
    };
  }
  const retryAt = here.now + fenceRetryMs;
  return {
    group: { ...g, holding: { kind: 'stuck', epoch, says: ended.says, retryAt, then: afterwards(g) } },
    actions: [{ kind: 'note', group: g.group, what: 'fence-failed', reason: ended.says }],
  };
}
