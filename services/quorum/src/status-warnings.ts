/** What is wrong with the cluster as a whole, for `status`, and what to do about each, for `check`. */

import {
  clockWarnings,
  heardAt,
  removedGroup,
  wayOut,
  type Member,
  type QuorumState,
  type Scene,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { defragment, quotaBytes, quotaPart, takeAlarmBack } from './etcd/quota.ts';
import type { StoreHealth } from './voter-health.ts';

export interface StatusWarning {
  readonly name: 'quorum' | 'clock' | 'path' | 'store' | 'removed' | 'member';
  readonly says: string;
  readonly fix: string;
}

/** What the status was made of so far. */
export interface Looked {
  readonly members: readonly Member[];
  readonly quorum: admin.QuorumStatus;
  readonly health: StoreHealth;
  readonly externalEtcd: boolean;
}

export function statusWarnings(
  state: QuorumState,
  scene: Scene,
  { members, quorum, health, externalEtcd }: Looked,
): readonly StatusWarning[] {
  return [
    ...strangerHere(state, members),
    ...votesOf(members, quorum, health, externalEtcd),
    ...fullStores(health),
    ...[...state.view.garbage.values()].map((says): StatusWarning => {
      const fix = 'bring all members to the same version of holdfast';
      return { name: 'store', says: `unreadable record: ${says}`, fix };
    }),
    ...clockWarnings(state.vantage).map((says): StatusWarning => {
      const fix = 'repair the clock of that host: the time rules allow for 1 %';
      return { name: 'clock', says, fix };
    }),
    ...deafnessOf(state, scene, members),
    ...removedGroups(scene),
  ];
}

/** Whoever asks here looks at a cluster that this member is not of: all may be well in it. */
function strangerHere(state: QuorumState, members: readonly Member[]): readonly StatusWarning[] {
  if (members.length === 0 || members.some(({ id }) => id === state.self)) return [];
  const says = `${state.self}, which says all this, is no member of the cluster any more: it was removed`;
  const fix = `stop holdfast on ${state.self}; to have it back, move its directory away and let it join with a new token`;
  return [{ name: 'member', says, fix }];
}

/** An alarm is of the whole cluster, whichever member raised it. */
function fullStores(health: StoreHealth): readonly StatusWarning[] {
  const alarms = new Set([...health.values()].flatMap((store) => store.alarms));
  const warning = (says: string, fix: string): StatusWarning => ({ name: 'store', says, fix });
  if (alarms.has('NOSPACE'))
    return [
      warning('the database of etcd is full: nothing can be decided, and no server renews', takeAlarmBack),
    ];
  return [...health].flatMap(([id, { dbBytes }]) => {
    if (dbBytes === null || dbBytes < quotaPart * quotaBytes) return [];
    const says = `the database of etcd on ${id} takes ${inMiB(dbBytes)} of ${inMiB(quotaBytes)} MiB: when it is full, nothing can be decided`;
    return [warning(says, defragment(id))];
  });
}

const inMiB = (bytes: number): string => String(Math.round(bytes / (1_024 * 1_024)));

/** Still run by an owner that would not let go of them, or could not. */
function removedGroups(scene: Scene): readonly StatusWarning[] {
  return [...scene.view.groups.keys()].flatMap((group): readonly StatusWarning[] => {
    const removed = removedGroup(scene, group);
    if (removed === null) return [];
    const { owner, refused, stuck } = removed;
    if (refused === null) {
      if (stuck === null) return [];
      const says = `${group} was removed from the configuration, and ${owner} could not let go of it (${stuck})`;
      return [{ name: 'removed', says, fix: `clear it on ${owner}; it is tried again by itself` }];
    }
    const says = `${group} was removed from the configuration, and still runs on ${owner}, which refused to release it (${refused})`;
    return [{ name: 'removed', says, fix: wayOut(group) }];
  });
}

function votesOf(
  members: readonly Member[],
  quorum: admin.QuorumStatus,
  health: StoreHealth,
  externalEtcd: boolean,
): readonly StatusWarning[] {
  const warning = (says: string, fix: string): readonly StatusWarning[] => [{ name: 'quorum', says, fix }];
  if (externalEtcd) {
    if (quorum.healthy) return [];
    return warning('etcd does not answer: nothing can be decided', 'look at your etcd and the way to it');
  }
  const voters = members.filter((m) => m.voter).length;
  if (voters < 3) {
    return warning(
      `${String(voters)} vote${voters === 1 ? '' : 's'} only: no automatic failover is safe; add a witness`,
      'let a witness or a third server join: holdfast token --role witness',
    );
  }
  if (quorum.spareVotes > 0) return [];
  const sick = Object.entries(quorum.members).flatMap(([id, m]) => (m.voter && !m.healthy ? [id] : []));
  if (!quorum.healthy && sick.length === 0)
    return warning(
      'nothing can be decided until etcd has a leader',
      'wait a moment, and look at the log of etcd',
    );
  // Without a majority those that run are not well either, and nobody need look at them.
  const gone = sick.filter((id) => (health.get(id)?.dbBytes ?? null) === null);
  const toBring = gone.length === 0 ? sick : gone;
  return warning(
    quorum.healthy
      ? 'no spare vote: one more failure and nothing can be decided'
      : 'nothing can be decided until a majority is back',
    sick.length === 0 ? 'add members until there are three votes' : `bring ${toBring.join(' and ')} back`,
  );
}

/** Who does not hear whom on any path, while others do: nothing comes of it, but the next fault may find one path less. */
function deafnessOf(state: QuorumState, scene: Scene, members: readonly Member[]): readonly StatusWarning[] {
  const heardNow = (id: string): boolean => scene.now - heardAt(scene, id) < 4 * scene.heartbeatMs;
  const alive = members.filter((m) => heardNow(m.id));
  return alive.flatMap((m) =>
    alive.flatMap((observer): readonly StatusWarning[] => {
      const rows = state.vantage.ears.get(observer.id)?.diagnoses.filter((d) => d.member === m.id) ?? [];
      const deaf = rows.filter((d) => !d.says.startsWith('asymmetric'));
      const paths = Math.min(observer.addresses.length, m.addresses.length);
      if (observer.id === m.id || paths === 0 || deaf.length < paths) return [];
      const says = `${observer.id} does not hear ${m.id} on any path (${deaf[0]?.says ?? ''})`;
      const fix = `check cables, switches and firewalls between ${observer.id} and ${m.id}`;
      return [{ name: 'path', says, fix }];
    }),
  );
}
