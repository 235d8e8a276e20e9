/**
 * After a takeover the network must know where the address is. Another member looks from outside; when it still sees
 * nobody or somebody else, the announcement is repeated.
 */

import type { BootMs, MemberId } from '../names.ts';
import type { AgentAction } from './events.ts';
import type { GroupState } from './holding.ts';
import type { Here, Moved } from './here.ts';
import { heardHere } from '../vantage.ts';
import { heartbeatMsOf } from '../pace.ts';
import type { AgentState } from './state.ts';
import { identityAddresses } from '../step.ts';

const triesMax = 5;
const retryMs = 1_000;
const addressesMax = 64;

export function sightingDue(
  g: GroupState,
  here: Here,
  observer: MemberId | null,
  paths: (to: MemberId) => readonly number[],
): Moved {
  const addresses = identityAddresses(here.config.identity);
  if (g.sighting === null || g.holding.kind !== 'active' || here.now < g.sighting.nextAt)
    return { group: g, actions: [] };
  if (addresses.length === 0 || g.sighting.tries >= triesMax)
    return { group: { ...g, sighting: null }, actions: [] };
  const round = Math.round(here.now * 1_000);
  const next = { ...g, sighting: { round, tries: g.sighting.tries + 1, nextAt: here.now + retryMs } };
  if (observer === null) return { group: next, actions: [] };
  const message = { kind: 'sighting-request', round, addresses } as const;
  return {
    group: next,
    actions: paths(observer).map((path) => ({ kind: 'send', to: observer, path, message })),
  };
}

export function sighted(
  g: GroupState,
  round: number,
  verdict: 'ours' | 'nobody' | 'other',
  says: string,
  now: BootMs,
): Moved {
  if (g.sighting?.round !== round || g.holding.kind !== 'active') return { group: g, actions: [] };
  if (verdict === 'ours') {
    return {
      group: { ...g, sighting: null },
      actions: [{ kind: 'note', group: g.group, what: 'verified', reason: says }],
    };
  }
  return {
    group: { ...g, sighting: { ...g.sighting, nextAt: now + retryMs } },
    actions: [
      { kind: 'announce', group: g.group },
      { kind: 'note', group: g.group, what: 'not-verified', reason: says },
    ],
  };
}

/** Somebody wants to know who answers there. */
export function look(
  to: MemberId,
  path: number,
  round: number,
  addresses: readonly string[],
): Extract<AgentAction, { kind: 'sight' }> {
  return { kind: 'sight', to, path, round, addresses: addresses.slice(0, addressesMax) };
}

/** Another member that is heard well, to look at our addresses from outside; a witness if there is one. */
export function observerOf(state: AgentState, now: BootMs): MemberId | null {
  const beatMs = heartbeatMsOf(state.config);
  const well = [...state.members.values()].filter((m) => {
    const at = heardHere(state.vantage, m.id);
    return m.id !== state.self && at !== null && now - at < 2.5 * beatMs;
  });
  return (well.find((m) => m.role === 'witness') ?? well[0])?.id ?? null;
}
