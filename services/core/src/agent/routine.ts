/**
 * Events that an agent hears all the time and that decide nothing: they are noted, and no group is looked at. Anything
 * that is due goes first, so that none of them holds up a deadline.
 */

import type { BootMs } from '../names.ts';
import { hear, isRoutine } from '../vantage.ts';
import { pinged } from './diagnosis.ts';
import type { AgentEvent } from './events.ts';
import { mirrorNews } from './mirroring.ts';
import { heartbeatMsOf } from '../pace.ts';
import { agentDraft, type AgentState, type AgentStep } from './state.ts';

/** Null: the event may decide something, and takes a whole turn. */
export function takeRoutine(state: AgentState, event: AgentEvent, now: BootMs): AgentStep | null {
  const { wakeAt } = state;
  if (wakeAt === null || now >= wakeAt) return null;
  if (event.kind === 'heard' && event.message.kind === 'heartbeat') {
    const { from, path, message } = event;
    if (!isRoutine(state.vantage, from, path, message, heartbeatMsOf(state.config), now)) return null;
    return noted(state, { vantage: hear(state.vantage, from, path, message, now) });
  }
  if (event.kind === 'mirrors') {
    const { reports } = event;
    const { mirrorsTold, actions } = mirrorNews(state.mirrorsTold, reports, now);
    return noted(state, { mirrors: reports, mirrorsAt: now, mirrorsTold }, actions);
  }
  // It explains, and decides nothing.
  if (event.kind === 'pinged') return noted(state, { pings: pinged(state.pings, event) });
  return null;
}

type Noted = Partial<Pick<AgentState, 'vantage' | 'mirrors' | 'mirrorsAt' | 'mirrorsTold' | 'pings'>>;

function noted(before: AgentState, fields: Noted, actions: AgentStep['actions'] = []): AgentStep {
  const state = agentDraft(before);
  if (fields.vantage !== undefined) state.vantage = fields.vantage;
  if (fields.mirrors !== undefined) state.mirrors = fields.mirrors;
  if (fields.mirrorsAt !== undefined) state.mirrorsAt = fields.mirrorsAt;
  if (fields.mirrorsTold !== undefined) state.mirrorsTold = fields.mirrorsTold;
  if (fields.pings !== undefined) state.pings = fields.pings;
  return { state, actions, wakeAt: before.wakeAt, reason: null };
}
