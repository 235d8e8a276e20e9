/**
 * Tells etcd of paths that died. Its connections to another member notice a dead network only after seconds, during
 * which nothing can be committed; heartbeats notice at once. So the connections over a dead path are ended here, and
 * etcd goes on over the other one.
 */

import {
  heardAt,
  heardOnPath,
  heardHere,
  pathKey,
  sceneOf,
  type MemberId,
  type QuorumState,
} from '@holdfast/core';
import type { KnownMember } from '@holdfast/wire/directory';
import { dropPeerConnections } from './etcd/peer-sockets.ts';

interface DeadPath {
  readonly member: string;
  readonly path: number;
}

const dropMs = 2_000;

/** Beats that a path may miss while another path of the same member is heard. */
const beatsMissed = 2.5;

/** Whether a member that was heard on this path before is heard there no more. */
export function isSilentAt(
  state: QuorumState,
  member: MemberId,
  path: number,
  heartbeatMs: number,
  now: number,
): boolean {
  const at = heardOnPath(state.vantage, member, path);
  return at !== null && now - at >= beatsMissed * heartbeatMs;
}

/** Paths on which a voter is silent while it is heard on another one. */
function deadPaths(state: QuorumState, heartbeatMs: number, now: number): readonly DeadPath[] {
  const silenceMs = beatsMissed * heartbeatMs;
  const dead: DeadPath[] = [];
  for (const { value: member } of state.view.members.values()) {
    const heard = heardHere(state.vantage, member.id);
    if (member.id === state.self || heard === null || now - heard >= silenceMs) continue;
    for (const path of member.addresses.keys()) {
      if (isSilentAt(state, member.id, path, heartbeatMs, now)) dead.push({ member: member.id, path });
    }
  }
  return dead;
}

const lostMs = 35_000;

/** Voters that nobody heard for longer than the usual outage. */
export function lostVoters(state: QuorumState, now: number): readonly MemberId[] {
  const scene = sceneOf(state, now);
  const voters = [...state.view.members.values()].filter(({ value }) => value.voter);
  return voters.map(({ value }) => value.id).filter((id) => now - heardAt(scene, id) >= lostMs);
}

export class DeadPaths {
  readonly #warn: (says: string) => void;
  readonly #left = new Set<string>();

  constructor(warn: (says: string) => void) {
    this.#warn = warn;
  }

  /** To be called whenever something is heard. Acts once for each path that died, until it is heard again. */
  async leave(
    state: QuorumState,
    known: readonly KnownMember[],
    heartbeatMs: number,
    now: number,
  ): Promise<void> {
    const dead = deadPaths(state, heartbeatMs, now);
    const names = new Set(dead.map((d) => pathKey(d.member, d.path)));
    for (const name of this.#left) if (!names.has(name)) this.#left.delete(name);
    for (const { member, path } of dead) {
      const name = pathKey(member, path);
      const row = known.find((m) => m.id === member);
      const address = row?.addresses[path];
      if (this.#left.has(name) || row === undefined || address === undefined) continue;
      this.#left.add(name);
      const done = await dropPeerConnections('far', address, row.ports.etcdPeer, dropMs);
      const says =
        done.kind === 'failed' ? `; its etcd connections stay until they time out: ${done.says}` : '';
      this.#warn(`${member} is silent at ${address}${says}`);
    }
  }
}
