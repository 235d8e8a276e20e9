/**
 * Which servers the leader saw silent, and since when it hears those again: the first sound after a silence comes on one path, and
 * tells nothing yet of the others. And since when the servers are well to which a group would go back by itself. Kept by the
 * leader from one judgement to the next; a new leader begins as after a silence.
 */

import type { GroupConfig } from '../config/types.ts';
import type { BootMs, GroupId, MemberId } from '../names.ts';
import {
  bootedSinceRenewal,
  heardOnPath,
  heardOnPaths,
  servicePath,
  silentHeartbeats,
  type Presence,
  type Scene,
  type WellSince,
} from './scene.ts';

export const nobodyHeard: Presence = { heardSince: new Map(), preferred: new Map() };

export function lookAround(before: Presence, scene: Scene, groups: readonly GroupConfig[]): Presence {
  let heardSince: Map<MemberId, BootMs | null> | null = null;
  for (const { servers } of groups) {
    for (const server of servers) {
      const heardAt = heardOnPaths(scene, server);
      const silent = heardAt === null || scene.now - heardAt >= silentHeartbeats * scene.heartbeatMs;
      const known = before.heardSince.get(server);
      const next = silent ? null : (known ?? scene.now);
      if (next === known) continue;
      heardSince ??= new Map(before.heardSince);
      heardSince.set(server, next);
    }
  }
  let preferred: Map<GroupId, WellSince | null> | null = null;
  for (const group of groups) {
    const known = before.preferred.get(group.name);
    const next = group.failback === 'automatic' ? lookAtPreferred(scene, group, known ?? null) : undefined;
    if (next === undefined || next === known) continue;
    preferred ??= new Map(before.preferred);
    preferred.set(group.name, next);
  }
  if (heardSince === null && preferred === null) return before;
  return { heardSince: heardSince ?? before.heardSince, preferred: preferred ?? before.preferred };
}

function lookAtPreferred(scene: Scene, group: GroupConfig, known: WellSince | null): WellSince | null {
  const [server] = group.servers;
  if (server === undefined || scene.now >= wellUntil(scene, group, server)) return null;
  const boot = scene.view.renewals.get(server)?.value.bootId ?? '';
  return known?.server === server && known.boot === boot ? known : { server, boot, at: scene.now };
}

/** How long the server counts as well by what is known now: heard, on the service network too, and renewing. */
export function wellUntil(scene: Scene, { rules }: GroupConfig, server: MemberId): BootMs {
  const renewal = scene.view.renewals.get(server);
  if (renewal === undefined || renewal.value.leaving) return -Infinity;
  if (bootedSinceRenewal(scene, server)) return -Infinity;
  const paths = scene.view.members.get(server)?.value.addresses.length ?? 1;
  const heardAt = paths < 2 ? heardOnPaths(scene, server) : heardOnPath(scene, server, servicePath);
  const silentAt = (heardAt ?? -Infinity) + silentHeartbeats * scene.heartbeatMs;
  return Math.min(silentAt, renewal.changedAt + rules.renewMs + 2 * rules.attemptMs);
}
