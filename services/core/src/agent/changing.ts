/**
 * A new configuration where its group is active: what stays goes on all the while, with its addresses and its monitors,
 * and a release may begin at any moment. First goes what is not wanted any more, then the configuration comes into force,
 * then what is missing comes.
 *
 *   N1  what is here is always in the configuration in force, so that a fence knows how to end it
 *   N2  what can't be done is tried again, and leaves alone what runs
 *   N3  the steps follow from what is here, not from what an earlier configuration wanted
 *   N4  nothing is begun beside a step that is under way
 */

import type { GroupConfig } from '../config/types.ts';
import { mirrorsOf } from '../mirror/mirror-id.ts';
import type { StepRecord } from '../records.ts';
import type { Active, Change, GroupState } from './holding.ts';
import type { Here, Moved } from './here.ts';
import { startMonitoring } from './resources.ts';
import { identityAddresses, takeoverSteps, type TakeoverStep } from '../step.ts';
import {
  advance,
  atFirst,
  orderStep,
  probeRetryMs,
  recordOf,
  stay,
  stepDone,
  type StepEnded,
} from './walk.ts';

const retryMs = 10_000;

/** Whether a configuration that waits may be gone on with now (H3 of holding.ts, N4). */
export function isAtRest({ holding, next }: GroupState): boolean {
  switch (holding.kind) {
    case 'idle':
    case 'fenced':
      return true;
    case 'active': {
      const { change } = holding;
      if (change === null || isOver(change)) return true;
      // What was wanted and could not be done is not wanted any more, perhaps.
      return change.retryAt !== null && change.clearsFor !== next;
    }
    case 'acquiring':
    case 'releasing':
    case 'fencing':
    case 'stuck':
      return false;
  }
}

const isOver = ({ steps, at }: Change): boolean => at >= steps.length;

/** N1: what has to go before `next` comes into force; null: nothing has. */
export function clearFor(g: GroupState, next: GroupConfig, here: Here): Moved | null {
  const h = g.holding;
  if (h.kind !== 'active') return null;
  if (h.change !== null && isOver(h.change) && h.change.clearsFor === next) return null;
  const { resources, identity } = here.config;
  const gone = resources.filter((r) => !next.resources.some((n) => n.name === r.name));
  const wanted = identityAddresses(next.identity);
  const left = g.held.filter((address) => !wanted.includes(address));
  const steps: TakeoverStep[] = [
    ...[...gone].reverse().map((r) => ({ kind: 'stop', resource: r.name }) as const),
    ...(identity.hostname !== null && identity.hostname !== next.identity.hostname
      ? [{ kind: 'unname' } as const]
      : []),
    ...(left.length > 0 ? [{ kind: 'drop-addresses', addresses: left } as const] : []),
  ];
  if (steps.length === 0) return null;
  // Nobody is to find dead, and restart, what is being stopped.
  const kept = [...g.resources].filter(([name]) => !gone.some((r) => r.name === name));
  return begin({ ...g, resources: new Map(kept) }, h, steps, next, here);
}

/** A configuration came into force. `before`: what was in force until now; the same, where something was cut short. */
export function adopted(g: GroupState, before: GroupConfig, here: Here): Moved {
  const h = g.holding;
  if (h.kind === 'fenced' && h.after === 'failed' && before !== here.config) {
    // It failed under the old configuration; the new one deserves a try.
    return stay({ ...g, failures: null, holding: { ...h, after: 'fenced' } });
  }
  if (h.kind !== 'active') return stay(g);
  const isOpen = g.opened?.epoch === h.epoch;
  const opened = isOpen ? { epoch: h.epoch, mirrors: mirrorsOf(here.config) } : g.opened;
  const renamed = before === here.config || before.identity.hostname !== here.config.identity.hostname;
  return begin({ ...g, opened }, h, missing(g, renamed, isOpen, here.config), null, here);
}

/** N3. */
function missing(
  g: GroupState,
  renamed: boolean,
  isOpen: boolean,
  config: GroupConfig,
): readonly TakeoverStep[] {
  const added = identityAddresses(config.identity).filter((address) => !g.held.includes(address));
  return takeoverSteps(config).flatMap((step): readonly TakeoverStep[] => {
    switch (step.kind) {
      case 'probe':
      case 'hold-addresses':
      case 'announce':
        return added.length === 0 ? [] : [{ ...step, addresses: added }];
      case 'yield-own':
        return added.length === 0 ? [] : [step];
      case 'open-mirrors':
        return isOpen ? [] : [step];
      case 'name':
        return renamed ? [step] : [];
      case 'start':
        return g.resources.has(step.resource) ? [] : [step];
      case 'hook':
      case 'drain-mirrors':
      case 'stop':
      case 'unname':
      case 'drop-addresses':
        return [];
    }
  });
}

function begin(
  g: GroupState,
  h: Active,
  steps: readonly TakeoverStep[],
  clearsFor: GroupConfig | null,
  here: Here,
): Moved {
  return orderCurrent(g, h, { ...atFirst(h.epoch, steps, here), clearsFor }, here);
}

/** Orders the step that the change stands at, or ends the change behind its last one. */
function orderCurrent(g: GroupState, h: Active, change: Change, here: Here): Moved {
  const step = change.steps[change.at];
  if (step === undefined) return ended(g, h, change, here);
  // Nobody gave up what is new here, so whoever may have it is asked for.
  const { group, actions } = orderStep(g, h.epoch, step, false, here);
  const ordered: Change = { ...change, run: group.runs, startedAt: here.now };
  return { group: { ...group, holding: { ...h, change: ordered } }, actions };
}

function ended(g: GroupState, h: Active, change: Change, { now }: Here): Moved {
  // The configuration comes into force next, in this same turn.
  const left = change.clearsFor === null ? null : change;
  const group: GroupState = { ...g, holding: { ...h, change: left } };
  if (change.done.length === 0) return stay(group);
  const reason = `as the new configuration wants it: ${change.done.map(summary).join(', ')}`;
  const isSeen = change.steps.some((s) => s.kind === 'hold-addresses');
  return {
    group: isSeen ? { ...group, sighting: { round: 0, tries: 0, nextAt: now + 300 } } : group,
    actions: [{ kind: 'note', group: g.group, what: 'reconfigured', reason }],
  };
}

const summary = ({ name, outcome, says }: StepRecord): string =>
  outcome === 'failed' ? `${name} (failed: ${says})` : name;

/** The end of a step of a change; null: it is not one of the change that is under way. */
export function changeStepEnded(g: GroupState, end: StepEnded, here: Here): Moved | null {
  const h = g.holding;
  if (h.kind !== 'active' || h.change === null || h.epoch !== end.epoch || h.change.run !== end.run)
    return null;
  const { change } = h;
  const step = change.steps[change.at];
  if (step === undefined) return null;
  const record = recordOf(step, end, here);
  const on: Change = { ...advance(change, record), tries: 0, retryAt: null, held: null };
  if (end.ended.kind === 'done') return orderCurrent(withStep(g, h, step, here), h, on, here);
  // The service can live without these.
  if (step.kind === 'announce' || step.kind === 'name' || step.kind === 'unname')
    return orderCurrent(g, h, on, here);
  return heldUp(g, h, record, end.occupied === true ? probeRetryMs : retryMs, here);
}

function withStep(g: GroupState, { epoch }: Active, step: TakeoverStep, { config, now }: Here): GroupState {
  if (step.kind === 'open-mirrors') return { ...g, opened: { epoch, mirrors: step.mirrors } };
  const health = step.kind === 'start' ? startMonitoring(config, now).get(step.resource) : undefined;
  if (step.kind !== 'start' || health === undefined) return stepDone(g, step);
  return { ...g, resources: new Map(g.resources).set(step.resource, health) };
}

/** N2. */
function heldUp(g: GroupState, h: Active, { name, says }: StepRecord, againMs: number, here: Here): Moved {
  const { change } = h;
  if (change === null) return stay(g);
  const held = `held: ${name}: ${says}`;
  const later: Change = { ...change, tries: change.tries + 1, retryAt: here.now + againMs, held };
  return {
    group: { ...g, holding: { ...h, change: later } },
    actions:
      change.tries > 0
        ? []
        : [{ kind: 'note', group: g.group, what: 'held', reason: `${name}: ${says}; nothing else changes` }],
  };
}

/** N2: again, when its time has come. */
export function changeOnTime(g: GroupState, h: Active, here: Here): Moved {
  const { change } = h;
  if (change?.retryAt == null || here.now < change.retryAt) return stay(g);
  return orderCurrent(g, h, { ...change, retryAt: null }, here);
}
