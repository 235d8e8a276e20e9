/**
 * Events that an agent hears all the time and that decide nothing: they are noted, and no group is looked at. Anything
 * that is due goes first, so that none of them holds up a deadline.
 */

import type { BootMs } from '../names.ts';
import { hear, isRoutine } from '../vantage.ts';
import { pinged } from './diagnosis.ts';
import type { AgentEvent } from './events.ts';
import { mirrorNews } from './mirroring.ts';
import { heartbeatMsOf, type AgentState, type AgentStep } from './state.ts';

/** Null: the event may decide something, and takes a whole turn. */
export function takeRoutine(state: AgentState, event: AgentEvent, now: BootMs): AgentStep | null {
  const { wakeAt } = state;
  if (wakeAt === null || now >= wakeAt) return null;
  const step = (noted: Partial<AgentState>, actions: AgentStep['actions'] = []): AgentStep => ({
    state: { ...state, ...noted },
    actions,
    wakeAt,
    reason: null,
  });
  if (event.kind === 'heard' && event.message.kind === 'heartbeat') {
    const { from, path, message } = event;
    const routine = isRoutine(state.vantage, from, path, message, heartbeatMsOf(state.config), now);
    return routine ? step({ vantage: hear(state.vantage, from, path, message, now) }) : null;
  }
  if (event.kind === 'mirrors') {
    const { reports } = event;
    const { mirrorsTold, actions } = mirrorNews(state.mirrorsTold, reports, now);
    return step({ mirrors: reports, mirrorsTold }, actions);
  }
  // It explains, and decides nothing.
  if (event.kind === 'pinged') return step({ pings: pinged(state.pings, event) });
  return null;
}
