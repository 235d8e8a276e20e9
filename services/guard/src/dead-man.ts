/**
 * The dead man's switch: what the guard decides. Pure; main.ts carries the actions out.
 *
 * Invariants:
 *   D1  A passed deadline is fenced before anything else is looked at: no request that comes later revives it.
 *   D2  A group's epoch never falls, and a group fenced at an epoch is armed again only at a higher one.
 *   D3  A fence under way is never called off: not by arm, disarm, quit, a signal or a lost client.
 *   D4  Once a fence failed the watchdog is never petted, nor closed in an orderly way, again; and it is not closed
 *       while a fence is under way.
 *   D5  The guard exits only when nothing is armed and no fence is under way.
 *
 * An earlier deadline at the same epoch is taken as it is: fencing sooner is always safe.
 */

import {
  breakWatchdog,
  chooseWatchdog,
  closeWatchdog,
  pet,
  releaseWatchdog,
  triggerWatchdog,
} from './petting.ts';
import type { FenceOrder, Outcome, ReplyMessage, Request, RequestId } from './protocol.ts';
import {
  busyWith,
  chain,
  nextDeadline,
  nothing,
  type Action,
  type Decision,
  type Event,
  type Phase,
  type State,
  type Step,
} from './state.ts';

/** A fence that begins late, for the host slept, still gets up to this long. */
export const lateAllowanceMs = 2_000;
/** A deadline further away than this is a mistake of the client. */
export const fenceAheadMsMax = 3_600_000;
/** Names of groups remembered for their epochs. */
export const groupsKnownMax = 1_024;
/** Outcomes kept for `state`. */
export const outcomesMax = 32;

export function decide(state: State, event: Event, nowMs: number): Decision {
  const due = fencePassed(state, nowMs); // D1
  const then = apply(due.state, event, nowMs);
  return {
    state: then.state,
    actions: [...due.actions, ...then.actions],
    wakeAt: nextDeadline(then.state),
    reason: [due.reason, then.reason].filter((reason) => reason !== '').join('; '),
  };
}

function apply(state: State, event: Event, nowMs: number): Step {
  switch (event.kind) {
    case 'request':
      return answer(state, event.client, event.request, nowMs);
    case 'wake':
      return pet(state);
    case 'signal':
      return busyWith(state) === null
        ? stop(state, `${event.signal}: nothing is armed`)
        : ignoreSignal(state, event.signal);
    case 'ran':
      return finishFence(state, event.group, event.epoch, event.failures, nowMs);
    case 'watchdog-failed':
      return breakWatchdog(state, event.device, event.says, nowMs);
  }
}

function answer(state: State, client: number, request: Request, nowMs: number): Step {
  const { id } = request;
  switch (request.kind) {
    case 'arm':
      return arm(state, client, request, nowMs);
    case 'fence': {
      const phase = state.groups.get(request.group);
      if (phase === undefined) return refuse(state, client, id, `group ${request.group} is not armed`);
      const accepted: Action = { kind: 'reply', client, message: { type: 'accepted', id } };
      if (phase.kind === 'fencing') return { state, actions: [accepted], reason: '' };
      const begun = beginFence(state, phase.order, nowMs, 'it was asked for');
      return { ...begun, actions: [accepted, ...begun.actions] };
    }
    case 'state':
      return { state, actions: [{ kind: 'reply-state', client, id }], reason: '' };
    case 'disarm': {
      const closed = closeWatchdog(replaceArmed(state, []));
      const actions: readonly Action[] = [
        ...closed.actions,
        { kind: 'reply', client, message: { type: 'disarmed', id } },
      ];
      return { state: closed.state, actions, reason: 'disarmed on request' };
    }
    case 'quit': {
      const busy = busyWith(state);
      if (busy !== null) return refuse(state, client, id, busy);
      const stopped = stop(state, 'asked to quit');
      const quitting: Action = { kind: 'reply', client, message: { type: 'quitting', id } };
      return { ...stopped, actions: [quitting, ...stopped.actions] };
    }
  }
}

function arm(state: State, client: number, request: Request & { kind: 'arm' }, nowMs: number): Step {
  const refusals = new Map<string, string>();
  const accepted: FenceOrder[] = [];
  const kept: FenceOrder[] = [];
  const refuseGroup = (group: string, reason: string): void => {
    refusals.set(group, reason);
    const phase = state.groups.get(group);
    if (phase?.kind === 'armed') kept.push(phase.order);
  };
  for (const { group, reason } of request.wrong) refuseGroup(group, reason);
  for (const order of request.orders) {
    const refusal = refusalOf(state, order, nowMs);
    if (refusal === null) accepted.push(order);
    else refuseGroup(order.group, refusal);
  }
  const armed = replaceArmed(state, [...accepted, ...kept]);
  const watched = chooseWatchdog(armed, request.watchdog);
  const due = fencePassed(watched.state, nowMs);
  const message: ReplyMessage =
    refusals.size === 0
      ? { type: 'armed', id: request.id }
      : {
          type: 'refused',
          id: request.id,
          reason: [...refusals.values()].join('; '),
          groups: [...refusals.keys()],
        };
  return {
    state: due.state,
    actions: [...watched.actions, { kind: 'reply', client, message }, ...due.actions],
    reason: message.type === 'refused' ? `refused to arm: ${message.reason}` : due.reason,
  };
}

/** Why the group must not be armed, or null. D2, D3. */
function refusalOf(state: State, order: FenceOrder, nowMs: number): string | null {
  const { group, epoch } = order;
  const phase = state.groups.get(group);
  if (phase?.kind === 'fencing')
    return `group ${group} is being fenced at epoch ${phase.order.epoch.toString()}`;
  const fencedAt = state.fencedAt.get(group);
  if (fencedAt !== undefined && epoch <= fencedAt) {
    return `group ${group} was fenced at epoch ${fencedAt.toString()}; it is armed again only at a higher epoch`;
  }
  const seen = state.seen.get(group);
  if (seen !== undefined && epoch < seen) {
    return `epoch ${epoch.toString()} of group ${group} is lower than ${seen.toString()}, seen before`;
  }
  if (seen === undefined && state.seen.size >= groupsKnownMax) {
    return `group ${group} is one too many: the guard remembers ${groupsKnownMax}; restart it`;
  }
  if (order.fenceAtMs > nowMs + fenceAheadMsMax)
    return `fenceAtMs of group ${group} is more than an hour away`;
  return null;
}

/** Arms exactly these; what is being fenced or failed to be stays, unless a new order replaces it. */
function replaceArmed(state: State, orders: readonly FenceOrder[]): State {
  const groups = new Map<string, Phase>();
  for (const [group, phase] of state.groups) if (phase.kind !== 'armed') groups.set(group, phase);
  const seen = new Map(state.seen);
  for (const order of orders) {
    groups.set(order.group, { kind: 'armed', order });
    seen.set(order.group, order.epoch);
  }
  return { ...state, groups, seen };
}

/** Fences each group whose deadline has passed, and notes each fence that is not done in time. */
function fencePassed(state: State, nowMs: number): Step {
  let step: Step = nothing(state, '');
  for (const phase of state.groups.values()) {
    if (phase.kind === 'armed' && phase.order.fenceAtMs <= nowMs) {
      const lateMs = Math.round(nowMs - phase.order.fenceAtMs);
      step = chain(step, (s) => beginFence(s, phase.order, nowMs, `its deadline passed ${lateMs} ms ago`));
    } else if (phase.kind === 'fencing' && !phase.missed && phase.endsByMs <= nowMs) {
      step = chain(step, (s) => missFence(s, phase, nowMs));
    }
  }
  return step;
}

function beginFence(state: State, order: FenceOrder, nowMs: number, why: string): Step {
  const endsByMs = Math.max(
    order.doneByMs,
    nowMs + Math.min(order.doneByMs - order.fenceAtMs, lateAllowanceMs),
  );
  const reason = `group ${order.group} is fenced at epoch ${order.epoch.toString()}: ${why}`;
  return {
    state: {
      ...state,
      groups: new Map(state.groups).set(order.group, { kind: 'fencing', order, endsByMs, missed: false }),
      fencedAt: new Map(state.fencedAt).set(order.group, order.epoch),
    },
    actions: [
      { kind: 'run', order, endsByMs },
      {
        kind: 'tell',
        message: { type: 'fencing', group: order.group, epoch: order.epoch.toString(), atMs: nowMs, reason },
      },
      { kind: 'journal', event: 'fencing', says: reason, about: order },
    ],
    reason,
  };
}

function missFence(state: State, phase: Phase & { kind: 'fencing' }, nowMs: number): Step {
  const { order } = phase;
  const groups = new Map(state.groups).set(order.group, { ...phase, missed: true });
  const outcome = outcomeOf(order, nowMs, ['not done by its deadline']);
  const reason = `the fence of group ${order.group} is not done by its deadline`;
  return triggerWatchdog(
    {
      state: { ...state, groups },
      actions: [
        { kind: 'tell', message: { type: 'fenced', ...outcome } },
        { kind: 'journal', event: 'missed', says: reason, about: order },
      ],
      reason,
    },
    nowMs,
  );
}

function finishFence(
  state: State,
  group: string,
  epoch: bigint,
  failures: readonly string[],
  nowMs: number,
): Step {
  const phase = state.groups.get(group);
  if (phase?.kind !== 'fencing' || phase.order.epoch !== epoch) {
    throw new Error(`commands of ${group} ended, but it is not being fenced at epoch ${epoch.toString()}`);
  }
  const outcome = outcomeOf(phase.order, nowMs, failures);
  const groups = new Map(state.groups);
  if (outcome.ok) groups.delete(group);
  else groups.set(group, { kind: 'failed', order: phase.order });
  const reason = outcome.ok
    ? `group ${group} is fenced at epoch ${epoch.toString()}${phase.missed ? ', late' : ''}`
    : `the fence of group ${group} failed: ${failures.join('; ')}`;
  const step: Step = {
    state: { ...state, groups, outcomes: [...state.outcomes, outcome].slice(-outcomesMax) },
    actions: [
      { kind: 'tell', message: { type: 'fenced', ...outcome } },
      { kind: 'journal', event: outcome.ok ? 'fenced' : 'failed', says: reason, about: phase.order },
    ],
    reason,
  };
  return outcome.ok ? releaseWatchdog(step) : triggerWatchdog(step, nowMs);
}

function outcomeOf(order: FenceOrder, atMs: number, failures: readonly string[]): Outcome {
  return {
    group: order.group,
    epoch: order.epoch.toString(),
    ok: failures.length === 0,
    atMs,
    failures,
  };
}

function ignoreSignal(state: State, signal: string): Step {
  const says = `${signal} is ignored: ${busyWith(state) ?? ''}`;
  return { state, actions: [{ kind: 'journal', event: 'ignored', says }], reason: says };
}

function stop(state: State, why: string): Step {
  const closed = closeWatchdog(state);
  return {
    state: closed.state,
    actions: [...closed.actions, { kind: 'journal', event: 'exit', says: why }, { kind: 'exit' }],
    reason: why,
  };
}

function refuse(state: State, client: number, id: RequestId, reason: string): Step {
  const message: ReplyMessage = { type: 'refused', id, reason, groups: [] };
  return { state, actions: [{ kind: 'reply', client, message }], reason };
}
