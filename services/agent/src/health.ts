/**
 * Whether this agent can do its duty, for a probe: it can't hold a group, or take one over, without the guard or
 * without renewals. A group that is elsewhere, or blocked, is no illness of this agent: metrics and `holdfast check` tell it.
 */

import { heldEpoch, mayActUntil, type AgentState } from '@holdfast/core';

/** F of the usual outage of 35 s: for a server without groups. */
const fenceMsUsual = 10_000;

export interface Health {
  readonly healthy: boolean;
  /** Why not; empty when it is. */
  readonly problems: readonly string[];
  readonly [figure: string]: unknown;
}

/** `guard`: whether it is connected; null on a member that has none. */
export function healthOf(state: AgentState, guard: boolean | null, now: number): Health {
  const { proof, failingSince, lastFailure } = state.renewal;
  const problems = [...guardProblems(guard), ...renewalProblems(state, now)];
  return {
    healthy: problems.length === 0,
    problems,
    member: state.self,
    version: state.version,
    bootMs: Math.round(now),
    guard,
    configRevision: state.configRevision.toString(),
    renewal: {
      ageMs: proof === null ? null : Math.round(now - proof.at),
      failingForMs: failingSince === null ? null : Math.round(now - failingSince),
      says: failingSince === null ? '' : lastFailure,
    },
    groups: Object.fromEntries(
      [...state.groups.values()].map((g) => [
        g.group,
        {
          holding: g.holding.kind,
          epoch: heldEpoch(g.holding)?.toString() ?? null,
          fenceMarginMs: fenceMargin(state, g.group, now),
        },
      ]),
    ),
  };
}

function guardProblems(guard: boolean | null): readonly string[] {
  return guard === false ? ['the guard does not answer: nothing can be taken over here'] : [];
}

/** So long an owner may act by its last one. */
function renewalProblems({ renewal, config, self }: AgentState, now: number): readonly string[] {
  const { failingSince, lastFailure } = renewal;
  if (failingSince === null) return [];
  const own = [...(config?.groups.values() ?? [])].filter((g) => g.servers.includes(self));
  const fenceMs = own.length === 0 ? fenceMsUsual : Math.min(...own.map((g) => g.rules.fenceMs));
  const forMs = now - failingSince;
  if (forMs <= fenceMs) return [];
  return [`renewals fail for ${Math.floor(forMs / 1_000)} s: ${lastFailure}`];
}

/** What is left until the fence; null for a group that is not held. */
export function fenceMargin(state: AgentState, group: string, now: number): number | null {
  const g = state.groups.get(group);
  const config = state.config?.groups.get(group);
  if (g === undefined || config === undefined || g.entitlement === null || heldEpoch(g.holding) === null)
    return null;
  return Math.round(mayActUntil(g.entitlement) - now);
}
