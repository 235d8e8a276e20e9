/**
 * `replace`: the pair has two service addresses. The owner has the identity's; the other server may have the spare
 * one, so that both stay reachable for management. It is taken only after the owner said that it is active, which is
 * after it gave the spare up.
 */

import type { BootMs } from '../names.ts';
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
  return claim !== null && claim.epoch === own.epoch && claim.state === 'active';
}
