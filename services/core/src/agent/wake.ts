/** A3: the exact next moment at which the loop has something to do, if nothing happens before. */

import type { BootMs } from '../names.ts';
import { nextDeadline } from './ownership.ts';
import { nextAsk } from './promises.ts';
import { renewalDeadline, type Account } from './renewal.ts';
import { nextMonitor } from './resources.ts';
import { paceOf, type AgentState } from './state.ts';
import { spareAddress } from '../step.ts';

/** All but heartbeats and pings, which are sent without another thought. Null when only an event can change anything. */
export function dutiesFrom(state: AgentState, account: Account, proofWanted: boolean): BootMs | null {
  if (!state.started || state.exiting) return null;
  const failing = state.renewal.failingSince !== null;
  let next = Infinity;
  const at = (time: BootMs | null) => {
    if (time !== null && time !== -Infinity && time < next) next = time;
  };
  if (state.role === 'server') at(renewalDeadline(state.renewal, account, paceOf(state), proofWanted));
  if (state.own.length > 0) at(state.nextSpareAt);
  for (const g of state.groups.values()) {
    const config = state.config?.groups.get(g.group);
    if (config === undefined) continue;
    at(nextDeadline(g));
    at(nextAsk(g, failing, config));
    at(nextMonitor(g, config));
    if (g.sighting !== null && g.holding.kind === 'active') at(g.sighting.nextAt);
    if (spareAddress(config.identity) !== null) at(state.nextSpareAt);
  }
  return next === Infinity ? null : next;
}

/** Null when only an event can change anything. */
export function wakeAt(state: AgentState, dutiesAt: BootMs | null): BootMs | null {
  if (!state.started || state.exiting) return null;
  return Math.min(state.nextBeatAt, state.nextPingAt ?? Infinity, dutiesAt ?? Infinity);
}
