/**
 * The records of groups that are none of this server's: followed for copies of their mirrors, and answered where somebody waits
 * for the end of what this server had. A group may have been removed, or have moved away, while it was off (docs/adr/0062).
 */

import type { MemberId, Revision } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import { groupDraft, heldEpoch, type GroupState } from './holding.ts';
import { isFencedAt, ownEndOf } from './ownership.ts';
import { follow, type AgentState } from './state.ts';
import { declareFenced } from './walk.ts';

export function seeForeign(
  state: AgentState,
  g: GroupState,
  record: GroupRecord,
  revision: Revision,
): Partial<AgentState> {
  const told = state.stripped ? tellEnd(g, record, revision, state.self) : null;
  if (told !== null) return { groups: new Map(state.groups).set(g.group, groupDraft(told)) };
  return state.groups.has(g.group) ? {} : follow(state, record, revision);
}

/** Null: nobody waits, or it was told, or it is not over. */
function tellEnd(g: GroupState, record: GroupRecord, revision: Revision, self: MemberId): GroupState | null {
  const own = record.ownership;
  const isAsked = own.kind === 'releasing' && own.owner === self;
  const awaited = isAsked ? own.epoch : ownEndOf(record, self);
  if (awaited === null || revision < g.seenRevision) return null;
  if (heldEpoch(g.holding) !== null || isFencedAt(g, awaited)) return null;
  const highestEpoch = g.highestEpoch > own.epoch ? g.highestEpoch : own.epoch;
  const seen = { ...g, seen: record, seenRevision: revision, highestEpoch };
  return declareFenced(seen, awaited, 'nothing of it runs here');
}
