/**
 * Deliberately broken clusters. Each takes one rule away from outside core, and the audit must notice within a bounded
 * number of seeds: a simulator that does not bite proves nothing.
 *
 * Not among them: a takeover that does not compare the stale renewal. Three other rules stand behind that compare (the
 * candidate's own renewal, the promise, the deadline), and no fault was found that gets past all of them.
 */

import {
  stepAgent,
  stepQuorum,
  type AgentEvent,
  type AgentState,
  type AgentStep,
  type ClusterConfig,
  type GroupRecord,
  type GroupState,
  type QuorumState,
  type QuorumStep,
  type RenewalRecord,
  type TimeRules,
} from '@holdfast/core';
import { honest, type Tampering } from './tampering.ts';

export interface Variant {
  readonly name: string;
  /** The seed that catches it with the rules as they stand; it is tried first. */
  readonly seed: number;
  readonly tampering: Tampering;
}

/** What the quorum services see is rewritten before each of their steps. */
function seeing(change: (state: QuorumState) => QuorumState): Tampering {
  return {
    ...honest,
    quorum: (state, event, now, wall) => judgedAgain(change, stepQuorum(change(state), event, now, wall)),
  };
}

function judgedAgain(change: (state: QuorumState) => QuorumState, step: QuorumStep): QuorumStep {
  return { ...step, state: change(step.state) };
}

function believing(
  change: (before: AgentState, after: AgentState, event: AgentEvent, now: number) => AgentState,
): Tampering {
  return {
    ...honest,
    agent: (state, event, now): AgentStep => {
      const step = stepAgent(state, event, now);
      return { ...step, state: change(state, step.state, event, now) };
    },
  };
}

function eachGroup(state: AgentState, change: (g: GroupState) => GroupState): AgentState {
  return { ...state, groups: new Map([...state.groups].map(([name, g]) => [name, change(g)])) };
}

/** Each configuration is rewritten once. */
function withWait(waitMs: (rules: TimeRules) => number): Tampering {
  const rewritten = new WeakMap<ClusterConfig, ClusterConfig>();
  const shorter = (config: ClusterConfig): ClusterConfig => {
    const known = rewritten.get(config);
    if (known !== undefined) return known;
    const groups = [...config.groups].map(
      ([name, g]) => [name, { ...g, rules: { ...g.rules, waitMs: waitMs(g.rules) } }] as const,
    );
    const changed = { ...config, groups: new Map(groups) };
    rewritten.set(config, changed);
    rewritten.set(changed, changed);
    return changed;
  };
  return seeing((state) => {
    const { config, renewals } = state.view;
    if (config === null) return state;
    const told = mapRenewals(renewals, (r) => ({ ...r, waits: {} }));
    return {
      ...state,
      view: { ...state.view, renewals: told, config: { ...config, value: shorter(config.value) } },
    };
  });
}

function mapRenewals(
  renewals: QuorumState['view']['renewals'],
  change: (r: RenewalRecord) => RenewalRecord,
): QuorumState['view']['renewals'] {
  return new Map(
    [...renewals].map(([server, held]) => {
      return [server, { ...held, value: change(held.value) }];
    }),
  );
}

const countedFromAnswer = believing((_before, after, event, now) =>
  event.kind !== 'renewed' || event.answer.kind !== 'committed'
    ? after
    : eachGroup(after, (g) =>
        g.entitlement === null ? g : { ...g, entitlement: { ...g.entitlement, provenAt: now } },
      ),
);

const promisesFromReply = believing((before, after, event, now) =>
  event.kind !== 'heard' || event.message.kind !== 'hold-promise'
    ? after
    : eachGroup(after, (g) => {
        const { entitlement } = g;
        const fresh = entitlement !== null && entitlement !== before.groups.get(g.group)?.entitlement;
        return fresh ? { ...g, entitlement: { ...entitlement, provenAt: now } } : g;
      }),
);

const pollMs = 1_000;

const polled: Tampering = {
  ...honest,
  guard: 'polls',
  agent: (state, event, now) => {
    const step = stepAgent(state, event, now);
    return step.wakeAt === null ? step : { ...step, wakeAt: Math.ceil(step.wakeAt / pollMs) * pollMs };
  },
};

const noBootRule: Tampering = {
  ...honest,
  heldAtStart: (machine) =>
    [...machine.disk.remembered]
      .filter(([, r]) => r.state === 'active')
      .map(([group, r]) => ({ group, epoch: r.epoch, state: 'active', fenceAt: machine.boot() + 5_000 })),
};

/** Any committed renewal is taken for the ownership that is held here, whatever epoch and owner the record has. */
function asOurs(state: AgentState, record: GroupRecord): GroupRecord {
  const held = state.groups.get(record.group)?.holding;
  if (held?.kind !== 'active') return record;
  return { ...record, ownership: { kind: 'owned', owner: state.self, epoch: held.epoch } };
}

const epochNotCompared: Tampering = {
  ...honest,
  agent: (state, event, now) =>
    stepAgent(
      state,
      seenAs(event, (g) => asOurs(state, g)),
      now,
    ),
};

/** Records of groups as the agent is made to see them. */
function seenAs(event: AgentEvent, change: (record: GroupRecord) => GroupRecord): AgentEvent {
  if (event.kind === 'hint') return { ...event, groups: event.groups.map(change) };
  if (event.kind !== 'renewed' || event.answer.kind === 'no-answer') return event;
  return { ...event, answer: { ...event.answer, groups: event.answer.groups.map(change) } };
}

/** Whoever is given a group begins, whoever else may still be letting go of it. */
function withoutFormer(self: string, record: GroupRecord): GroupRecord {
  const { ownership } = record;
  if (ownership.kind !== 'owned' || ownership.owner !== self || ownership.after === undefined) return record;
  const { kind, owner, epoch } = ownership;
  return { ...record, ownership: { kind, owner, epoch } };
}

const formerNotWaitedFor: Tampering = {
  ...honest,
  agent: (state, event, now) =>
    stepAgent(
      state,
      seenAs(event, (g) => withoutFormer(state.self, g)),
      now,
    ),
};

const promiseNotBinding = believing((_before, after) =>
  [...after.groups.values()].every((g) => g.promisedUntil === null)
    ? after
    : eachGroup(after, (g) => ({ ...g, promisedUntil: null })),
);

const actsOnHint = believing((before, after, event, now) => {
  if (event.kind !== 'hint') return after;
  return eachGroup(after, (g) => {
    const own = g.seen?.ownership;
    const { waitMs } = before.config?.groups.get(g.group)?.rules ?? { waitMs: 0 };
    const rules = before.config?.groups.get(g.group)?.rules;
    if (rules === undefined || waitMs === 0 || own?.kind !== 'owned' || own.owner !== after.self) return g;
    return { ...g, entitledEpoch: own.epoch, entitlement: { provenAt: now, rules } };
  });
});

const ruleTenIgnored = seeing((state) => ({
  ...state,
  view: {
    ...state.view,
    renewals: mapRenewals(state.view.renewals, (r) => ({
      ...r,
      bootRevision: r.bootRevision === null ? null : 0n,
    })),
  },
}));

/** Rule 10 does not know of mirrors. */
const copiesIgnored = seeing((state) => {
  const { config } = state.view;
  if (config === null) return state;
  return { ...state, view: { ...state.view, config: { ...config, value: withoutMirrors(config.value) } } };
});

const stripped = new WeakMap<ClusterConfig, ClusterConfig>();

function withoutMirrors(config: ClusterConfig): ClusterConfig {
  const known = stripped.get(config);
  if (known !== undefined) return known;
  const groups = new Map([...config.groups].map(([name, g]) => [name, { ...g, mirrors: [] }] as const));
  const changed = { ...config, groups };
  stripped.set(config, changed);
  stripped.set(changed, changed);
  return changed;
}

export const variants: readonly Variant[] = [
  { name: 'no S in the inequality: others wait F', seed: 172, tampering: withWait((r) => r.fenceMs) },
  { name: 'a renewal counts from its answer', seed: 1, tampering: countedFromAnswer },
  { name: 'deadlines are polled once a second', seed: 1, tampering: polled },
  { name: 'the boot rule is left out', seed: 1, tampering: noBootRule },
  { name: 'the epoch is not compared', seed: 1, tampering: epochNotCompared },
  { name: 'a former owner is not waited for', seed: 20, tampering: formerNotWaitedFor },
  { name: 'a promise does not bind', seed: 38, tampering: promiseNotBinding },
  { name: 'promises count from their reply', seed: 9, tampering: promisesFromReply },
  {
    name: 'no guard and no kernel lifetime',
    seed: 1,
    tampering: { ...honest, guard: 'absent', kernelLifetime: false },
  },
  { name: 'silence alone is enough, G is ignored', seed: 1, tampering: withWait(() => 0) },
  { name: 'a hint is enough to act', seed: 1, tampering: actsOnHint },
  { name: 'rule 10 is ignored', seed: 22, tampering: ruleTenIgnored },
  { name: 'a copy that is not complete is taken over to', seed: 1, tampering: copiesIgnored },
  {
    name: 'a source sends without a live grant',
    seed: 12,
    tampering: { ...honest, ignoresGrants: true },
  },
];
