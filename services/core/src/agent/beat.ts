/** The heartbeats that this member sends at one moment, to every other one on every path. */

import type { HeardRow, Heartbeat, HeldClaim } from '../heartbeat.ts';
import type { BootMs, MemberId } from '../names.ts';
import type { GroupReport } from '../records.ts';
import { diagnose } from './diagnosis.ts';
import type { AgentAction } from './events.ts';
import { liveAt } from './copies.ts';
import type { Vantage } from '../vantage.ts';
import { heartbeatMsOf } from '../pace.ts';
import { pathsBetween, reportsOf, type AgentState } from './state.ts';

export function beatsAt(state: AgentState, now: BootMs): readonly AgentAction[] {
  const message = heartbeatsAt(state, now);
  const others = [...state.members.keys()].filter((id) => id !== state.self);
  return others.flatMap((to) =>
    pathsBetween(state, to).map((path): AgentAction => ({
      kind: 'send',
      to,
      path,
      message: message(to, path),
    })),
  );
}

/** What all of them tell is made once; only the echo differs. */
function heartbeatsAt(state: AgentState, now: BootMs): (to: MemberId, path: number) => Heartbeat {
  const heartbeatMs = heartbeatMsOf(state.config);
  const mirrors = liveAt(state.mirrors, state.mirrorsAt, heartbeatMs, now);
  const paths = (m: MemberId) => pathsBetween(state, m);
  const shared: Heartbeat = {
    kind: 'heartbeat',
    sentAt: now,
    // Replaced in each copy: to add a field to a copy takes twenty times as long, and heartbeats are most of all work.
    echo: null,
    version: state.version,
    bootId: state.renewal.bootId,
    leaving: state.leaving !== null,
    addresses: state.members.get(state.self)?.addresses ?? [],
    groups: claimsOf(reportsOf(state)),
    vantage: heardRows(state.vantage, now),
    diagnoses: diagnose(state.pings, state.vantage, state.members.values(), paths, heartbeatMs, now),
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
  return (to, path) => {
    const sound = state.vantage.ears.get(to)?.paths.get(path);
    return { ...shared, echo: sound === undefined ? null : { sentAt: sound.sentAt, ageMs: now - sound.at } };
  };
}

/** What is told of the groups seldom changes from one heartbeat to the next. */
function claimsOf(reports: readonly GroupReport[]): readonly HeldClaim[] {
  const known = claims.get(reports);
  if (known !== undefined) return known;
  const made = reports.map(({ group, epoch, state, drained }) =>
    drained === undefined ? { group, epoch, state } : { group, epoch, state, drained },
  );
  claims.set(reports, made);
  return made;
}

const claims = new WeakMap<readonly GroupReport[], readonly HeldClaim[]>();

function heardRows({ ears }: Vantage, now: BootMs): readonly HeardRow[] {
  const rows: HeardRow[] = [];
  for (const [member, ear] of ears) {
    for (const [path, s] of ear.paths) rows.push({ member, path, ageMs: now - s.at, rttMs: s.rttMs });
  }
  return rows;
}
