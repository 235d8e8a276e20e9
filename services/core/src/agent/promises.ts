/**
 * Rule 11: the control plane lost is not the service lost. An owner that can't renew asks every other server that
 * could take over to promise, durably, not to accept a takeover for G. A full set of promises is worth a renewal.
 *
 *   P1  a promise is binding in memory before it is written, and given only after it is on disk
 *   P2  a full set counts from just before the request was sent; it may come when others were sent since
 *   P3  a server that knows of a later epoch, or holds anything of the group, does not promise
 *   P4  a promise ends when the one it was given to says that its epoch is fenced there: it never acts at it again (H2
 *       of holding.ts)
 *   P5  those are asked who are servers of the group by the newest configuration, or were when the store was last told:
 *       whoever takes over from a silent owner counts on having been asked (quorum/asked.ts), and so does whoever is told of a
 *       configuration that a next life of the owner would not know (A4 of agent.ts)
 */

import type { GroupConfig } from '../config/types.ts';
import type { HoldPromise, HoldRequest } from '../heartbeat.ts';
import { stretchFor } from '../clock-error.ts';
import type { BootMs, Epoch, MemberId } from '../names.ts';
import type { Entitlement } from '../node.ts';
import type { Vantage } from '../vantage.ts';
import type { AgentAction, AgentEvent } from './events.ts';
import { heldEpoch, type GroupState } from './holding.ts';
import { entitle } from './ownership.ts';
import type { Here, Moved } from './here.ts';
import type { AgentState } from './state.ts';
import { otherServers } from '../step.ts';

/** As many as fit into F at half of R: older ones entitle to nothing any more. */
const roundsMax = 8;

/** Asks for promises when renewals fail; with `freeze` goes on without any. */
export function askToHold(
  g: GroupState,
  failing: boolean,
  here: Here,
  paths: (to: MemberId) => readonly number[],
): Moved {
  const { config, now } = here;
  const epoch = heldEpoch(g.holding);
  const holds =
    g.holding.kind === 'acquiring' || g.holding.kind === 'active' || g.holding.kind === 'releasing';
  if (epoch === null || !holds || !failing)
    return { group: g.rounds.length === 0 ? g : { ...g, rounds: [] }, actions: [] };
  if (g.entitledEpoch !== epoch || g.entitlement === null) return { group: g, actions: [] };
  if (now < askAt(g, g.entitlement)) return { group: g, actions: [] };
  switch (config.onControlLoss) {
    case 'fence':
      return { group: g, actions: [] };
    case 'freeze':
      return { group: { ...entitle(g, epoch, now, g.entitlement.rules), rounds: [] }, actions: [] };
    case 'failsafe': {
      const others = mustPromise(g, here);
      if (others.length === 0) return { group: entitle(g, epoch, now, g.entitlement.rules), actions: [] };
      const round = { round: Math.round(now * 1_000), startedAt: now, promised: [] };
      const { waitMs } = g.entitlement.rules;
      const message: HoldRequest = {
        kind: 'hold-request',
        group: g.group,
        epoch,
        round: round.round,
        waitMs,
      };
      const actions = others.flatMap((to) =>
        paths(to).map((path) => ({ kind: 'send', to, path, message }) as const),
      );
      return { group: { ...g, rounds: [...g.rounds, round].slice(-roundsMax) }, actions };
    }
  }
}

/** P5: a renewal was proven that told this, so what earlier ones told is over. */
export function askedSince(
  { groups, asks }: Pick<AgentState, 'groups' | 'asks'>,
  told: AgentState['asks'] | undefined,
): AgentState['groups'] {
  const changed = [...groups.values()].flatMap((g) => {
    const newest = asks[g.group] ?? [];
    const last = told?.[g.group] ?? [];
    if (last === newest && g.asked === newest) return [];
    const both = [...new Set([...last, ...newest])];
    const asked = both.join() === newest.join() ? newest : both;
    const known = asked === g.asked || (asked !== newest && asked.join() === g.asked.join());
    return known ? [] : [[g.group, { ...g, asked }] as const];
  });
  return changed.length === 0 ? groups : new Map([...groups, ...changed]);
}

/** P5. */
function mustPromise(g: GroupState, { config, self }: Here): readonly MemberId[] {
  const others = otherServers(config, self);
  return [...others, ...g.asked.filter((s) => s !== self && !others.includes(s))];
}

/**
 * When the next round may start: a part of R, so that several fit before F. By the rules that the owner acts under: those
 * of a new configuration may be slower than its deadline.
 */
function askAt(g: GroupState, { provenAt, rules }: Entitlement): BootMs {
  const last = g.rounds.at(-1);
  if (last !== undefined) return last.startedAt + Math.round(rules.renewMs / 2);
  return provenAt + rules.renewMs;
}

export function nextAsk(g: GroupState, failing: boolean, config: GroupConfig): BootMs | null {
  if (!failing || g.entitlement === null || config.onControlLoss === 'fence') return null;
  const holds =
    g.holding.kind === 'acquiring' || g.holding.kind === 'active' || g.holding.kind === 'releasing';
  return holds ? askAt(g, g.entitlement) : null;
}

export function promiseReceived(g: GroupState, from: MemberId, promise: HoldPromise, here: Here): Moved {
  const round = g.rounds.find((r) => r.round === promise.round);
  const epoch = heldEpoch(g.holding);
  if (round === undefined || epoch === null || promise.epoch !== epoch || !promise.promised)
    return { group: g, actions: [] };
  const promised = round.promised.includes(from) ? round.promised : [...round.promised, from];
  const full = mustPromise(g, here).every((s) => promised.includes(s));
  const next = { ...g, rounds: g.rounds.map((r) => (r === round ? { ...round, promised } : r)) };
  if (!full || g.entitlement === null) return { group: next, actions: [] };
  return { group: entitle(next, epoch, round.startedAt, g.entitlement.rules), actions: [] };
}

/** Somebody asks us to hold. What it counts on may last longer by our clock (clock-error.ts). */
export function holdRequested(
  g: GroupState,
  from: MemberId,
  path: number,
  request: HoldRequest,
  here: Here,
  vantage: Vantage,
): Moved {
  const refusal = refuseToHold(g, from, request, here);
  if (refusal !== null) {
    const message: HoldPromise = {
      kind: 'hold-promise',
      group: g.group,
      epoch: request.epoch,
      round: request.round,
      promised: false,
      reason: refusal,
    };
    return { group: g, actions: [{ kind: 'send', to: from, path, message }] };
  }
  // The one who asks may still act under longer rules than ours.
  const waitMs = Math.max(request.waitMs ?? 0, here.config.rules.waitMs) * stretchFor(vantage, from);
  const until = Math.max(g.promisedUntil ?? 0, here.now + waitMs);
  const sole = g.promisedUntil === null || g.promisedUntil <= here.now || isFor(g, from, request.epoch);
  const promisedTo = sole ? { member: from, epoch: request.epoch } : null;
  return {
    group: { ...g, promisedUntil: until, promisedTo }, // P1
    actions: [
      { kind: 'keep-promise', group: g.group, epoch: request.epoch, round: request.round, to: from, until },
    ],
  };
}

/** P1: it is on the disk, or could not be written. */
export function promiseKept(
  { group, epoch, round, to, ended }: Extract<AgentEvent, { kind: 'promise-kept' }>,
  paths: readonly number[],
): readonly AgentAction[] {
  const promised = ended.kind === 'done';
  const reason = ended.kind === 'failed' ? `the promise could not be written: ${ended.says}` : '';
  const message: HoldPromise = { kind: 'hold-promise', group, epoch, round, promised, reason };
  return paths.map((path) => ({ kind: 'send', to, path, message }));
}

const isFor = ({ promisedTo }: GroupState, member: MemberId, epoch: Epoch): boolean =>
  promisedTo?.member === member && promisedTo.epoch === epoch;

function refuseToHold(g: GroupState, from: MemberId, request: HoldRequest, here: Here): string | null {
  if (!here.config.servers.includes(from)) return `${from} is not a server of ${g.group} here`;
  if (g.highestEpoch > request.epoch) return `epoch ${g.highestEpoch.toString()} was seen here`;
  if (heldEpoch(g.holding) !== null) return `this server holds ${g.group} itself`;
  const own = g.seen?.ownership;
  if (own !== undefined && own.epoch === request.epoch && own.kind !== 'unowned' && own.owner !== from) {
    return `${own.owner} owns ${g.group} at that epoch`;
  }
  return null;
}
