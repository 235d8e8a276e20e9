/**
 * What a standby does ahead of time, so that a takeover need not wait for it. None of it is visible outside.
 *
 *   - in the last seconds of an owner's silence it asks who answers at the group's addresses: the probe step then
 *     finds a fresh answer
 *   - when the store gave it a group, it puts the epoch on disk while its own renewal is still on the way
 */

import {
  heartbeatMsOf,
  identityAddresses,
  lastHeard,
  waitsForProof,
  type AgentState,
  type BootMs,
  type Epoch,
  type GroupId,
  type GroupState,
} from '@holdfast/core';
import type { Host } from './host.ts';
import type { Memory } from './memory.ts';
import type { ServiceAddresses } from './service-addresses.ts';

/** How long before the end of the outage the first question is asked, at least. */
const aheadMs = 1_500;
const probeEveryMs = 500;

export class HeadStart {
  readonly #host: Host;
  readonly #addresses: ServiceAddresses;
  readonly #memory: Memory;
  readonly #probedAt = new Map<GroupId, BootMs>();
  readonly #remembered = new Map<GroupId, Epoch>();

  constructor(host: Host, addresses: ServiceAddresses, memory: Memory) {
    this.#host = host;
    this.#addresses = addresses;
    this.#memory = memory;
  }

  /** After each event. */
  look(state: AgentState): void {
    for (const group of state.groups.values()) {
      this.#remember(state, group);
      if (this.#isAboutToFail(state, group)) this.#probe(state, group.group);
    }
  }

  #remember(state: AgentState, group: GroupState): void {
    const epoch = group.seen?.ownership.epoch;
    if (epoch === undefined || !waitsForProof(group, state)) return;
    if (this.#remembered.get(group.group) === epoch) return;
    this.#remembered.set(group.group, epoch);
    // The step that needs it on disk asks for it again, and says what went wrong.
    void this.#memory.remember(group.group, epoch, 'acquiring');
  }

  #isAboutToFail(state: AgentState, group: GroupState): boolean {
    const own = group.seen?.ownership;
    const rules = state.config?.groups.get(group.group)?.rules;
    if (own === undefined || rules === undefined || own.kind === 'unowned' || own.owner === state.self)
      return false;
    const now = this.#host.bootMs();
    const beatMs = heartbeatMsOf(state.config);
    const silentMs = now - lastHeard(state.vantage, own.owner, beatMs, now);
    return silentMs >= rules.outageMs - Math.max(aheadMs, 3 * beatMs) && silentMs < 2 * rules.outageMs;
  }

  #probe(state: AgentState, group: GroupId): void {
    const now = this.#host.bootMs();
    if (now - (this.#probedAt.get(group) ?? -Infinity) < probeEveryMs) return;
    this.#probedAt.set(group, now);
    const config = state.config?.groups.get(group);
    if (config === undefined) return;
    void this.#addresses.probeAhead(identityAddresses(config.identity), config);
  }
}
