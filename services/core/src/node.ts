/**
 * Start here. The two questions that everything else serves:
 *
 *   When is a server taken over from?
 *     - it is down: downAt, below; serverDownAt (quorum/scene.ts) asks it for the leader's judge (quorum/judge.ts, J1)
 *     - at its own word: that its epoch is fenced (saysFenced), or that it never began (neverBegan), both in quorum/scene.ts
 *     One that is heard and well, and whose service network is dead or whose service fails, releases first (quorum/trouble.ts).
 *   Why do two servers never own one address?
 *     - mayActUntil, below: every owner stops there (agent/ownership.ts), the guard and the kernel by goneBy (agent/arming.ts)
 *
 * They meet in one inequality. Let `s` be the owner's boot time just before it sent a renewal that was later
 * confirmed committed.
 *
 *   owner:   acts only until s + F, is completely stopped by s + F + S          (its own clock)
 *   others:  change nothing until G after they last saw that renewal change     (their own clock)
 *   rules:   (F + S)(1 + rho) < G(1 - rho)                                      (time.ts refuses anything else)
 *
 * A change can be seen only after it was committed, and it was committed after `s`. So G ends later than F + S,
 * however the two clocks drift within rho, and whatever the network does in between.
 *
 * The change of owner itself is one transaction. It compares the leader, the group's record, and the very renewal
 * that was judged stale. A renewal that slips in first makes the compare fail; one that comes later is answered
 * with the new owner and is of no use to the old one. The new owner acts because the store's record names it and
 * while a renewal of its own entitles it (docs/adr/0015), and never because somebody told it to.
 *
 * Two layers do not need this program to be alive: the kernel drops every address at the end of its lifetime, and
 * the guard process stops the rest (docs/guarantees.md).
 *
 * The parts, in reading order:
 *   time.ts           F, S, G and the others, derived from the outage
 *   vantage.ts        who is heard, by whom, on which path
 *   agent/agent.ts    the loop of a server: renew, hold, acquire, release, fence; agent/ownership.ts is one group of it
 *   agent/promises.ts what an owner lives on that reaches no quorum service
 *   quorum/quorum.ts  the loop of a quorum service: commit renewals, lead, change owners; quorum/judge.ts decides
 *
 * Both loops are pure: (state, event, now) => { state, actions, wakeAt, reason }. The quorum's is given wall time as well, for
 * what people read and for failback windows.
 */

import type { BootMs } from './names.ts';
import type { TimeRules } from './time.ts';

/** What a pure loop returns. The shell carries out the actions and arms one timer for `wakeAt`. */
export interface Step<State, Action> {
  readonly state: State;
  readonly actions: readonly Action[];
  /** The exact next deadline on the boot clock; null when only an event can change anything. */
  readonly wakeAt: BootMs | null;
  /** One sentence for a person about the latest decision; null when nothing was decided. */
  readonly reason: string | null;
}

/** What is known of a silent server, all on the clock of the one who asks. */
export interface Silence {
  /** When any vantage last heard it on any path. */
  readonly heardAt: BootMs;
  /** When its renewal was last seen to change; null when there is none. */
  readonly renewalChangedAt: BootMs | null;
}

/**
 * The moment from which the server is down, if it stays silent: no vantage heard it for the whole outage, and its
 * renewal did not change for G. Both, because a server may renew and not be heard, or be heard and not renew.
 */
export function downAt(silence: Silence, rules: Pick<TimeRules, 'outageMs' | 'waitMs'>): BootMs {
  const silent = silence.heardAt + rules.outageMs;
  const unrenewed = silence.renewalChangedAt === null ? -Infinity : silence.renewalChangedAt + rules.waitMs;
  return Math.max(silent, unrenewed);
}

/** What entitles a server to act for a group: its last proof of life for it, on its own clock. */
export interface Entitlement {
  /** `s` of the last renewal that was confirmed committed while the group was ours; or of a full set of promises. */
  readonly provenAt: BootMs;
  /** The rules that others were told with that proof, so that they wait long enough. Not always the newest. */
  readonly rules: TimeRules;
}

/** The owner may act strictly before this moment; from then on it fences. */
export function mayActUntil(entitlement: Entitlement): BootMs {
  return entitlement.provenAt + entitlement.rules.fenceMs;
}

/** By this moment nothing of the owner may be left: the kernel and the guard see to it. */
export function goneBy(entitlement: Entitlement): BootMs {
  return mayActUntil(entitlement) + entitlement.rules.stopMs;
}
