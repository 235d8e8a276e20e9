/** What a new configuration means for what is here: what is kept as it was, what has to be stripped first, what is given back. */

import { claimsOf, type Claim } from '../config/claims.ts';
import type { ClusterConfig, GroupConfig, LeavingGroup } from '../config/types.ts';
import type { BootMs, GroupId, MemberId, Revision } from '../names.ts';
import type { AgentAction, AgentEvent, HeldBefore, Spared } from './events.ts';
import { groupDraft, heldEpoch, holdingBefore, newGroupState, type GroupState } from './holding.ts';
import { openNow } from './mirroring.ts';
import { resumeMonitoring } from './resources.ts';
import type { AgentState, OwnAddress } from './state.ts';
import { identityAddresses, spareAddress } from '../step.ts';

/** Asked for this often, at the pace of the spare address: somebody may have been in the way. */
const ownTriesMax = 6;

/** What an earlier agent of this boot held, and the guard vouches for, goes on (A1, agent.ts). */
export function begun(
  { groups: before }: Pick<AgentState, 'groups'>,
  { epochs, ahead, lost, held, promises }: Extract<AgentEvent, { kind: 'started' }>,
  now: BootMs,
): Partial<AgentState> {
  const groups = new Map(before);
  const stateOf = (name: GroupId): GroupState =>
    groups.get(name) ?? newGroupState(name, epochs.get(name) ?? 0n, ahead.get(name));
  for (const { group, until } of promises)
    groups.set(group, groupDraft({ ...stateOf(group), promisedUntil: until }));
  for (const h of held)
    groups.set(h.group, groupDraft({ ...stateOf(h.group), holding: holdingBefore(h, now) }));
  return { started: true, epochs, ahead, forgot: lost === true, vouched: held, groups };
}

type Now = Pick<AgentState, 'config' | 'groups' | 'self'>;

/** What holds here from now on, and what of it only until it is released. */
export function configured(
  state: Now,
  newest: ClusterConfig,
  configRevision: Revision,
): Pick<AgentState, 'config' | 'kept' | 'configRevision'> {
  const { config, kept } = withHeld(state, newest);
  return { config: inForce(state, config), kept, configRevision };
}

/** A group that was removed, or moved away from this server, keeps its configuration until it is released. */
function withHeld(
  state: Now,
  config: ClusterConfig,
): { readonly config: ClusterConfig; readonly kept: readonly GroupId[] } {
  const groups = new Map(config.groups);
  const kept: GroupId[] = [];
  for (const [name, old] of state.config?.groups ?? leftHere(state, config)) {
    const stillHere = config.groups.get(name)?.servers.includes(state.self) === true;
    if (stillHere || !holds(state, name)) continue;
    groups.set(name, old);
    kept.push(name);
  }
  return { config: { ...config, groups }, kept };
}

/** As the groups that left this server were last: a former life of this agent may have had them. */
function leftHere({ self }: Now, { leaving }: ClusterConfig): ReadonlyMap<GroupId, GroupConfig> {
  const here = leaving.filter(({ group }) => group.servers.includes(self));
  return new Map(here.map(({ group }) => [group.name, group]));
}

/** The newest configuration that everything here agrees with: nothing that it took away is here any more. */
export function actsUnder(
  state: Pick<AgentState, 'groups' | 'stripped' | 'kept' | 'configRevision' | 'actsUnder'>,
): Revision {
  if (state.actsUnder === state.configRevision || !state.stripped) return state.actsUnder;
  const waits = [...state.groups.values()].some(
    (g) => g.next !== null || (state.kept.includes(g.group) && heldEpoch(g.holding) !== null),
  );
  return waits ? state.actsUnder : state.configRevision;
}

/**
 * What is under way, or runs, was begun with the configuration before: in that, it stays in force until the new one is
 * adopted (H3 of holding.ts). Who serves, by which rules, and what people want holds at once.
 */
function inForce({ config, groups, self }: Now, newest: ClusterConfig): ClusterConfig {
  const mixed = [...newest.groups].map(([name, group]): readonly [GroupId, GroupConfig] => {
    const ours = groups.has(name) && group.servers.includes(self);
    const before = ours ? config?.groups.get(name) : undefined;
    if (before === undefined) return [name, group];
    const { identity, resources, hooks, mirrors } = before;
    return [name, { ...group, identity, resources, hooks, mirrors }];
  });
  return { ...newest, groups: new Map(mixed) };
}

/** What is kept only until it is released (`withHeld`) is not changed any more. */
export function informed(
  g: GroupState,
  { name, servers }: GroupConfig,
  before: ClusterConfig | null,
  newest: ClusterConfig,
  self: MemberId,
): GroupState {
  const wanted = newest.groups.get(name);
  const changes = before?.groups.has(name) === true && wanted?.servers.includes(self) === true;
  return { ...g, next: changes ? wanted : null, asked: [...new Set([...g.asked, ...servers])] };
}

export function withGroup(config: ClusterConfig | null, group: GroupConfig): ClusterConfig | null {
  return config === null ? null : { ...config, groups: new Map(config.groups).set(group.name, group) };
}

function holds({ groups }: Now, name: GroupId): boolean {
  const g = groups.get(name);
  return g !== undefined && heldEpoch(g.holding) !== null;
}

/** Orders it gone. `leaving`: a former life of this agent may have had it. */
export function strip(
  state: Now & Pick<AgentState, 'stripped' | 'stripping'>,
  groups: readonly GroupConfig[],
  leaving: readonly LeavingGroup[],
): {
  readonly state: Partial<Pick<AgentState, 'stripped' | 'stripping'>>;
  readonly actions: readonly AgentAction[];
} {
  const { addresses, names } = strangersOf(state, groups, leaving);
  const spared = heldThings(state);
  if (names.length === 0 && state.stripped) return { state: {}, actions: [] };
  // A1 (agent.ts) holds for addresses that a new configuration names, too: nothing begins before they are gone.
  return {
    state: { stripped: false, stripping: state.stripping + 1 },
    actions: [{ kind: 'strip', addresses, groups: names, spared }],
  };
}

/** Everything that any of these groups may ever have put here, except what is here rightly. */
function strangersOf(
  state: Now,
  groups: readonly GroupConfig[],
  leaving: readonly LeavingGroup[],
): { readonly addresses: readonly string[]; readonly names: readonly GroupId[] } {
  // I8: what is only observed belongs to somebody else.
  const concerned = groups.filter((g) => g.takeover !== 'observe' && !holds(state, g.name));
  const left = leaving
    .map(({ group }) => group)
    .filter(({ name }) => state.config?.groups.get(name)?.takeover !== 'observe');
  const addresses = [...concerned, ...left].flatMap(({ identity }) => {
    const spare = spareAddress(identity);
    return [...identityAddresses(identity), ...(spare === null ? [] : [spare])];
  });
  // One that goes from group to group is here rightly until the group that had it lets go.
  const held = new Set([...state.groups.values()].flatMap((g) => heldHere(state, g)));
  return {
    addresses: addresses.filter((address) => !held.has(address)),
    names: concerned.map((g) => g.name),
  };
}

/** One that goes from group to group, as with a group's new name, is here rightly until the group that had it lets go. */
function heldThings({ config, groups, self }: Now): Spared {
  const held = [...groups.values()].filter(({ holding }) => heldEpoch(holding) !== null);
  const claims = held.flatMap(({ group }) => {
    const known = config?.groups.get(group);
    return known === undefined ? [] : claimsOf(known);
  });
  const here = claims.filter(({ on }) => on === null || on === self);
  const all = (kind: Claim['kind']) => here.flatMap((claim) => (claim.kind === kind ? [claim.what] : []));
  return { hostnames: all('host name'), folders: all('mount point') };
}

/**
 * The own address of this server that a group had and, by the new configuration, no group has any more. A new life strips what
 * an earlier configuration moved, and the address that the host was booted with is gone with it.
 */
export function ownBack(state: Now, after: ClusterConfig): readonly OwnAddress[] {
  const moved = new Set(
    [...after.groups.values()].flatMap(({ identity }) =>
      identity.mode === 'replace' ? [identity.primaryAddress, identity.standbyAddress] : [],
    ),
  );
  const before = state.config?.groups.values() ?? after.leaving.map(({ group }) => group);
  const given = [...before].flatMap(({ name, identity, servers, takeover }) => {
    if (identity.mode !== 'replace' || takeover === 'observe') return [];
    const [primary, standby] = servers;
    const own = { primary: identity.primaryAddress, standby: identity.standbyAddress };
    const address = primary === state.self ? own.primary : standby === state.self ? own.standby : null;
    return address === null || moved.has(address) ? [] : [{ group: name, address, tries: 0 }];
  });
  return given.filter(({ address }, i) => given.findIndex((one) => one.address === address) === i);
}

/** Asks for what is to be given back and is no longer in any group's hands here. */
export function giveOwnBack(
  state: Pick<AgentState, 'own' | 'groups' | 'stripped' | 'nextSpareAt' | 'config'>,
  now: BootMs,
): { readonly own: AgentState['own']; readonly actions: readonly AgentAction[] } {
  if (state.own.length === 0 || !state.stripped) return { own: state.own, actions: [] };
  // At once: meanwhile nothing shows where the group's new addresses belong, and the service network looks dead.
  const isDue = ({ group, address, tries }: OwnAddress) =>
    (tries === 0 || now >= state.nextSpareAt) && letGo(state, group, address);
  const due = new Set(state.own.filter(isDue));
  const own = state.own
    .map((o) => (due.has(o) ? { ...o, tries: o.tries + 1 } : o))
    .filter((o) => o.tries < ownTriesMax);
  return { own, actions: [...due].map(({ group, address }) => ({ kind: 'keep-own', group, address })) };
}

function heldHere({ config }: Now, { group, holding, held }: GroupState): readonly string[] {
  const identity = config?.groups.get(group)?.identity;
  const own = identity === undefined || heldEpoch(holding) === null ? [] : identityAddresses(identity);
  return [...held, ...own];
}

function letGo({ groups, config }: Pick<AgentState, 'groups' | 'config'>, name: GroupId, address: string) {
  const holding = groups.get(name)?.holding;
  if (holding === undefined || heldEpoch(holding) === null) return true;
  const identity = config?.groups.get(name)?.identity;
  return (
    holding.kind === 'active' && identity !== undefined && !identityAddresses(identity).includes(address)
  );
}

/** How the group begins in this life, by what is known of the one before. */
export function withFormerLife(
  g: GroupState,
  config: GroupConfig,
  { vouched, forgot }: Pick<AgentState, 'vouched' | 'forgot'>,
  now: BootMs,
): GroupState {
  const held = vouched.find(({ group }) => group === config.name);
  if (held !== undefined) return reattached(g, config, held, now);
  // I8: what is only observed belongs to somebody else.
  if (!forgot || config.takeover === 'observe') return g;
  const reason = 'what was held here can not be read';
  // No epoch is known, and none is as low.
  return {
    ...g,
    formerLost: true,
    holding: { kind: 'fencing', epoch: 0n, reason, retryAt: now, then: 'fenced' },
  };
}

/** What the guard told was the deadline; only now the rules are known that lead to it. */
function reattached(
  g: GroupState,
  config: GroupConfig,
  { epoch, fenceAt }: HeldBefore,
  now: BootMs,
): GroupState {
  const { rules } = config;
  return {
    ...g,
    entitledEpoch: epoch,
    entitlement: { provenAt: fenceAt - rules.fenceMs, rules },
    resources: resumeMonitoring(config, now),
    opened: openNow(g, config),
    held: g.holding.kind === 'active' ? identityAddresses(config.identity) : [],
  };
}
