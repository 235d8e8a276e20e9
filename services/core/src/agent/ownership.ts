/**
 * One group on one server: acquire, stay, release, fence. Pure: what is ordered comes back in `actions`.
 *
 *   O1  acquiring starts only when the store's record names us, at an epoch that is higher than any that ended here,
 *       and a renewal of our own entitles us
 *   O2  whatever shows that another epoch rules makes us fence at once
 *   O3  a release is refused only before its point of no return; a stop that fails goes to the guard
 *   O4  an epoch of a former life of this server is declared fenced, so that it gets a new one (boot rule)
 *   O5  the renewal may be older than the record: whoever takes the group away from us again waits for G after it last
 *       saw a renewal of ours change, so what that renewal entitles us to is over by then (docs/adr/0015)
 *   O6  where the record names a former owner that may still be letting go, its own word is waited for: that it is fenced
 *       at that epoch, which stays true for ever (docs/adr/0023)
 *   O7  an epoch that the guard fenced while it was waited for never begins here, and is said to be fenced (docs/adr/0074)
 */

import type { BootMs, Epoch, MemberId, Revision } from '../names.ts';
import { mayActUntil } from '../node.ts';
import type { Former, GroupRecord } from '../records.ts';
import type { TimeRules } from '../time.ts';
import { claimOf, type Vantage } from '../vantage.ts';
import { changeOnTime } from './changing.ts';
import { groupDraft, heldEpoch, type Acquiring, type GroupState } from './holding.ts';
import type { Here, Moved } from './here.ts';
import type { Proof } from './renewal.ts';
import { resting } from './resting.ts';
import { isReleasedAtOnce } from '../step.ts';
import { acquire, declareFenced, runCurrent, startFence, startRelease, stay } from './walk.ts';

/**
 * The group's record as of a revision. `proof` is the renewal that was committed together with this view or, for a
 * hint, the last one before it (O5); null when none was confirmed yet, and then it may stop us and never start us.
 */
export function seeRecord(
  g: GroupState,
  record: GroupRecord,
  revision: Revision,
  proof: Proof | null,
  here: Here,
): Moved {
  const own = record.ownership;
  const mine = own.kind !== 'unowned' && own.owner === here.self;
  if (revision < g.seenRevision) {
    // Overtaken by a later view. The proof stands all the same, if that view still names us at this epoch.
    const later = g.seen?.ownership;
    const still = later !== undefined && later.kind !== 'unowned' && later.owner === here.self;
    const same = still && mine && later.epoch === own.epoch;
    return stay(same && proof !== null ? entitleBy(g, own.epoch, proof, here) : g);
  }
  const seen = groupDraft(g);
  seen.seen = record;
  seen.seenRevision = revision;
  seen.highestEpoch = max(g.highestEpoch, own.epoch);
  if (g.formerLost && proof !== null) {
    // O4: read after this life began, so whatever is higher was given to it.
    seen.formerEpoch = max(g.formerEpoch, own.epoch);
    seen.formerLost = false;
  }
  let next: GroupState = seen;
  if (mine && proof !== null) next = entitleBy(next, own.epoch, proof, here);
  const held = heldEpoch(next.holding);

  if (held === null) {
    const former = ownEndOf(record, here.self);
    if (former !== null && here.stripped && !isFencedAt(next, former))
      return stay(declareFenced(next, former, 'nothing of it runs here'));
    const dead = next.holding.kind === 'fenced' && next.holding.epoch >= own.epoch;
    if (!mine || dead) return stay(next);
    // O4: asked to give up what never began here, or what a former life of this server had.
    if (own.kind === 'releasing') return stay(declareFenced(next, own.epoch, 'nothing of it runs here'));
    if (own.epoch <= next.formerEpoch)
      return stay(declareFenced(next, own.epoch, 'this server started anew'));
    return stay(next);
  }
  if (!mine || own.epoch !== held) {
    // It is tried again when it is due, and not with each news of the group.
    if (next.holding.kind === 'stuck') return stay(next);
    // O6: whoever is named after us waits for our word.
    const asked = ownEndOf(record, here.self) === held;
    if (asked && next.holding.kind === 'releasing') return stay(next);
    if (asked && next.holding.kind === 'active' && isReleasedAtOnce(here.config))
      return startRelease(next, record.reason, here);
    return startFence(next, lostReason(record, here.self), here);
  }
  switch (next.holding.kind) {
    case 'acquiring':
    case 'active':
      if (own.kind !== 'releasing' || next.releaseRefused !== null) {
        return stay(
          own.kind === 'owned' && next.releaseRefused !== null ? { ...next, releaseRefused: null } : next,
        );
      }
      return startRelease(next, record.reason, here);
    case 'releasing':
      return own.kind === 'owned' && next.holding.then === 'fenced'
        ? acquire(next, own.epoch, here)
        : stay(next);
    case 'fencing':
    case 'stuck':
    case 'idle':
    case 'fenced':
      return stay(next);
  }
}

/** The epoch of this server that others wait to see the end of; null when they don't. */
export function ownEndOf({ ownership }: GroupRecord, self: MemberId): Epoch | null {
  return ownership.kind === 'owned' && ownership.after?.server === self ? ownership.after.epoch : null;
}

export const isFencedAt = ({ holding }: GroupState, epoch: Epoch): boolean =>
  holding.kind === 'fenced' && holding.epoch >= epoch;

function lostReason(record: GroupRecord, self: MemberId): string {
  const own = record.ownership;
  const who = own.kind === 'unowned' ? 'nobody' : own.owner === self ? 'this server' : own.owner;
  return `${who} owns ${record.group} at epoch ${own.epoch.toString()}`;
}

/** The store gave us the group, as far as a hint can tell, and only a renewal of our own is missing to begin. */
export function waitsForProof(g: GroupState, here: Pick<Here, 'self'>): boolean {
  const own = g.seen?.ownership;
  if (own === undefined || own.kind !== 'owned' || own.owner !== here.self || g.entitledEpoch === own.epoch)
    return false;
  return g.holding.kind === 'idle' || (g.holding.kind === 'fenced' && g.holding.epoch < own.epoch);
}

/** O7. Null: something is held, so it is the end of that or of nothing. */
export function fencedUnbegun(g: GroupState, epoch: Epoch, { self }: Here): Moved | null {
  if (heldEpoch(g.holding) !== null) return null;
  const over = { ...g, formerEpoch: max(g.formerEpoch, epoch) };
  const own = g.seen?.ownership;
  const named = own?.kind === 'owned' && own.owner === self && own.epoch === epoch;
  if (!named || isFencedAt(g, epoch)) return stay(over);
  return stay(declareFenced(over, epoch, 'the guard fenced it before it began'));
}

/** The epoch that begins here as soon as its former owner has let go (O6); null when none is waited for. */
export function awaitedEpoch({ seen, holding, entitledEpoch }: GroupState, self: MemberId): Epoch | null {
  const own = seen?.ownership;
  if (own?.kind !== 'owned' || own.owner !== self || own.after === undefined) return null;
  if (heldEpoch(holding) !== null || (holding.kind === 'fenced' && own.epoch <= holding.epoch)) return null;
  return entitledEpoch === own.epoch ? own.epoch : null;
}

/**
 * A later proof for the same epoch extends the entitlement; one for a new epoch starts it. It never gets longer rules
 * than those whose G the others know.
 */
export function entitle(g: GroupState, epoch: Epoch, provenAt: BootMs, rules: TimeRules): GroupState {
  const before = g.entitledEpoch === epoch ? g.entitlement : null;
  if (before !== null && before.provenAt >= provenAt) return g;
  const longer = groupDraft(g);
  longer.entitledEpoch = epoch;
  longer.entitlement = { provenAt, rules };
  return longer;
}

/** By a renewal: with the newest rules, if it told their G; with those that the last one told, if it did not. */
function entitleBy(g: GroupState, epoch: Epoch, proof: Proof, here: Here): GroupState {
  const told = proof.waits[g.group] ?? 0;
  const known = [here.config.rules, g.entitledEpoch === epoch ? g.entitlement?.rules : undefined];
  const rules = known.find((r) => r !== undefined && r.waitMs <= told);
  return rules === undefined ? g : entitle(g, epoch, proof.at, rules);
}

/** Starts to acquire when everything that it takes is there (O1). Called after every event. */
export function acquireWhenEntitled(g: GroupState, vantage: Vantage, here: Here): Moved {
  const own = g.seen?.ownership;
  if (own === undefined || own.kind !== 'owned' || own.owner !== here.self) return stay(g);
  if (g.holding.kind !== 'idle' && g.holding.kind !== 'fenced') return stay(g);
  if (g.holding.kind === 'fenced' && own.epoch <= g.holding.epoch) return stay(g);
  if (g.formerLost || own.epoch <= g.formerEpoch) return stay(g); // O4
  if (g.entitledEpoch !== own.epoch || !entitled(g, here)) return stay(g);
  if (!here.stripped || here.leaving) return stay(g);
  if (own.after !== undefined && !hasLetGo(own.after, g, vantage, here.self)) return stay(g);
  if (promiseBinds(g, vantage, here.now)) return stay(g);
  return acquire(g, own.epoch, here);
}

/** O6. Here, nothing can be acquired while anything is held. */
function hasLetGo(former: Former, { group }: GroupState, vantage: Vantage, self: MemberId): boolean {
  if (former.server === self) return true;
  const claim = claimOf(vantage, former.server, group);
  return claim?.epoch === former.epoch && (claim.state === 'fenced' || claim.state === 'failed');
}

/** Whether a promise still keeps us from a takeover. P4 (promises.ts). */
function promiseBinds(g: GroupState, vantage: Vantage, now: BootMs): boolean {
  if (g.promisedUntil === null || now >= g.promisedUntil) return false;
  if (g.promisedTo === null) return true;
  const claim = claimOf(vantage, g.promisedTo.member, g.group);
  return !(claim?.epoch === g.promisedTo.epoch && (claim.state === 'fenced' || claim.state === 'failed'));
}

function entitled(g: GroupState, here: Here): boolean {
  return g.entitlement !== null && here.now < mayActUntil(g.entitlement);
}

/** Deadlines of this group: the fence, the retries. */
export function onTime(g: GroupState, here: Here): Moved {
  const h = g.holding;
  switch (h.kind) {
    case 'acquiring':
    case 'active':
    case 'releasing':
      if (!entitled(g, here)) {
        return startFence(g, 'no renewal was confirmed in time', here);
      }
      if (h.kind === 'acquiring' && h.retryAt !== null && here.now >= h.retryAt) {
        const again: Acquiring = { ...h, retryAt: null };
        return runCurrent({ ...g, holding: again }, again, here);
      }
      return h.kind === 'active' ? changeOnTime(g, h, here) : stay(g);
    case 'fencing':
    case 'stuck':
      if (here.now < h.retryAt) return stay(g);
      return startFence(
        { ...g, holding: { kind: 'stuck', epoch: h.epoch, says: '', retryAt: 0, then: h.then } },
        h.kind === 'stuck' ? h.says : h.reason,
        here,
      );
    case 'idle':
    case 'fenced': {
      const failures = resting(g.failures, here.now);
      const rested = failures === g.failures ? g : { ...g, failures };
      return rested.promisedUntil !== null && here.now >= rested.promisedUntil
        ? stay({ ...rested, promisedUntil: null, promisedTo: null })
        : stay(rested);
    }
  }
}

export function nextDeadline(g: GroupState): BootMs | null {
  const times: BootMs[] = [];
  const h = g.holding;
  if (h.kind === 'acquiring' || h.kind === 'active' || h.kind === 'releasing') {
    if (g.entitlement !== null) times.push(mayActUntil(g.entitlement));
  }
  if (h.kind === 'acquiring' && h.retryAt !== null) times.push(h.retryAt);
  if (h.kind === 'active' && h.change?.retryAt != null) times.push(h.change.retryAt);
  if (h.kind === 'fencing' || h.kind === 'stuck') times.push(h.retryAt);
  if ((h.kind === 'idle' || h.kind === 'fenced') && g.promisedUntil !== null) times.push(g.promisedUntil);
  if (h.kind === 'fenced' && g.failures?.rested === false) times.push(g.failures.restsUntil);
  return times.length === 0 ? null : Math.min(...times);
}

function max(a: Epoch, b: Epoch): Epoch {
  return a > b ? a : b;
}
