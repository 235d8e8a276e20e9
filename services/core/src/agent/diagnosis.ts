/**
 * Why a path is silent, in words: server dead, agent dead, path dead, or it is me who is cut off. ICMP only
 * diagnoses; it never decides anything.
 */

import type { DiagnosisRow } from '../heartbeat.ts';
import type { BootMs, Member, MemberId } from '../names.ts';
import { heardHere, heardOnPath, lastHeard, hearsUs, pathKey, type Vantage } from '../vantage.ts';
import type { AgentAction, AgentEvent } from './events.ts';

export interface Ping {
  readonly askedAt: BootMs;
  readonly answers: boolean | null;
  readonly gatewayAnswers: boolean | null;
}

export type Pings = ReadonlyMap<string, Ping>;

const pingEveryMs = 2_000;

/** Pings every path that became silent, again and again while it is. */
export function pingSilentPaths(
  pings: Pings,
  v: Vantage,
  members: Iterable<Member>,
  paths: (m: MemberId) => readonly number[],
  heartbeatMs: number,
  now: BootMs,
): { readonly pings: Pings; readonly actions: readonly AgentAction[]; readonly nextAt: BootMs | null } {
  const next = new Map<string, Ping>();
  const actions: AgentAction[] = [];
  let nextAt: BootMs | null = null;
  for (const m of members) {
    if (m.id === v.self) continue;
    for (const path of paths(m.id)) {
      const key = pathKey(m.id, path);
      const silentFrom = (heardOnPath(v, m.id, path) ?? v.since) + 3 * heartbeatMs;
      const before = pings.get(key);
      const dueAt = Math.max(silentFrom, before === undefined ? -Infinity : before.askedAt + pingEveryMs);
      if (now >= dueAt) {
        actions.push({ kind: 'ping', member: m.id, path });
        next.set(key, {
          askedAt: now,
          answers: before?.answers ?? null,
          gatewayAnswers: before?.gatewayAnswers ?? null,
        });
        nextAt = soonest(nextAt, now + pingEveryMs);
      } else {
        if (now >= silentFrom && before !== undefined) next.set(key, before);
        nextAt = soonest(nextAt, dueAt);
      }
    }
  }
  return { pings: next, actions, nextAt };
}

/** The answer to a ping that was asked for. */
export function pinged(pings: Pings, answer: Extract<AgentEvent, { kind: 'pinged' }>): Pings {
  const key = pathKey(answer.member, answer.path);
  const ping = pings.get(key);
  if (ping === undefined) return pings;
  const { answers, gatewayAnswers } = answer;
  return new Map(pings).set(key, { ...ping, answers, gatewayAnswers });
}

function soonest(a: BootMs | null, b: BootMs): BootMs {
  return a === null ? b : Math.min(a, b);
}

export function diagnose(
  pings: Pings,
  v: Vantage,
  members: Iterable<Member>,
  paths: (m: MemberId) => readonly number[],
  heartbeatMs: number,
  now: BootMs,
): readonly DiagnosisRow[] {
  const silenceMs = 3 * heartbeatMs;
  const rows: DiagnosisRow[] = [];
  const all = [...members].filter((m) => m.id !== v.self);
  const deaf = () => all.every((m) => now - (heardHere(v, m.id) ?? v.since) >= silenceMs);
  for (const m of all) {
    for (const path of paths(m.id)) {
      const at = heardOnPath(v, m.id, path);
      const silent = now - (at ?? v.since) >= silenceMs;
      if (!silent) {
        const toThem = hearsUs(v, m.id, path);
        if (toThem !== null && now - toThem >= 2 * silenceMs) {
          rows.push({
            member: m.id,
            path,
            says: `asymmetric path: ${m.id} is heard here and does not hear ${v.self}`,
          });
        }
        continue;
      }
      const ping = pings.get(pathKey(m.id, path));
      // On another path, or at another vantage: then it is no server that is dead.
      const someWhere = now - lastHeard(v, m.id, heartbeatMs, now) < silenceMs;
      rows.push({ member: m.id, path, says: verdict(m.id, ping ?? null, someWhere, deaf()) });
    }
  }
  return rows;
}

function verdict(member: MemberId, ping: Ping | null, heardElsewhere: boolean, deaf: boolean): string {
  if (heardElsewhere) return 'path dead';
  if (ping?.answers === true) return `agent dead: ${member} answers ping`;
  if (deaf && ping?.gatewayAnswers !== true) return 'nobody is heard: it may be this server that is cut off';
  return 'server dead';
}
