/**
 * Which servers the leader saw silent, and since when it hears those again: the first sound after a silence comes on one path, and
 * tells nothing yet of the others. Kept by the leader from one judgement to the next; a new leader begins as after a silence.
 */

import type { BootMs, MemberId } from '../names.ts';
import { heardOnPaths, silentBeats, type Presence, type Scene } from './scene.ts';

export const nobodyHeard: Presence = { heardSince: new Map() };

export function lookAround(before: Presence, scene: Scene, servers: Iterable<MemberId>): Presence {
  let heardSince: Map<MemberId, BootMs | null> | null = null;
  for (const server of servers) {
    const heardAt = heardOnPaths(scene, server);
    const silent = heardAt === null || scene.now - heardAt >= silentBeats * scene.heartbeatMs;
    const known = before.heardSince.get(server);
    const next = silent ? null : (known ?? scene.now);
    if (next === known) continue;
    heardSince ??= new Map(before.heardSince);
    heardSince.set(server, next);
  }
  return heardSince === null ? before : { heardSince };
}
