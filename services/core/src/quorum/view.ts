/**
 * A quorum service's view of the store and of who is heard.
 *
 *   Q1  a row with a higher revision wins; rows come from reads, transactions and the watch alike
 *   Q2  a renewal's age counts from when this process first saw that revision, on its own clock
 *   Q4  so does the age of a server's life: one boot of its host, one start of its agent
 *   Q3  a stale view costs a failed compare, never a wrong change
 */

import { parseGroup, parseLeader, parseMaintenance, parsePauses, parseRenewal } from '../codec.ts';
import { configFromJson } from '../config/index.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { Draft } from '../draft.ts';
import { keys } from '../keys.ts';
import { parseMember } from '../member.ts';
import type { BootMs, GroupId, Member, MemberId, Revision } from '../names.ts';
import {
  noMaintenance,
  noPauses,
  type GroupRecord,
  type LeaderRecord,
  type MaintenanceRecord,
  type PauseRecord,
  type RenewalRecord,
} from '../records.ts';
import type { Row } from '../store.ts';

export interface Held<T> {
  readonly value: T;
  readonly text: string;
  readonly modRevision: Revision;
  /** When this process first saw this revision. */
  readonly changedAt: BootMs;
}

/** Q4. */
export interface Life {
  readonly bootId: string;
  readonly incarnation: number;
  readonly since: BootMs;
}

export interface StoreView {
  readonly revision: Revision;
  readonly leader: Held<LeaderRecord> | null;
  readonly beat: Held<string> | null;
  readonly config: Held<ClusterConfig> | null;
  readonly maintenance: Held<MaintenanceRecord> | null;
  readonly pauses: Held<PauseRecord> | null;
  readonly renewals: ReadonlyMap<MemberId, Held<RenewalRecord>>;
  readonly lives: ReadonlyMap<MemberId, Life>;
  readonly groups: ReadonlyMap<GroupId, Held<GroupRecord>>;
  readonly members: ReadonlyMap<MemberId, Held<Member>>;
  /** What could not be parsed, by key: shown, and otherwise treated as absent. */
  readonly garbage: ReadonlyMap<string, string>;
}

export const emptyView: StoreView = {
  revision: 0n,
  leader: null,
  beat: null,
  config: null,
  maintenance: null,
  pauses: null,
  renewals: new Map(),
  lives: new Map(),
  groups: new Map(),
  members: new Map(),
  garbage: new Map(),
};

function viewDraft(v: StoreView): Draft<StoreView> {
  return {
    revision: v.revision,
    leader: v.leader,
    beat: v.beat,
    config: v.config,
    maintenance: v.maintenance,
    pauses: v.pauses,
    renewals: v.renewals,
    lives: v.lives,
    groups: v.groups,
    members: v.members,
    garbage: v.garbage,
  };
}

export type RowChange = Row | { readonly key: string; readonly value: null; readonly modRevision: Revision };

export function maintenanceOf(view: StoreView): MaintenanceRecord {
  return view.maintenance?.value ?? noMaintenance;
}

export function pausesOf(view: Pick<StoreView, 'pauses'>): PauseRecord {
  return view.pauses?.value ?? noPauses;
}

/** Takes changed rows; those older than what is known are ignored (Q1). */
export function absorb(
  view: StoreView,
  revision: Revision,
  rows: readonly RowChange[],
  now: BootMs,
): StoreView {
  const next = viewDraft(view);
  for (const row of rows) absorbRow(next, row, now);
  if (revision > view.revision) next.revision = revision;
  return next;
}

/** Takes a read of everything live: what is missing from it, and was not put since, is gone. */
export function absorbAll(view: StoreView, revision: Revision, rows: readonly Row[], now: BootMs): StoreView {
  const present = new Set(rows.map((r) => r.key));
  const gone: RowChange[] = [];
  const miss = (key: string, held: { readonly modRevision: Revision }) => {
    if (!present.has(key) && held.modRevision <= revision)
      gone.push({ key, value: null, modRevision: revision });
  };
  for (const [id, held] of view.renewals) miss(keys.renewal(id), held);
  for (const [id, held] of view.groups) miss(keys.group(id), held);
  for (const [id, held] of view.members) miss(keys.member(id), held);
  for (const key of view.garbage.keys()) miss(key, { modRevision: 0n });
  if (view.maintenance !== null) miss(keys.maintenance, view.maintenance);
  if (view.pauses !== null) miss(keys.pauses, view.pauses);
  if (view.config !== null) miss(keys.config, view.config);
  return absorb(view, revision, [...rows, ...gone], now);
}

function absorbRow(view: Draft<StoreView>, row: RowChange, now: BootMs): void {
  const { key } = row;
  if (key === keys.leader) view.leader = single(view, view.leader, row, now, parseLeader);
  else if (key === keys.beat) view.beat = single(view, view.beat, row, now, asText);
  else if (key === keys.config) view.config = single(view, view.config, row, now, configFromText);
  else if (key === keys.maintenance)
    view.maintenance = single(view, view.maintenance, row, now, parseMaintenance);
  else if (key === keys.pauses) view.pauses = single(view, view.pauses, row, now, parsePauses);
  else if (key.startsWith(keys.renewals)) {
    const id = key.slice(keys.renewals.length);
    view.renewals = inMap(view, view.renewals, id, row, now, parseRenewal);
    view.lives = withLife(view, id, now);
  } else if (key.startsWith(keys.groups)) {
    view.groups = inMap(view, view.groups, key.slice(keys.groups.length), row, now, parseGroup);
  } else if (key.startsWith(keys.members)) {
    view.members = inMap(view, view.members, key.slice(keys.members.length), row, now, parseMember);
  }
}

function withLife({ lives, renewals }: StoreView, id: MemberId, now: BootMs): StoreView['lives'] {
  const renewal = renewals.get(id)?.value;
  if (renewal === undefined)
    return lives.has(id) ? new Map([...lives].filter(([other]) => other !== id)) : lives;
  const { bootId, incarnation } = renewal;
  const known = lives.get(id);
  if (known?.bootId === bootId && known.incarnation === incarnation) return lives;
  return new Map(lives).set(id, { bootId, incarnation, since: now });
}

type Parse<T> = (text: string) => { kind: 'ok'; value: T } | { kind: 'garbage'; says: string };

const asText: Parse<string> = (value) => ({ kind: 'ok', value });

function configFromText(text: string): ReturnType<Parse<ClusterConfig>> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: 'the stored configuration is not JSON' };
  }
  const document = typeof raw === 'object' && raw !== null && 'config' in raw ? raw.config : undefined;
  const parsed = configFromJson(document);
  return parsed.kind === 'ok'
    ? { kind: 'ok', value: parsed.config }
    : { kind: 'garbage', says: parsed.errors.join('; ') };
}

/** What can't be parsed goes to the view's garbage, until something else stands there. */
function tellGarbage(view: Draft<StoreView>, key: string, parsed: ReturnType<Parse<unknown>> | null): void {
  if (parsed?.kind === 'garbage') view.garbage = new Map(view.garbage).set(key, parsed.says);
  else if (view.garbage.has(key))
    view.garbage = new Map([...view.garbage].filter(([other]) => other !== key));
}

function single<T>(
  view: Draft<StoreView>,
  held: Held<T> | null,
  row: RowChange,
  now: BootMs,
  parse: Parse<T>,
): Held<T> | null {
  if (held !== null && row.modRevision <= held.modRevision) return held;
  const parsed = row.value === null ? null : parse(row.value);
  tellGarbage(view, row.key, parsed);
  if (row.value === null || parsed === null) return null;
  // A record that can't be read is kept as it was: a guess could move a group.
  if (parsed.kind === 'garbage') return held === null ? null : { ...held, modRevision: row.modRevision };
  return { value: parsed.value, text: row.value, modRevision: row.modRevision, changedAt: now };
}

function inMap<T>(
  view: Draft<StoreView>,
  before: ReadonlyMap<string, Held<T>>,
  id: string,
  row: RowChange,
  now: BootMs,
  parse: Parse<T>,
): ReadonlyMap<string, Held<T>> {
  const held = before.get(id) ?? null;
  if (held !== null && row.modRevision <= held.modRevision) return before;
  const parsed = row.value === null ? null : parse(row.value);
  tellGarbage(view, row.key, parsed);
  if (row.value === null || parsed === null) {
    const after = new Map(before);
    after.delete(id);
    return after;
  }
  if (parsed.kind === 'garbage') return before;
  const value = { value: parsed.value, text: row.value, modRevision: row.modRevision, changedAt: now };
  return new Map(before).set(id, value);
}
