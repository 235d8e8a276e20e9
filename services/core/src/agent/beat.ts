/** The heartbeat that this member sends to another one on one path. */

import type { Heartbeat } from '../heartbeat.ts';
import type { BootMs, MemberId } from '../names.ts';
import { diagnose } from './diagnosis.ts';
import { liveAt } from './copies.ts';
import { heartbeatMsOf, pathsBetween, reportsOf, type AgentState } from './state.ts';

export function heartbeatTo(state: AgentState, to: MemberId, path: number, now: BootMs): Heartbeat {
  const mirrors = liveAt(state.mirrors, heartbeatMsOf(state.config), now);
  const sound = state.vantage.ears.get(to)?.paths.get(path);
  return {
    kind: 'heartbeat',
    sentAt: now,
    echo: sound === undefined ? null : { sentAt: sound.sentAt, ageMs: now - sound.at },
    version: state.version,
    bootId: state.renewal.bootId,
    leaving: state.leaving !== null,
    addresses: state.members.get(state.self)?.addresses ?? [],
    groups: reportsOf(state).map(({ group, epoch, state: held, drained }) => ({
      group,
      epoch,
      state: held,
      ...(drained === undefined ? {} : { drained }),
    })),
    vantage: [...state.vantage.ears].flatMap(([member, ear]) =>
      [...ear.paths].map(([p, s]) => ({ member, path: p, ageMs: now - s.at, rttMs: s.rttMs })),
    ),
    diagnoses: diagnose(
      state.pings,
      state.vantage,
      state.members.values(),
      (m) => pathsBetween(state, m),
      heartbeatMsOf(state.config),
      now,
    ),
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
}
