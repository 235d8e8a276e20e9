/**
 * An address that goes from one group to another. Ownership and epochs keep the servers of one group apart, and nobody
 * but this file those of two: the former group's owner may have the address until it acts under the configuration that
 * took it away (docs/adr/0041).
 *
 *   L1  a group that nobody owns is given to nobody while another one may still have what it claims
 *   L2  a group that somebody owns can't claim such a thing: its owner would take it without being asked
 *   L3  a server has let go once it acts under a newer configuration, or is down by the rules of the former one
 */

import { keepsAll, shared } from '../config/claims.ts';
import { limits } from '../config/limits.ts';
import type { ClusterConfig, LeavingGroup } from '../config/types.ts';
import type { GroupId, MemberId, Revision } from '../names.ts';
import type { Ownership } from '../records.ts';
import type { Case, Judgement } from './case.ts';
import { stay } from './changes.ts';
import { serverDownAt, type Scene } from './scene.ts';

/** L1. Null: whatever the group claims is free. */
export function waitForOthers(
  { scene, config }: Pick<Case, 'scene' | 'config'>,
  own: Extract<Ownership, { kind: 'unowned' }>,
  to: MemberId,
): Judgement | null {
  for (const entry of scene.view.config?.value.leaving ?? []) {
    const thing = entry.group.name === config.name ? null : shared(config, entry.group);
    const holders = thing === null ? [] : holdersOf(scene, entry);
    if (thing === null || holders.length === 0) continue;
    const until = Math.max(...holders.map((server) => serverDownAt(scene, server, entry.group)));
    const reason = `${to} takes ${config.name} up as soon as it may: ${heldStill(thing, entry, holders)}`;
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
    .filter((group) => group.takeover !== 'observe')
    .map((group): LeavingGroup => ({ group, above: revision }));
  const leaving = [...(before?.leaving ?? []), ...lost].filter((entry) => {
    const now = after.groups.get(entry.group.name);
    if (now !== undefined && keepsAll(entry.group, now)) return false;
    return scene === null || holdersOf(scene, entry).length > 0;
  });
  return { ...after, leaving };
}

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
  return takenGroups(before, after).flatMap(({ name, entry, thing }) => {
    const owned = (scene.view.groups.get(name)?.value.ownership.kind ?? 'unowned') !== 'unowned';
    const holders = owned ? holdersOf(scene, entry) : [];
    if (holders.length === 0) return [];
    return [
      `groups.${name}: ${heldStill(thing, entry, holders)}, and ${name} runs, so that it would take it at once; ` +
        `apply first a configuration in which nobody has ${thing}, and this one after that`,
    ];
  });
}

/** The groups whose records `refuseTaking` looks at. */
export function takingGroups(before: ClusterConfig | null, after: ClusterConfig): readonly GroupId[] {
  return [...new Set(takenGroups(before, after).map(({ name }) => name))];
}

function takenGroups(before: ClusterConfig | null, after: ClusterConfig) {
  return [...after.groups.values()].flatMap((group) =>
    after.leaving.flatMap((entry) => {
      if (entry.group.name === group.name) return [];
      const thing = shared(group, entry.group, before?.groups.get(group.name));
      return thing === null ? [] : [{ name: group.name, entry, thing }];
    }),
  );
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

function heldStill(thing: string, { group }: LeavingGroup, holders: readonly MemberId[]): string {
  return `${thing} belonged to ${group.name}, and ${holders.join(' and ')} may not have let go of it yet`;
}
