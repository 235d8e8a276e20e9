/** What a new configuration means for what is here: what is kept as it was, and what has to be stripped first. */

import type { ClusterConfig, GroupConfig } from '../config/types.ts';
import type { GroupId } from '../names.ts';
import { heldEpoch } from './holding.ts';
import type { AgentState } from './state.ts';
import { identityAddresses, spareAddress } from './step.ts';

type Now = Pick<AgentState, 'config' | 'groups' | 'self'>;

/** A group that was removed, or moved away from this server, keeps its configuration until it is released. */
export function withHeld(state: Now, config: ClusterConfig): ClusterConfig {
  const groups = new Map(config.groups);
  for (const [name, old] of state.config?.groups ?? []) {
    const stillHere = groups.get(name)?.servers.includes(state.self) === true;
    if (!stillHere && holds(state, name)) groups.set(name, old);
  }
  return { ...config, groups };
}

function holds({ groups }: Now, name: GroupId): boolean {
  const g = groups.get(name);
  return g !== undefined && heldEpoch(g.holding) !== null;
}

/** Everything that any of these groups may ever have put here, except what is vouched for. */
export function strangersOf(
  state: Now,
  groups: readonly GroupConfig[],
): { readonly addresses: readonly string[]; readonly names: readonly GroupId[] } {
  // I8: what is only observed belongs to somebody else.
  const concerned = groups.filter((g) => g.takeover !== 'observe' && !holds(state, g.name));
  const addresses = concerned.flatMap(({ identity }) => {
    const spare = spareAddress(identity);
    return [...identityAddresses(identity), ...(spare === null ? [] : [spare])];
  });
  return { addresses, names: concerned.map((g) => g.name) };
}
