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
import { heldEpoch, type Acquiring, type GroupState, type Releasing, type Walk } from './holding.ts';
import type { Here, Moved } from './here.ts';
import { failedAgain } from './resting.ts';
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

export const stay = (group: GroupState): Moved => ({ group, actions: [] });
const probeRetryMs = 1_000;
export const fenceRetryMs = 10_000;

/** A new boot, or a new agent that nobody vouches for, never acts at an epoch of a former life (boot rule). */
export function declareFenced(g: GroupState, epoch: Epoch, says: string): GroupState {
  return {
    ...g,
    holding: { kind: 'fenced', epoch, after: 'fenced', says, done: [] },
    resources: new Map(),
    wantsRelease: null,
    releaseRefused: null,
    opened: null,
    rounds: [],
    sighting: null,
  };
}

export function acquire(g: GroupState, epoch: Epoch, here: Here): Moved {
  const walk = firstStep(epoch, takeoverSteps(here.config), here);
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
  const moved = runCurrent({ ...g, holding: walk, wantsRelease: null, sighting: null }, walk, here);
  return {
    group: moved.group,
    actions: [{ kind: 'remember', group: g.group, epoch, state: 'releasing' }, ...moved.actions],
  };
}

/** Orders the step that the walk stands at, or ends the walk behind its last one. */
export function runCurrent(g: GroupState, walk: Acquiring | Releasing, here: Here): Moved {
  const step = walk.steps[walk.at];
  if (step === undefined)
    return walk.kind === 'acquiring' ? becomeActive(g, walk, here) : becomeFenced(g, walk, here);
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
        goneBy: g.entitlement === null ? here.now : goneBy(g.entitlement),
        planned,
        forced: g.seen?.operation?.forced === true,
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
    failures: null,
    resources: startMonitoring(here.config, here.now),
    // Also a mirror that came with a new configuration meanwhile: what the owner has is what is mirrored.
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

type StepEnded = Extract<AgentEvent, { kind: 'step-ended' }>;

/** The end of a step, of this very run; anything else is stale and ignored. */
export function stepEnded(g: GroupState, end: StepEnded, here: Here): Moved {
  const { epoch, run, ended, ms } = end;
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
    if (ended.kind === 'failed') return acquiringFailed(g, h, step, record, end.occupied === true, here);
    const on: Acquiring = { ...advance(h, record), tries: 0, retryAt: null, held: null };
    const opened = step.kind === 'open-mirrors' ? { epoch, mirrors: step.mirrors } : g.opened;
    return runCurrent({ ...g, holding: on, opened }, on, here);
  }
  if (ended.kind === 'failed') return releasingFailed(g, h, step, record, here);
  const on: Releasing = advance(h, record);
  const drained = step.kind === 'drain-mirrors' ? drainedTo(step, end) : g.drained;
  return runCurrent({ ...g, holding: on, drained }, on, here);
}

function drainedTo(
  step: Extract<TakeoverStep, { kind: 'drain-mirrors' }>,
  end: StepEnded,
): readonly MemberId[] {
  return end.drained ?? (step.to === null ? [] : [step.to]);
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
  if (beforePointOfNoReturn(step) && h.then === 'fenced') {
    return {
      group: { ...g, holding: { kind: 'active', epoch: h.epoch, done: [] }, releaseRefused: says },
      actions: [
        { kind: 'remember', group: g.group, epoch: h.epoch, state: 'active' },
        { kind: 'note', group: g.group, what: 'release-refused', reason: says },
      ],
    };
  }
  const forced = g.seen?.operation?.forced === true;
  if (step.kind === 'drain-mirrors' && step.to !== null && h.then === 'fenced' && !forced)
    return resume(g, h.epoch, says, here);
  if (step.kind === 'stop' || step.kind === 'drop-addresses') return startFence(g, says, here);
  return skip(g, h, record, here);
}

/** The copy could not be brought in step, and the addresses are still here: the resources start again, and all stays. */
function resume(g: GroupState, epoch: Epoch, says: string, here: Here): Moved {
  const steps = takeoverSteps(here.config).filter((s) => s.kind === 'start');
  const walk = firstStep(epoch, steps, here);
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

function firstStep(epoch: Epoch, steps: readonly TakeoverStep[], here: Here): Acquiring {
  return {
    kind: 'acquiring',
    epoch,
    steps,
    at: 0,
    done: [],
    run: 0,
    startedAt: here.now,
    tries: 0,
    retryAt: null,
    held: null,
  };
}

/**
 * The configuration changed under an active group: what is no longer wanted goes, what is new comes, and what did
 * not change is not touched, because every step does nothing where there is nothing to do.
 */
export function reconfigured(g: GroupState, before: GroupConfig, here: Here): Moved {
  if (g.holding.kind === 'fenced' && g.holding.after === 'failed') {
    // It failed under the old configuration; the new one deserves a try.
    return stay({ ...g, failures: null, holding: { ...g.holding, after: 'fenced' } });
  }
  const after = here.config;
  if (g.holding.kind !== 'active') return stay(g);
  const { epoch } = g.holding;
  const open = { ...g, opened: { epoch, mirrors: mirrorsOf(after) } };
  const gone = before.resources.filter((r) => !after.resources.some((n) => n.name === r.name));
  const wanted = identityAddresses(after.identity);
  const left = identityAddresses(before.identity).filter((a) => !wanted.includes(a));
  const added = wanted.some((a) => !identityAddresses(before.identity).includes(a));
  const fresh = after.resources.some((r) => !before.resources.some((o) => o.name === r.name));
  const renamed = before.identity.hostname !== after.identity.hostname;
  if (gone.length === 0 && left.length === 0 && !added && !fresh && !renamed) return stay(open);
  const steps: TakeoverStep[] = [
    ...[...gone].reverse().map((r) => ({ kind: 'stop', resource: r.name }) as const),
    ...(renamed && before.identity.hostname !== null ? [{ kind: 'unname' } as const] : []),
    ...(left.length > 0 ? [{ kind: 'drop-addresses', addresses: left } as const] : []),
    ...takeoverSteps(after).filter((s) => s.kind !== 'hook' && s.kind !== 'open-mirrors'),
  ];
  const walk = firstStep(epoch, steps, here);
  return runCurrent({ ...open, holding: walk }, walk, here);
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
