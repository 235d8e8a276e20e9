/**
 * What a standby does ahead of time, so that a takeover need not wait for it. None of it is visible outside.
 *
 *   - in the last seconds of an owner's silence it asks who answers at the group's addresses: the probe step then
 *     finds a fresh answer
 *   - while the owner releases to it, it looks where the addresses belong and what it has to announce them with
 *   - it puts the epoch on disk that it would get: in those same seconds, while the owner releases to it, and when the
 *     store gave it the group and its own renewal is still on the way. One that it then does not get is forgotten, and
 *     was never seen: this server goes on to promise to whoever owns the group (memory.ts, M3)
 */

import {
  heartbeatMsOf,
  heldEpoch,
  identityAddresses,
  lastHeard,
  waitsForProof,
  type AgentState,
  type BootMs,
  type Epoch,
  type GroupId,
  type GroupState,
  type MemberId,
} from '@holdfast/core';
import type { Memory } from './memory.ts';
import type { ServiceAddresses } from './service-addresses.ts';

/** How long before the end of the outage the first question is asked, at least. */
const aheadMs = 1_500;
const everyMs = 500;

export class HeadStart {
  readonly #addresses: ServiceAddresses;
  readonly #memory: Memory;
  readonly #probedAt = new Map<GroupId, BootMs>();
  readonly #remembered = new Map<GroupId, Epoch>();
  readonly #lookedAt = new Map<GroupId, BootMs>();

  constructor(addresses: ServiceAddresses, memory: Memory) {
    this.#addresses = addresses;
    this.#memory = memory;
  }

  /** After each event; `now` is its time. */
  look(state: AgentState, now: BootMs): void {
    for (const group of state.groups.values()) {
      const fails = isAboutToFail(state, group, now);
      this.#remember(state, group, fails);
      if (isReleasedTo(state.self, group) || isHandedTo(state.self, group))
        this.#lookAhead(state, group.group, now);
      if (fails) this.#probe(state, group.group, now);
    }
  }

  #remember(state: AgentState, group: GroupState, fails: boolean): void {
    const own = group.seen?.ownership;
    if (own === undefined) return;
    const isGiven = waitsForProof(group, state) || isHandedTo(state.self, group);
    // The step that needs it on disk asks for it again, and says what went wrong.
    if (isGiven) this.#rememberGiven(group.group, own.epoch);
    else if (isReleasedTo(state.self, group) || fails)
      this.#memory.rememberAhead(group.group, own.epoch + 1n);
    else if (own.kind === 'unowned' || (own.owner !== state.self && heldEpoch(group.holding) === null))
      this.#memory.forgetAhead(group.group);
  }

  #rememberGiven(group: GroupId, epoch: Epoch): void {
    if (epoch <= (this.#remembered.get(group) ?? -1n)) return;
    this.#remembered.set(group, epoch);
    void this.#memory.remember(group, epoch, 'acquiring');
  }

  #lookAhead(state: AgentState, group: GroupId, now: BootMs): void {
    if (!isDue(this.#lookedAt, group, now)) return;
    const config = state.config?.groups.get(group);
    if (config === undefined) return;
    void this.#addresses.lookAhead(identityAddresses(config.identity), config);
  }

  #probe(state: AgentState, group: GroupId, now: BootMs): void {
    if (!isDue(this.#probedAt, group, now)) return;
    const config = state.config?.groups.get(group);
    if (config === undefined) return;
    void this.#addresses.probeAhead(identityAddresses(config.identity), config);
  }
}

function isDue(doneAt: Map<GroupId, BootMs>, group: GroupId, now: BootMs): boolean {
  if (now - (doneAt.get(group) ?? -Infinity) < everyMs) return false;
  doneAt.set(group, now);
  return true;
}

function isAboutToFail(state: AgentState, { group, seen }: GroupState, now: BootMs): boolean {
  const own = seen?.ownership;
  const rules = state.config?.groups.get(group)?.rules;
  if (own === undefined || rules === undefined || own.kind === 'unowned' || own.owner === state.self)
    return false;
  const beatMs = heartbeatMsOf(state.config);
  const silentMs = now - lastHeard(state.vantage, own.owner, beatMs, now);
  return silentMs >= rules.outageMs - Math.max(aheadMs, 3 * beatMs) && silentMs < 2 * rules.outageMs;
}

const isReleasedTo = (self: MemberId, { seen }: GroupState): boolean =>
  seen?.ownership.kind === 'releasing' && seen.ownership.to === self;

/** Ours, as soon as the former owner has let go. */
const isHandedTo = (self: MemberId, { seen, holding }: GroupState): boolean =>
  seen?.ownership.kind === 'owned' &&
  seen.ownership.owner === self &&
  seen.ownership.after !== undefined &&
  (holding.kind === 'idle' || holding.kind === 'fenced');
