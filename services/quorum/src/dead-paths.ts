/**
 * Tells etcd of paths that died. Its connections to another member notice a dead network only after seconds, during
 * which nothing can be committed; heartbeats notice at once. So the connections over a dead path are ended here, and
 * etcd goes on over the other one.
 */

import { heardOnPath, heardHere, type QuorumState } from '@holdfast/core';

export interface DeadPath {
  readonly member: string;
  readonly path: number;
}

/** Beats that a path may miss while another path of the same member is heard. */
const beatsMissed = 2.5;

/** Paths on which a voter is silent while it is heard on another one. */
export function deadPaths(state: QuorumState, heartbeatMs: number, now: number): readonly DeadPath[] {
  const silenceMs = beatsMissed * heartbeatMs;
  const dead: DeadPath[] = [];
  for (const { value: member } of state.view.members.values()) {
    const heard = heardHere(state.vantage, member.id);
    if (member.id === state.self || heard === null || now - heard >= silenceMs) continue;
    for (const path of member.addresses.keys()) {
      const at = heardOnPath(state.vantage, member.id, path);
      if (at !== null && now - at >= silenceMs) dead.push({ member: member.id, path });
    }
  }
  return dead;
}
