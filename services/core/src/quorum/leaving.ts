/**
 * What goes from one group to another (config/claims.ts). Ownership and epochs keep the servers of one group apart, and
 * nobody but this file those of two: the former group's owner may have the thing until it acts under the configuration that
 * took it away (docs/adr/0041, docs/adr/0046).
 *
 *   L1  a group that nobody owns is given to nobody while another one may still have what it claims
 *   L2  a group that somebody owns can't claim such a thing: its owner would take it without being asked
 *   L3  a server has let go once it acts under a newer configuration, or is down by the rules of the former one; what exists
 *       once on each server is waited for where both groups have it
 *   L4  what nobody was given since it is configured, nobody has to let go of, but for a target its copy
 *   L5  a server that a group moves away from may have all of it, too: started anew, it finds here how to end it (docs/adr/0062)
 */

import { keepsAll, shared } from '../config/claims.ts';
import { limits } from '../config/limits.ts';
import type { ClusterConfig, GroupConfig, LeavingGroup } from '../config/types.ts';
import type { GroupId, MemberId, Revision } from '../names.ts';
import type { Ownership } from '../records.ts';
import type { Case, Judgement } from './case.ts';
import { stay } from './changes.ts';
import { removedGroup } from './removed.ts';
import { serverDownAt, type Scene } from './scene.ts';

/** L1. Null: whatever the group claims is free. */
export function waitForOthers(
  { scene, config }: Pick<Case, 'scene' | 'config'>,
  own: Extract<Ownership, { kind: 'unowned' }>,
  to: MemberId,
): Judgement | null {
  for (const entry of scene.view.config?.value.leaving ?? []) {
    const held = heldOf(scene, config, entry);
    if (held === null) continue;
    const until = Math.max(...held.holders.map((server) => serverDownAt(scene, server, entry.group)));
    const reason = `${to} takes ${config.name} up as soon as it may: ${heldStill(scene, held, entry)}`;
    return stay(own.epoch === 0n ? 'stopped' : 'blocked', reason, Number.isFinite(until) ? until : null);
  }
  return null;
}

/**
 * `after`, with what it takes away from groups of `before`. `revision`: the store's, as late as is known, and before
 * `after` is stored. `scene`: null keeps what may be over.
 */
export function withLeaving(
  scene: Scene | null,
  before: ClusterConfig | null,
  after: ClusterConfig,
  revision: Revision,
): ClusterConfig {
  const lost = [...(before?.groups.values() ?? [])]
    .filter((group) => group.takeover !== 'observe' && !isUntouched(scene, group))
    .map((group): LeavingGroup => ({ group, above: revision }));
  const leaving = [...(before?.leaving ?? []), ...lost].filter((entry) => {
    const now = after.groups.get(entry.group.name);
    if (now !== undefined && staysWhole(entry.group, now)) return false;
    return scene === null || holdersOf(scene, entry).length > 0;
  });
  return { ...after, leaving };
}

/** L5. */
const staysWhole = (before: GroupConfig, after: GroupConfig): boolean =>
  keepsAll(before, after) && before.servers.every((server) => after.servers.includes(server));

/** L2. Sentences for `apply`; none: it may be applied. `after` is what `withLeaving` made. */
export function refuseTaking(
  scene: Scene,
  before: ClusterConfig | null,
  after: ClusterConfig,
): readonly string[] {
  if (after.leaving.length > limits.groups)
    return [
      'servers have yet to let go of what earlier configurations took away; wait for them, or see `holdfast status`',
    ];
  return takenGroups(before, after).flatMap(({ group, entry }) => {
    const { name } = group;
    const owned = (scene.view.groups.get(name)?.value.ownership.kind ?? 'unowned') !== 'unowned';
    const held = owned ? heldOf(scene, group, entry, before?.groups.get(name)) : null;
    if (held === null) return [];
    return [
      `groups.${name}: ${heldStill(scene, held, entry)}, and ${name} runs, so that it would take it at once; ` +
        `apply first a configuration in which nobody has ${held.thing}, and this one after that`,
    ];
  });
}

/** The groups whose records `refuseTaking` and `withLeaving` look at. */
export function lookedAtGroups(before: ClusterConfig | null, after: ClusterConfig): readonly GroupId[] {
  const taking = takenGroups(before, after).map(({ group }) => group.name);
  const untouched = [...(before?.groups.values() ?? [])].filter((group) => {
    const now = after.groups.get(group.name);
    const kept = now !== undefined && staysWhole(group, now);
    return !kept && !after.leaving.some((entry) => entry.group === group); // L4
  });
  return [...new Set([...taking, ...untouched.map(({ name }) => name)])];
}

function takenGroups(before: ClusterConfig | null, after: ClusterConfig) {
  return [...after.groups.values()].flatMap((group) =>
    after.leaving.flatMap((entry) =>
      entry.group.name === group.name ||
      shared(group, entry.group, before?.groups.get(group.name)).length === 0
        ? []
        : [{ group, entry }],
    ),
  );
}

interface StillHeld {
  readonly thing: string;
  readonly holders: readonly MemberId[];
}

/** What the group claims and a server of a former one may still have. Null: nothing. */
function heldOf(
  scene: Scene,
  group: GroupConfig,
  entry: LeavingGroup,
  except?: GroupConfig,
): StillHeld | null {
  if (entry.group.name === group.name) return null;
  const all = holdersOf(scene, entry);
  for (const { thing, on } of all.length === 0 ? [] : shared(group, entry.group, except)) {
    const holders = all.filter((server) => on === null || on.includes(server));
    if (holders.length > 0) return { thing, holders };
  }
  return null;
}

/** L4. */
function isUntouched(scene: Scene | null, { name, identity, mirrors }: GroupConfig): boolean {
  if (scene === null || identity.mode !== 'add' || mirrors.length > 0) return false;
  const own = scene.view.groups.get(name)?.value.ownership;
  return own === undefined || (own.kind === 'unowned' && own.lastOwner === null);
}

/** L3. */
function holdersOf(scene: Scene, { group, above }: LeavingGroup): readonly MemberId[] {
  return group.servers.filter((server) => {
    const renewal = scene.view.renewals.get(server)?.value;
    if (renewal === undefined || !scene.view.members.has(server)) return false;
    if ((renewal.actsUnder ?? 0n) > above) return false;
    return scene.now < serverDownAt(scene, server, group);
  });
}

function heldStill(scene: Scene, { thing, holders }: StillHeld, { group }: LeavingGroup): string {
  const refused = removedGroup(scene, group.name)?.refused ?? null;
  const why = refused === null ? '' : ` (${refused}; see holdfast explain ${group.name})`;
  return `${thing} belonged to ${group.name}, and ${holders.join(' and ')} may not have let go of it yet${why}`;
}
