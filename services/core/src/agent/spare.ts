/**
 * `replace`: the pair has two service addresses. The owner has the identity's; the other server may have the spare
 * one, so that both stay reachable for management. It is taken only after the owner was active, which is after it gave the
 * spare up.
 *
 *   E1  the owner says so, or the record does: whoever took the group over at this epoch and was active then, has the spare
 *       no more. So a server that comes back alone is reachable while it waits for an owner that nobody hears
 */

import type { BootMs } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import { claimOf, type Vantage } from '../vantage.ts';
import { heldEpoch, type GroupState } from './holding.ts';
import type { Here, Moved } from './here.ts';
import { spareAddress } from '../step.ts';

/** The spare is looked after this often: setting it is idempotent, and somebody may have been in the way. */
export const spareEveryMs = 5_000;

export function keepSpare(g: GroupState, vantage: Vantage, here: Here, dueAt: BootMs): Moved {
  const address = spareAddress(here.config.identity);
  if (address === null || !here.stripped || here.config.takeover === 'observe')
    return { group: g, actions: [] };
  const wanted = spareBelongsHere(g, vantage, here);
  if (!wanted) return { group: g, actions: [] };
  if (g.spare === 'here' && here.now < dueAt) return { group: g, actions: [] };
  return { group: { ...g, spare: 'here' }, actions: [{ kind: 'keep-spare', group: g.group, address }] };
}

function spareBelongsHere(g: GroupState, vantage: Vantage, here: Here): boolean {
  if (heldEpoch(g.holding) !== null || here.leaving) return false;
  // A member that was a server of the group once has no part in the pair.
  if (!here.config.servers.includes(here.self)) return false;
  const own = g.seen?.ownership;
  if (own === undefined) return false;
  if (own.kind === 'unowned') {
    // The last owner had the identity and not the spare. The other one keeps it if it has it, and nobody takes it.
    if (own.lastOwner === null) return here.config.servers[1] === here.self;
    return own.lastOwner !== here.self && g.spare === 'here';
  }
  if (own.owner === here.self) return false;
  const claim = claimOf(vantage, own.owner, g.group);
  if (claim === null) return wasActive(g.seen);
  return claim.epoch === own.epoch && claim.state === 'active';
}

/** E1. */
function wasActive(record: GroupRecord | null): boolean {
  if (record === null) return false;
  const { ownership: own, operation, data } = record;
  if (own.kind !== 'owned' || own.after !== undefined || operation !== null) return false;
  return data?.server === own.owner && data.epoch === own.epoch;
}
