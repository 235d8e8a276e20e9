/** Answers like a colleague's: why a group is where it is, and what would happen if each server died now. */

import {
  caseOf,
  candidates,
  formatDuration,
  judge,
  lossClause,
  removedGroup,
  sceneOf,
  seconds,
  serverDownAt,
  wayOut,
  type Candidate,
  type Case,
  type Ear,
  type GroupConfig,
  type QuorumState,
  type Scene,
  type StoreView,
  type Vantage,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';

export function explain(
  state: QuorumState,
  group: string,
  now: number,
  wall: number,
): admin.ExplainReply | null {
  const c = caseOf(state, group, now, wall);
  if (c === null) return explainRemoved(sceneOf(state, now), group);
  const judged = judge(c);
  const since =
    c.record === null
      ? ''
      : ` It has been like this since ${new Date(c.record.since).toISOString()}: ${c.record.reason}.`;
  const all = candidates(c.scene, c.config, c.record);
  const own = c.record?.ownership;
  const owner = own === undefined || own.kind === 'unowned' ? null : own.owner;
  const blockers = all.flatMap((s) => (s.server === owner ? [] : [s.blocker ?? s.ask ?? again(s)])).flat();
  return {
    now: `${judged.reason}.${since}`,
    prospects: c.config.servers.map((server) => ({ server, says: ifDied(c, server, owner) })),
    blockers: [...new Set([...judged.warnings, ...blockers])],
    rules: rulesOf(c.config),
  };
}

/** One that was removed, and that somebody still has. */
function explainRemoved(scene: Scene, group: string): admin.ExplainReply | null {
  const removed = removedGroup(scene, group);
  if (removed === null) return null;
  const { owner, refused, stuck } = removed;
  const gone = `${group} was removed from the configuration`;
  const says =
    refused === null
      ? `${gone}, and ${owner} ${stuck === null ? 'is asked to release it' : `could not let go of it, and tries again (${stuck})`}`
      : `${gone}, and still runs on ${owner}, which refused to release it (${refused}): ${wayOut(group)}`;
  return { now: `${says}.`, prospects: [], blockers: [`${gone}: nobody takes it over`], rules: '' };
}

/** C3 of candidates.ts, in words. */
function again({ failed }: Candidate): string | [] {
  return failed === null ? [] : `${failed}; it has rested and is tried again if nobody else can`;
}

/** Judges the same scene as it would be once the server had been silent for long enough. */
function ifDied(c: Case, server: string, owner: string | null): string {
  const { rules } = c.config;
  if (owner === null) return `nothing would change: nobody owns ${c.config.name} now`;
  if (server !== owner) {
    const others = c.config.servers.filter((s) => s !== server && s !== owner);
    const left =
      others.length === 0 ? 'no standby would be left' : `${others.join(', ')} would still stand by`;
    return `${owner} keeps ${c.config.name}; ${left}`;
  }
  // It may have been silent for some time already.
  const later = Math.max(c.scene.now, serverDownAt(c.scene, server, c.config)) + 1;
  const judged = judge({
    ...c,
    scene: { ...c.scene, now: later, vantage: aged(c, server, later), view: renewed(c, server, later) },
  });
  const after = formatDuration(rules.outageMs);
  if (judged.change === null) return judged.reason;
  const next = judged.change.record.ownership;
  if (next.kind !== 'owned') return `after ${after}: ${judged.reason}`;
  const asked = judged.change.record.operation?.phase === 'awaiting-approval';
  if (asked) return `after ${after} it would wait for a person to approve: ${judged.reason}`;
  const loss = lossClause(candidates(c.scene, c.config, c.record), next.owner);
  return `${next.owner} would take over ${after} after ${server} was last heard, at epoch ${next.epoch.toString()}${loss}`;
}

/** Everybody but the dead server goes on talking until then. */
function aged(c: Case, dead: string, later: number): Vantage {
  const shift = later - c.scene.now;
  const ears = new Map(
    [...c.scene.vantage.ears].map(([id, ear]): [string, Ear] => {
      if (id === dead) return [id, { ...ear, claims: [] }];
      const paths = new Map([...ear.paths].map(([p, s]) => [p, { ...s, at: s.at + shift }] as const));
      // What it tells of the dead one grows as old as the rest grows younger.
      const rows = ear.told.rows.map((r) => (r.member === dead ? { ...r, ageMs: r.ageMs + shift } : r));
      return [id, { ...ear, paths, told: { at: ear.told.at + shift, rows } }];
    }),
  );
  return { ...c.scene.vantage, ears };
}

function renewed(c: Case, dead: string, later: number): StoreView {
  const shift = later - c.scene.now;
  const renewals = new Map(
    [...c.scene.view.renewals].map(
      ([id, held]) => [id, id === dead ? held : { ...held, changedAt: held.changedAt + shift }] as const,
    ),
  );
  return { ...c.scene.view, renewals };
}

function rulesOf(config: GroupConfig): string {
  const r = config.rules;
  const d = seconds;
  return (
    `A server is down when nobody hears it for ${d(r.outageMs)} and its renewal does not change for ${d(r.waitMs)}. ` +
    `An owner renews every ${d(r.renewMs)}, begins to fence ${d(r.fenceMs)} after its last proven renewal and is gone ${d(r.stopMs)} later.`
  );
}
