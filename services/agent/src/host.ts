/** This member, as the adapters that carry out actions see it. */

import {
  heldEpoch,
  type AgentEvent,
  type AgentState,
  type BootMs,
  type Epoch,
  type GroupConfig,
  type GroupId,
  type MemberId,
} from '@holdfast/core';
import type { Journal } from '@holdfast/wire/journal';
import type { Log } from '@holdfast/wire/log';
import type { Platform } from './platform/platform.ts';

export interface Host {
  readonly self: MemberId;
  readonly platform: Platform;
  readonly journal: Journal;
  readonly log: Log;
  bootMs(): BootMs;
  /** What the loop knows now. */
  state(): AgentState;
  dispatch(event: AgentEvent): void;
  /** For people: journal, log, and the cluster's history. */
  note(group: GroupId | null, what: string, reason: string): void;
}

export function groupConfig(state: AgentState, group: GroupId): GroupConfig | null {
  return state.config?.groups.get(group) ?? null;
}

/** Which of these addresses the loop still wants here for this group at this epoch. */
export function stillHeld(
  state: AgentState,
  group: GroupId,
  epoch: Epoch,
  addresses: readonly string[],
): readonly string[] {
  const g = state.groups.get(group);
  if (g === undefined || heldEpoch(g.holding) !== epoch) return [];
  return addresses.filter((address) => g.held.includes(address));
}

/** Whether the loop still wants something to run for this group at this epoch. */
export function holdsNow(state: AgentState, group: GroupId, epoch: Epoch): boolean {
  const holding = state.groups.get(group)?.holding;
  if (holding === undefined) return false;
  switch (holding.kind) {
    case 'acquiring':
    case 'active':
    case 'releasing':
      return holding.epoch === epoch;
    case 'idle':
    case 'fencing':
    case 'fenced':
    case 'stuck':
      return false;
  }
}
