/** What a decision was made from, at a glance, for whoever reads its event. All of it is kept by decision.ts. */

import type { BootMs, GroupId } from '../names.ts';
import { heartbeatMsOf } from '../pace.ts';
import { lastHeard } from '../vantage.ts';
import type { QuorumState } from './state.ts';

/** Small: ages, revisions and words, no histories. */
export function inputsOf(state: QuorumState, group: GroupId, now: BootMs): unknown {
  const config = state.view.config?.value.groups.get(group);
  const held = state.view.groups.get(group);
  const heartbeatMs = heartbeatMsOf(state.view.config?.value ?? null);
  const servers = (config?.servers ?? []).map((server) => {
    const renewal = state.view.renewals.get(server);
    return {
      server,
      heardMsAgo: tenths(now - lastHeard(state.vantage, server, heartbeatMs, now)),
      renewedMsAgo: renewal === undefined ? null : Math.round(now - renewal.changedAt),
      renewalRevision: renewal?.modRevision.toString() ?? null,
      report: renewal?.value.groups.find((g) => g.group === group)?.state ?? null,
    };
  });
  return {
    leader: state.self,
    ownership: held?.value.ownership ?? null,
    rules: config?.rules ?? null,
    servers,
  };
}

function tenths(ms: number): number {
  return Math.round(ms * 10) / 10;
}
