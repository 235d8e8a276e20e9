/** Rule 7: an owner that is alive but whose service network is dead serves nobody; one that is heard there could. */

import type { GroupConfig } from '../config/types.ts';
import type { BootMs, MemberId } from '../names.ts';
import {
  heardOnPath,
  heardOnPaths,
  keepsFormerPace,
  servicePath,
  silentHeartbeats,
  type Scene,
} from './scene.ts';

/** So long after a silence a server may be heard on one path and not yet on the other. */
const returnBeats = 3;

/**
 * More than a server that died can have been heard elsewhere after its last word on the service network, one heartbeat of which may
 * have been lost. With a short outage, suspicion comes no later than silence everywhere.
 */
const livesOnBeats = 1.5;

/** Two heartbeats at the slowest pace: a new configuration's pace is not everybody's at once. */
const slowestBeatsMs = 2_000;

export interface DeadPath {
  /** When it counts as dead, if it stays silent: the suspicion threshold, so that a flapping cable moves nothing. */
  readonly from: BootMs;
  /** The other servers that are heard on the service network. */
  readonly better: readonly MemberId[];
}

export function servicePathDead(scene: Scene, config: GroupConfig, owner: MemberId): DeadPath | null {
  const paths = scene.view.members.get(owner)?.value.addresses.length ?? 1;
  if (paths < 2) return null;
  if (keepsFormerPace(scene, owner, config)) return null;
  const heardSince = scene.presence.heardSince.get(owner);
  if (heardSince === undefined || heardSince === null) return null;
  const at = heardOnPath(scene, owner, servicePath);
  const anywhereAt = heardOnPaths(scene, owner);
  // Silent everywhere is not a dead service network: that is for the outage rule.
  if (at === null || anywhereAt === null || scene.now - anywhereAt >= silentHeartbeats * scene.heartbeatMs)
    return null;
  const better = config.servers.filter((s) => {
    const theirs = s === owner ? null : heardOnPath(scene, s, servicePath);
    return theirs !== null && scene.now - theirs < silentHeartbeats * scene.heartbeatMs;
  });
  // A takeover may only just have brought an address to this network: give it as long as anybody.
  const changedAt = scene.view.groups.get(config.name)?.changedAt ?? -Infinity;
  const pacedAt = (scene.view.config?.changedAt ?? -Infinity) + slowestBeatsMs;
  const silentFrom = Math.max(at, changedAt, pacedAt) + config.rules.suspectMs;
  const livesOn = anywhereAt - at >= livesOnBeats * scene.heartbeatMs;
  const dueAt = Math.max(silentFrom, heardSince + returnBeats * scene.heartbeatMs);
  const from = livesOn ? dueAt : Math.max(dueAt, scene.now + scene.heartbeatMs);
  return better.length === 0 ? null : { from, better };
}
