/** Changes of ownership and holding, for the journal: what an audit needs to know of each group, and nothing else. */

import { heldEpoch, type AgentState, type GroupId, type Ownership, type Revision } from '@holdfast/core';
import type { Journal, JournalFields } from '@holdfast/wire/journal';

export function journalMoves(
  journal: Journal,
  before: AgentState,
  after: AgentState,
  reason: string | null,
): void {
  if (before.groups === after.groups) return;
  for (const [group, now] of after.groups) {
    const was = before.groups.get(group);
    if (was === now) continue;
    const from = was?.holding.kind ?? 'idle';
    const epoch = heldEpoch(now.holding) ?? ('epoch' in now.holding ? now.holding.epoch : null);
    const wasEpoch = was !== undefined && 'epoch' in was.holding ? was.holding.epoch : null;
    if (from !== now.holding.kind || epoch !== wasEpoch)
      journal.write('holding', { group, from, to: now.holding.kind, epoch, reason });
    const seen = now.seen?.ownership;
    if (seen !== undefined && !sameOwner(was?.seen?.ownership, seen))
      journal.write('ownership', describe(group, seen, now.seenRevision));
  }
}

/** `kind` is the journal's own word. */
function describe(group: GroupId, { kind, ...rest }: Ownership, revision: Revision): JournalFields {
  return { group, ownership: kind, ...rest, revision };
}

function sameOwner(a: Ownership | undefined, b: Ownership): boolean {
  return a?.kind === b.kind && a.epoch === b.epoch;
}
