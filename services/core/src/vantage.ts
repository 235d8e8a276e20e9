/**
 * Who is heard, by whom, on which path, how long ago: this member's own ears, and what the others report of theirs.
 *
 *   V1  a member is as alive as the latest sound of it at any vantage whose own word is fresh
 *   V2  the age in a report is counted from its arrival: transit makes a sound look younger, never older
 *   V3  a vantage that is itself silent says nothing about others
 */

import { measured, type ClockRate } from './clock-rate.ts';
import type { DiagnosisRow, HeardRow, Heartbeat, HeldClaim } from './heartbeat.ts';
import type { LiveMirror } from './mirror/report.ts';
import type { BootMs, GroupId, MemberId } from './names.ts';

export interface Sound {
  readonly at: BootMs;
  /** On the speaker's clock; echoed back so that it can tell the round trip. */
  readonly sentAt: BootMs;
  readonly rttMs: number | null;
}

/** What is known of one member. */
export interface Ear {
  /** Own hearing, by path. */
  readonly paths: ReadonlyMap<number, Sound>;
  readonly version: string;
  /** Null: it does not tell. */
  readonly bootId: string | null;
  readonly leaving: boolean;
  readonly addresses: readonly string[];
  readonly claims: readonly HeldClaim[];
  /** Its report of whom it hears, as it came with the latest sound of it, and when that was: ages count from then (V2). */
  readonly told: { readonly at: BootMs; readonly rows: readonly HeardRow[] };
  readonly diagnoses: readonly DiagnosisRow[];
  /** Null: never measured. */
  readonly clock: ClockRate | null;
  /** What it tells of the targets of its mirrors, by "mirror target"; rows that it tells no more are dropped. */
  readonly mirrors: ReadonlyMap<string, HeardMirror>;
}

export interface HeardMirror {
  readonly row: LiveMirror;
  readonly at: BootMs;
}

export interface Vantage {
  readonly self: MemberId;
  /** When this process began to listen: nobody can be called silent for longer than that. */
  readonly since: BootMs;
  readonly ears: ReadonlyMap<MemberId, Ear>;
}

export function startListening(self: MemberId, now: BootMs): Vantage {
  return { self, since: now, ears: new Map() };
}

const silentEar: Ear = {
  paths: new Map(),
  version: '',
  bootId: null,
  leaving: false,
  addresses: [],
  claims: [],
  told: { at: 0, rows: [] },
  diagnoses: [],
  clock: null,
  mirrors: new Map(),
};

/** Many rows take turns in the heartbeats: so long may one be missing from them. */
const mirrorRowMs = 60_000;
const mirrorRowsMax = 1_024;

export function hear(v: Vantage, from: MemberId, path: number, beat: Heartbeat, now: BootMs): Vantage {
  const ear = v.ears.get(from) ?? silentEar;
  const rttMs = beat.echo === null ? null : roundTrip(now, beat.echo.sentAt, beat.echo.ageMs);
  const paths = new Map(ear.paths).set(path, {
    at: now,
    sentAt: beat.sentAt,
    rttMs: rttMs ?? ear.paths.get(path)?.rttMs ?? null,
  });
  const sameBoot = ear.bootId === (beat.bootId ?? null);
  const heard: Ear = {
    paths,
    version: beat.version,
    bootId: beat.bootId ?? null,
    leaving: beat.leaving,
    addresses: beat.addresses,
    claims: beat.groups,
    told: { at: now, rows: beat.vantage },
    diagnoses: beat.diagnoses,
    clock: measured(sameBoot ? ear.clock : null, beat.sentAt, now),
    mirrors: heardMirrors(ear.mirrors, beat.mirrors ?? [], now),
  };
  return { self: v.self, since: v.since, ears: new Map(v.ears).set(from, heard) };
}

function heardMirrors(
  before: Ear['mirrors'],
  rows: readonly LiveMirror[],
  now: BootMs,
): ReadonlyMap<string, HeardMirror> {
  if (rows.length === 0 && before.size === 0) return before;
  const heard = new Map<string, HeardMirror>();
  for (const [key, mirror] of before) if (now - mirror.at < mirrorRowMs) heard.set(key, mirror);
  for (const row of rows) heard.set(`${row.mirror} ${row.target}`, { row, at: now });
  for (const key of heard.keys()) {
    if (heard.size <= mirrorRowsMax) break;
    heard.delete(key);
  }
  return heard;
}

/** On our own clock throughout, so the clocks of two hosts never mix. Null when it makes no sense. */
function roundTrip(now: BootMs, echoedSentAt: BootMs, echoAgeMs: number): number | null {
  const rtt = now - echoedSentAt - echoAgeMs;
  return rtt >= 0 && rtt < 60_000 ? rtt : null;
}

/** When the member was last heard by this ear's owner, on one path or on any, on our clock; null when never. */
function toldOf({ told }: Ear, member: MemberId, path: number | null): BootMs | null {
  let latest: BootMs | null = null;
  for (const row of told.rows) {
    if (row.member !== member || (path !== null && row.path !== path)) continue;
    const at = told.at - Math.max(0, row.ageMs);
    if (latest === null || at > latest) latest = at;
  }
  return latest;
}

export function pathKey(member: MemberId, path: number): string {
  return `${member}/${String(path)}`;
}

/** When we ourselves last heard the member, on any path; null when never. */
export function heardHere(v: Vantage, member: MemberId): BootMs | null {
  return v.ears.get(member)?.told.at ?? null;
}

/**
 * Whether a heartbeat tells nothing but that its sender is still well: it was heard a moment ago on this path, and
 * claims what it claimed before. Such a heartbeat can only postpone what is due later, so nothing need be decided.
 */
export function isRoutine(
  v: Vantage,
  from: MemberId,
  path: number,
  beat: Heartbeat,
  heartbeatMs: number,
  now: BootMs,
): boolean {
  const ear = v.ears.get(from);
  const at = ear?.paths.get(path)?.at;
  if (ear === undefined || at === undefined || now - at > 1.5 * heartbeatMs) return false;
  if (ear.leaving !== beat.leaving || ear.bootId !== (beat.bootId ?? null)) return false;
  // A source dials its targets at these addresses (mirror/roles.ts).
  if (ear.addresses !== beat.addresses && ear.addresses.join() !== beat.addresses.join()) return false;
  if (ear.claims === beat.groups) return true;
  return (
    ear.claims.length === beat.groups.length &&
    ear.claims.every((c, i) => {
      const said = beat.groups[i];
      return said?.group === c.group && said.epoch === c.epoch && said.state === c.state;
    })
  );
}

/** The latest sound of a member that is known at all, here or at any vantage, however old; null when there is none. */
export function lastSound(v: Vantage, member: MemberId): BootMs | null {
  let latest = heardHere(v, member);
  for (const ear of v.ears.values()) {
    const told = toldOf(ear, member, null);
    if (told !== null && (latest === null || told > latest)) latest = told;
  }
  return latest;
}

/** When we ourselves last heard the member on this path; null when never. */
export function heardOnPath(v: Vantage, member: MemberId, path: number): BootMs | null {
  return v.ears.get(member)?.paths.get(path)?.at ?? null;
}

/** A vantage counts while its own last word is at most this old, in heartbeats. */
const freshBeats = 3;

/**
 * The latest sound of a member at any vantage (V1 to V3). Never earlier than when we began to listen,
 * because before that we could not have heard it.
 */
export function lastHeard(v: Vantage, member: MemberId, heartbeatMs: number, now: BootMs): BootMs {
  let latest = Math.max(v.since, heardHere(v, member) ?? -Infinity);
  for (const [observer, ear] of v.ears) {
    if (observer === member) continue;
    const word = heardHere(v, observer);
    if (word === null || now - word > freshBeats * heartbeatMs) continue;
    const told = toldOf(ear, member, null);
    if (told !== null && told > latest) latest = told;
  }
  return latest;
}

/** The latest sound of a member on one path, here or at a fresh vantage; null when none is known. */
export function lastHeardOnPath(
  v: Vantage,
  member: MemberId,
  path: number,
  heartbeatMs: number,
  now: BootMs,
): BootMs | null {
  // What the agent beside us sends did not travel on any network.
  let latest = member === v.self ? null : heardOnPath(v, member, path);
  for (const [observer, ear] of v.ears) {
    if (observer === member) continue;
    const word = heardHere(v, observer);
    if (word === null || now - word > freshBeats * heartbeatMs) continue;
    const at = toldOf(ear, member, path);
    if (at !== null && (latest === null || at > latest)) latest = at;
  }
  return latest;
}

/** Whether anybody else is there who would hear the member on a network. */
export function isListenedTo(v: Vantage, member: MemberId, heartbeatMs: number, now: BootMs): boolean {
  if (member !== v.self) return true;
  return [...v.ears.keys()].some((observer) => {
    const word = observer === member ? null : heardHere(v, observer);
    return word !== null && now - word <= freshBeats * heartbeatMs;
  });
}

/** What the member itself last claimed of the group, whenever that was. */
export function claimOf(v: Vantage, member: MemberId, group: GroupId): HeldClaim | null {
  return v.ears.get(member)?.claims.find((c) => c.group === group) ?? null;
}

/** A member hears us on a path when its own report says so. */
export function hearsUs(v: Vantage, member: MemberId, path: number): BootMs | null {
  const ear = v.ears.get(member);
  return ear === undefined ? null : toldOf(ear, v.self, path);
}
