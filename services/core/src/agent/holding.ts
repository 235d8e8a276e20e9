/**
 * What a server holds of a group, phase by phase; data lives on the phase that owns it.
 *
 *   idle -> acquiring -> active -> releasing -> fenced -> (acquiring at a higher epoch)
 *              any of them -> fencing -> fenced | stuck
 *
 *   H1  acquiring, active and releasing exist only before mayActUntil(entitlement)
 *   H2  an epoch that was fenced here never acts here again
 *   H3  what is under way ends with the configuration with which it began; a newer one waits in `next`
 */

import type { GroupConfig } from '../config/types.ts';
import type { Draft } from '../draft.ts';
import type { BootMs, Epoch, GroupId, MemberId, MirrorId, Revision } from '../names.ts';
import type { Entitlement } from '../node.ts';
import type { GroupRecord, GroupReport, ResourceState, StepRecord } from '../records.ts';
import type { HeldBefore } from './events.ts';
import type { Failures } from './resting.ts';
import { stepName, type TakeoverStep } from '../step.ts';

export type Holding =
  | { readonly kind: 'idle' }
  | Acquiring
  | Active
  | Releasing
  | {
      readonly kind: 'fencing';
      readonly epoch: Epoch;
      readonly reason: string;
      readonly retryAt: BootMs;
      readonly then: Releasing['then'];
    }
  | {
      readonly kind: 'fenced';
      readonly epoch: Epoch;
      /** failed: it could not be acquired, and everything was undone. */
      readonly after: 'fenced' | 'failed';
      readonly says: string;
      readonly done: readonly StepRecord[];
    }
  /** The fence could not be confirmed: nobody may take over until it is, or a person says so. */
  | {
      readonly kind: 'stuck';
      readonly epoch: Epoch;
      readonly says: string;
      readonly retryAt: BootMs;
      readonly then: Releasing['then'];
    };

export interface Active {
  readonly kind: 'active';
  readonly epoch: Epoch;
  /** The steps of the takeover, or of the release that was refused since. */
  readonly done: readonly StepRecord[];
  /** On the way to what a new configuration wants, while all that stays goes on; null: nothing is to be done. */
  readonly change: Change | null;
}

/** A walk whose current step may be tried again. */
export interface Trying extends Walk {
  /** Tries of the current step. */
  readonly tries: number;
  /** It could not be done, somebody answers at the address for one: again then. */
  readonly retryAt: BootMs | null;
  readonly held: string | null;
}

export interface Acquiring extends Trying {
  readonly kind: 'acquiring';
}

export interface Change extends Trying {
  /** It takes away what this configuration does not want any more; null: it brings what is missing. */
  readonly clearsFor: GroupConfig | null;
}

export interface Releasing extends Walk {
  readonly kind: 'releasing';
  readonly reason: string;
  /** What it is when the walk ends. */
  readonly then: 'fenced' | 'failed';
}

/** A list of steps, one at a time. */
export interface Walk {
  readonly epoch: Epoch;
  readonly steps: readonly TakeoverStep[];
  readonly at: number;
  readonly done: readonly StepRecord[];
  /** Number of the step's run; an answer to another run is stale. */
  readonly run: number;
  readonly startedAt: BootMs;
}

export interface ResourceHealth {
  readonly state: ResourceState;
  readonly says: string;
  readonly nextAt: BootMs;
  readonly busy: {
    readonly what: 'monitor' | 'restart';
    readonly run: number;
    readonly since: BootMs;
  } | null;
  /** Boot times of the restarts that still count. */
  readonly restarts: readonly BootMs[];
}

export interface GroupState {
  readonly group: GroupId;
  readonly holding: Holding;
  /** For the epoch of `entitledEpoch` only. */
  readonly entitlement: Entitlement | null;
  readonly entitledEpoch: Epoch | null;
  readonly highestEpoch: Epoch;
  /** The highest epoch of a former life of this agent, from disk, or that the guard fenced: nothing at or below it begins here. */
  readonly formerEpoch: Epoch;
  /** That is not known: the first record that comes with a renewal tells what it was at most. */
  readonly formerLost: boolean;
  readonly seen: GroupRecord | null;
  readonly seenRevision: Revision;
  readonly resources: ReadonlyMap<string, ResourceHealth>;
  /** Addresses that are here for it: from the step that set them to the one that gives them up. */
  readonly held: readonly string[];
  /** Steps that were ordered here so far, so that each run has a number of its own. */
  readonly runs: number;
  /** H3. Null: what is here was begun with the newest configuration. */
  readonly next: GroupConfig | null;
  readonly wantsRelease: string | null;
  /** Why the data of a mirror can't be written here, as long as that is so: a reason to ask for a release, too. */
  readonly dataTrouble: string | null;
  readonly releaseRefused: string | null;
  /** Mirrors that were opened here for writing, and at which epoch; null when none is. */
  readonly opened: { readonly epoch: Epoch; readonly mirrors: readonly MirrorId[] } | null;
  /** Servers to whose copies the last epoch that was held here was drained. */
  readonly drained: readonly MemberId[];
  /** Acquisitions that failed here one after the other. */
  readonly failures: Failures | null;
  /** Servers that others may count on being asked to hold: told by the last proven renewal, or known since. */
  readonly asked: readonly MemberId[];
  /** Rule 11, as the one who asks: the questions whose promises may still come, the newest last. */
  readonly rounds: readonly HoldRound[];
  /** Rule 11, as the one who promised: no takeover is accepted before that. */
  readonly promisedUntil: BootMs | null;
  /** Whom, and for which epoch; null when there is no promise, or more than one, or one of a former life. */
  readonly promisedTo: { readonly member: MemberId; readonly epoch: Epoch } | null;
  /** `replace`: whether the pair's other service address is here. */
  readonly spare: 'here' | 'not-here' | 'unknown';
  /** Announcement: verified from another member, or how often it was asked. */
  readonly sighting: { readonly round: number; readonly tries: number; readonly nextAt: BootMs } | null;
}

export interface HoldRound {
  readonly round: number;
  readonly startedAt: BootMs;
  readonly promised: readonly MemberId[];
}

/** Whether a group was fenced between two states of this server's groups. */
export function newlyFenced(
  before: ReadonlyMap<GroupId, GroupState>,
  after: ReadonlyMap<GroupId, GroupState>,
): boolean {
  if (before === after) return false;
  return [...after.values()].some(
    ({ group, holding }) => holding.kind === 'fenced' && before.get(group)?.holding.kind !== 'fenced',
  );
}

/** Something begins here that another server has just let go of. */
export function newlyBegun(
  before: ReadonlyMap<GroupId, GroupState>,
  after: ReadonlyMap<GroupId, GroupState>,
): boolean {
  if (before === after) return false;
  return [...after.values()].some(
    ({ group, holding, seen }) =>
      holding.kind === 'acquiring' &&
      seen?.ownership.kind === 'owned' &&
      seen.ownership.after !== undefined &&
      before.get(group)?.holding.kind !== 'acquiring',
  );
}

/** `ahead`: an epoch that a former life of this agent had on the disk before it was given to anybody. */
export function newGroupState(group: GroupId, highestEpoch: Epoch, ahead: Epoch = 0n): GroupState {
  return {
    group,
    holding: { kind: 'idle' },
    entitlement: null,
    entitledEpoch: null,
    highestEpoch,
    formerEpoch: ahead > highestEpoch ? ahead : highestEpoch,
    formerLost: false,
    seen: null,
    seenRevision: 0n,
    resources: new Map(),
    held: [],
    runs: 0,
    next: null,
    wantsRelease: null,
    dataTrouble: null,
    releaseRefused: null,
    opened: null,
    drained: [],
    failures: null,
    asked: [],
    rounds: [],
    promisedUntil: null,
    promisedTo: null,
    spare: 'unknown',
    sighting: null,
  };
}

export function groupDraft(g: GroupState): Draft<GroupState> {
  return {
    group: g.group,
    holding: g.holding,
    entitlement: g.entitlement,
    entitledEpoch: g.entitledEpoch,
    highestEpoch: g.highestEpoch,
    formerEpoch: g.formerEpoch,
    formerLost: g.formerLost,
    seen: g.seen,
    seenRevision: g.seenRevision,
    resources: g.resources,
    held: g.held,
    runs: g.runs,
    next: g.next,
    wantsRelease: g.wantsRelease,
    dataTrouble: g.dataTrouble,
    releaseRefused: g.releaseRefused,
    opened: g.opened,
    drained: g.drained,
    failures: g.failures,
    asked: g.asked,
    rounds: g.rounds,
    promisedUntil: g.promisedUntil,
    promisedTo: g.promisedTo,
    spare: g.spare,
    sighting: g.sighting,
  };
}

/** What an earlier agent of this boot held goes on when it was whole; a half-done thing is fenced. */
export function holdingBefore(held: HeldBefore, now: BootMs): Holding {
  const { epoch } = held;
  if (held.state === 'active') return { kind: 'active', epoch, done: [], change: null };
  const reason = 'the agent ended in the middle of a step';
  return { kind: 'fencing', epoch, reason, retryAt: now, then: 'fenced' };
}

/** The epoch for which something may still run here; null when nothing may. */
export function heldEpoch(holding: Holding): Epoch | null {
  switch (holding.kind) {
    case 'acquiring':
    case 'active':
    case 'releasing':
    case 'fencing':
    case 'stuck':
      return holding.epoch;
    case 'idle':
    case 'fenced':
      return null;
  }
}

/** The group's part of the server's renewal record; null when there is nothing to tell. */
export function reportOf(g: GroupState, self: MemberId): GroupReport | null {
  // Asked for after every event, and seldom something new. All that it is made from is compared.
  const known = made.get(g.holding);
  if (known !== undefined && known.self === self && sameStory(known.g, g)) return known.report;
  const report = makeReport(g, self);
  made.set(g.holding, { g, self, report });
  return report;
}

const made = new WeakMap<
  Holding,
  { readonly g: GroupState; readonly self: MemberId; readonly report: GroupReport | null }
>();

const sameStory = (a: GroupState, b: GroupState): boolean =>
  a.group === b.group &&
  a.resources === b.resources &&
  a.wantsRelease === b.wantsRelease &&
  a.dataTrouble === b.dataTrouble &&
  a.releaseRefused === b.releaseRefused &&
  a.drained === b.drained &&
  a.failures === b.failures;

function makeReport(g: GroupState, self: MemberId): GroupReport | null {
  const h = g.holding;
  if (h.kind === 'idle') return null;
  const resources = Object.fromEntries([...g.resources].map(([name, r]) => [name, r.state]));
  const base = {
    group: g.group,
    epoch: h.epoch,
    resources,
    wantsRelease: g.wantsRelease ?? g.dataTrouble,
    releaseRefused: g.releaseRefused,
    ...(g.drained.length === 0 ? {} : { drained: g.drained }),
  };
  switch (h.kind) {
    case 'acquiring':
      return { ...base, state: 'acquiring', says: h.held ?? '', steps: walked(h, self) };
    case 'active':
      return { ...base, state: 'active', says: troubles(g, h), steps: h.done };
    case 'releasing':
      return { ...base, state: 'releasing', says: h.reason, steps: walked(h, self) };
    case 'fencing':
      return { ...base, state: 'releasing', says: h.reason, steps: [] };
    case 'stuck':
      return { ...base, state: 'releasing', says: h.says, steps: [] };
    case 'fenced': {
      const rested = h.after === 'failed' && g.failures?.rested === true;
      return { ...base, state: h.after, says: h.says, steps: h.done, ...(rested ? { rested } : {}) };
    }
  }
}

function troubles(g: GroupState, { change }: Active): string {
  const failed = [...g.resources.values()].find((r) => r.state === 'failed');
  return failed?.says ?? change?.held ?? '';
}

function walked(walk: Walk, self: MemberId): readonly StepRecord[] {
  const current = walk.steps[walk.at];
  if (current === undefined) return walk.done;
  return [...walk.done, { name: stepName(current), server: self, ms: 0, outcome: 'running', says: '' }];
}
