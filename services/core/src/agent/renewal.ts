/**
 * A server's proof of life: one record in the store, replaced by compare-and-swap, again and again.
 *
 *   R1  a renewal counts from just before it was sent, never from its answer (time.ts, T1)
 *   R2  an answer that comes after the attempt's deadline proves nothing
 *   R3  each attempt has a counter of its own, so an attempt that landed late is told from one that did not
 */

import type { Draft } from '../draft.ts';
import type { BootMs, GroupId, MemberId, Revision } from '../names.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { GroupReport, RenewalRecord } from '../records.ts';
import type { AgentAction, RenewAnswer } from './events.ts';
import { copiesAt } from './copies.ts';

/** About what a planned move takes from the word of its former owner to the first answer of the new one. */
const moveMs = 60;

export interface Renewal {
  readonly server: MemberId;
  readonly incarnation: number;
  readonly bootId: string;
  readonly version: string;
  readonly counter: number;
  readonly bootRevision: Revision | null;
  /** What the store is believed to hold; null: nothing. */
  readonly current: RenewalRecord | null;
  readonly inFlight: {
    readonly attempt: number;
    readonly sentAt: BootMs;
    readonly record: RenewalRecord;
  } | null;
  readonly nextAt: BootMs;
  /** After a failure, not even news is sent before this: a dead control plane is not hammered. */
  readonly notBefore: BootMs;
  /** News alone is no reason to renew before this. */
  readonly newsAt: BootMs;
  /** The last renewal that was confirmed in time. */
  readonly proof: Proof | null;
  /** Since when every attempt failed; null while they succeed. */
  readonly failingSince: BootMs | null;
  readonly lastFailure: string;
  /** Somebody else renews in this server's name. */
  readonly impostor: string | null;
}

export interface RenewalPace {
  readonly renewMs: number;
  readonly attemptMs: number;
}

/** A renewal that was confirmed in time. */
export interface Proof {
  /** `s`: just before it was sent. */
  readonly at: BootMs;
  /** What it told of the groups' G. */
  readonly waits: RenewalRecord['waits'];
  /** And of the servers that it asks to hold. */
  readonly asks: RenewalRecord['asks'];
}

export function renewalDraft(r: Renewal): Draft<Renewal> {
  return {
    server: r.server,
    incarnation: r.incarnation,
    bootId: r.bootId,
    version: r.version,
    counter: r.counter,
    bootRevision: r.bootRevision,
    current: r.current,
    inFlight: r.inFlight,
    nextAt: r.nextAt,
    notBefore: r.notBefore,
    newsAt: r.newsAt,
    proof: r.proof,
    failingSince: r.failingSince,
    lastFailure: r.lastFailure,
    impostor: r.impostor,
  };
}

/** What goes into the next renewal. */
export interface Account {
  readonly reports: readonly GroupReport[];
  readonly waits: Readonly<Record<GroupId, number>>;
  readonly asks?: RenewalRecord['asks'];
  readonly leaving: boolean;
  readonly actsUnder: Revision;
  /** The boot rule is not done yet. */
  readonly clearing: boolean;
  /** The latest word of the mirror process. */
  readonly mirrors: readonly MirrorReport[];
}

export function newRenewal(
  server: MemberId,
  incarnation: number,
  bootId: string,
  version: string,
  now: BootMs,
): Renewal {
  return {
    server,
    incarnation,
    bootId,
    version,
    counter: 0,
    bootRevision: null,
    current: null,
    inFlight: null,
    nextAt: now,
    notBefore: now,
    newsAt: now,
    proof: null,
    failingSince: null,
    lastFailure: '',
    impostor: null,
  };
}

/**
 * Sends the next renewal when one is due and none is under way. `wanted`: a group waits for its proof, so the period
 * is not waited for.
 */
export function renewWhenDue(
  r: Renewal,
  account: Account,
  pace: RenewalPace,
  now: BootMs,
  wanted: boolean,
): { readonly renewal: Renewal; readonly actions: readonly AgentAction[] } {
  if (r.impostor !== null) return { renewal: r, actions: [] };
  // An attempt that is overdue is tried again at once: that is what R + 2q < F counts on.
  if (now < (renewalDeadline(r, account, pace, wanted) ?? Infinity)) return { renewal: r, actions: [] };
  const counter = r.counter + 1;
  const mirrors = copiesAt(account.mirrors, now);
  const record: RenewalRecord = {
    server: r.server,
    incarnation: r.incarnation,
    counter,
    bootId: r.bootId,
    bootRevision: r.bootRevision,
    version: r.version,
    leaving: account.leaving,
    waits: account.waits,
    awaitsFormer: true,
    ...(account.clearing ? { clearing: true } : {}),
    actsUnder: account.actsUnder,
    ...(account.asks === undefined ? {} : { asks: account.asks }),
    groups: account.reports,
    ...(mirrors.length === 0 ? {} : { mirrors }),
  };
  const renewal = renewalDraft(r);
  renewal.counter = counter;
  renewal.inFlight = { attempt: counter, sentAt: now, record };
  renewal.nextAt = now + pace.renewMs;
  renewal.failingSince = r.inFlight === null ? r.failingSince : (r.failingSince ?? r.inFlight.sentAt);
  return {
    renewal,
    actions: [
      { kind: 'renew', attempt: counter, previous: r.current, next: record, deadlineMs: pace.attemptMs },
    ],
  };
}

/**
 * What a heartbeat tells at this moment, and what follows from it, need not be in the store at the same moment: processors and
 * disks are for the change of owner that clients wait for. A renewal that is due is not held up.
 */
export function afterTheMove(r: Renewal, now: BootMs): Renewal {
  const renewal = renewalDraft(r);
  renewal.newsAt = now + moveMs;
  return renewal;
}

/** When the next renewal is due: on its period, or now when there is news that others wait for. */
export function renewAt(r: Renewal, account: Account, wanted: boolean): BootMs {
  if (r.current === null || r.proof === null) return r.nextAt;
  const bootUnpublished = r.bootRevision !== null && r.current.bootRevision === null;
  if (wanted || bootUnpublished) return r.notBefore;
  const dueAt = isNews(r.current, account) ? Math.min(r.newsAt, r.nextAt) : r.nextAt;
  return Math.max(dueAt, r.notBefore);
}

/** Changes that somebody waits for; progress inside a walk is told with the next regular renewal. */
function isNews(
  current: RenewalRecord,
  { reports, waits, asks, leaving, actsUnder, clearing }: Account,
): boolean {
  if (
    current.leaving !== leaving ||
    (current.clearing === true && !clearing) ||
    current.actsUnder !== actsUnder ||
    current.groups.length !== reports.length
  )
    return true;
  if (
    waits !== current.waits &&
    Object.entries(waits).some(([group, waitMs]) => current.waits[group] !== waitMs)
  )
    return true;
  const told = (group: GroupId) => current.asks?.[group]?.join();
  if (
    asks !== current.asks &&
    Object.entries(asks ?? {}).some(([group, servers]) => told(group) !== servers.join())
  )
    return true;
  return reports.some((report) => {
    const told = current.groups.find((g) => g.group === report.group);
    return told === undefined || (told !== report && digest(told) !== digest(report));
  });
}

const digests = new WeakMap<GroupReport, string>();

function digest(r: GroupReport): string {
  const known = digests.get(r);
  if (known !== undefined) return known;
  const made = makeDigest(r);
  digests.set(r, made);
  return made;
}

function makeDigest(r: GroupReport): string {
  const resources = Object.entries(r.resources).map(([name, state]) => `${name}=${state}`);
  const drained = (r.drained ?? []).join();
  const rested = r.rested === true ? 'rested' : '';
  return [
    r.epoch.toString(),
    r.state,
    r.says,
    r.wantsRelease,
    r.releaseRefused,
    drained,
    rested,
    ...resources,
  ].join('|');
}

/** Deadline of the attempt under way, or the next due time. */
export function renewalDeadline(
  r: Renewal,
  account: Account,
  pace: RenewalPace,
  wanted: boolean,
): BootMs | null {
  if (r.impostor !== null) return null;
  return r.inFlight === null ? renewAt(r, account, wanted) : r.inFlight.sentAt + pace.attemptMs;
}

export interface Renewed {
  readonly renewal: Renewal;
  /** Null when the answer is only news. */
  readonly proof: Proof | null;
}

export function renewalAnswered(
  r: Renewal,
  attempt: number,
  answer: RenewAnswer,
  pace: RenewalPace,
  now: BootMs,
): Renewed {
  const flight = r.inFlight;
  if (flight?.attempt !== attempt) return { renewal: r, proof: null };
  switch (answer.kind) {
    case 'committed':
      return committed(r, flight, answer.revision, pace, now);
    case 'conflict':
      return conflicted(r, flight, answer.current, answer.revision, pace, now);
    case 'no-answer': {
      const retryAt = Math.max(now, flight.sentAt + Math.round(pace.attemptMs / 2));
      const failed = renewalDraft(r);
      failed.inFlight = null;
      failed.failingSince = r.failingSince ?? flight.sentAt;
      failed.lastFailure = answer.says;
      failed.nextAt = retryAt;
      failed.notBefore = retryAt;
      return { renewal: failed, proof: null };
    }
  }
}

function committed(
  r: Renewal,
  flight: NonNullable<Renewal['inFlight']>,
  revision: Revision,
  pace: RenewalPace,
  now: BootMs,
): Renewed {
  const inTime = now <= flight.sentAt + pace.attemptMs; // R2
  const proof = inTime ? { at: flight.sentAt, waits: flight.record.waits, asks: flight.record.asks } : null;
  const renewal = renewalDraft(r);
  renewal.inFlight = null;
  renewal.current = flight.record;
  renewal.bootRevision = r.bootRevision ?? revision;
  renewal.proof = proof ?? r.proof;
  renewal.failingSince = inTime ? null : (r.failingSince ?? flight.sentAt);
  renewal.nextAt = flight.sentAt + pace.renewMs;
  return { renewal, proof };
}

function conflicted(
  r: Renewal,
  flight: NonNullable<Renewal['inFlight']>,
  current: RenewalRecord | null,
  revision: Revision,
  pace: RenewalPace,
  now: BootMs,
): Renewed {
  if (current !== null && current.incarnation === r.incarnation) {
    // R3: it is this very attempt, by another road; or an earlier one that landed after all.
    if (current.counter === flight.record.counter) return committed(r, flight, revision, pace, now);
    const renewal = renewalDraft(r);
    renewal.inFlight = null;
    renewal.current = current;
    renewal.nextAt = now;
    return { renewal, proof: null };
  }
  if (current !== null && r.current?.incarnation === r.incarnation) {
    const says = `another agent renews as ${r.server} (incarnation ${String(current.incarnation)})`;
    const renewal = renewalDraft(r);
    renewal.inFlight = null;
    renewal.impostor = says;
    return { renewal, proof: null };
  }
  // First contact of this agent: the record of a former one.
  const sameBoot = current !== null && current.bootId === r.bootId;
  const renewal = renewalDraft(r);
  renewal.inFlight = null;
  renewal.current = current;
  renewal.incarnation = Math.max(r.incarnation, (current?.incarnation ?? 0) + 1);
  renewal.bootRevision = sameBoot ? current.bootRevision : r.bootRevision;
  renewal.nextAt = now;
  return { renewal, proof: null };
}
