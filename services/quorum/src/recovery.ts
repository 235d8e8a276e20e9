/**
 * A majority of the votes is gone for good: by a person's word a member that votes goes on alone, with its own copy of the
 * store. Its `run` is stopped meanwhile.
 *
 *   R1  only votes change. All rows stay, and with them owners, epochs, what was renewed and the configuration: whether
 *       somebody is taken over from is decided by the usual rules, as if the others were silent and had no vote
 *   R2  nothing is begun while any other member answers: it may act on what this copy of the store never heard
 *   R3  each step may be taken again: after a failure in between, the same command goes on
 */

import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  encode,
  eventId,
  keys,
  type EventRecord,
  type Revision,
  type TxnAnswer,
  type WallMs,
} from '@holdfast/core';
import {
  describeProblem,
  isHost,
  updateKnownMembers,
  type KnownMember,
  type MemberDirectory,
  type MemberRecord,
} from '@holdfast/wire/directory';
import { createEtcdMembers, type EtcdMembers } from './etcd/members.ts';
import { createEtcdStore } from './etcd/store.ts';
import { startEtcd, type EtcdEvents } from './etcd/supervisor.ts';
import { encodeMember, readMembers, type MemberRow } from './member-row.ts';
import { ownAddress, ownEtcd } from './own-etcd.ts';
import type { Store } from './store.ts';

export type MayRecover =
  | { readonly kind: 'may'; readonly others: readonly string[] }
  /** `refused`: the person has not said enough. `wrong`: not here, or nobody of that name. */
  | { readonly kind: 'refused' | 'wrong'; readonly says: string; readonly fix: string };

export type Recovered =
  | { readonly kind: 'recovered'; readonly without: readonly string[] }
  | { readonly kind: 'failed'; readonly says: string };

const answerMs = 2_000;
const callMs = 2_000;
/** A long log is read at its start, and an election is held. */
const leadMs = 60_000;
const dropMs = 15_000;
const stopMs = 5_000;
const againMs = 100;

/** `without`: the members of which a person says that they are off for good. */
export function mayRecover(record: MemberRecord, without: readonly string[]): MayRecover {
  const { id, members } = record;
  const wrong = (says: string, fix: string): MayRecover => ({ kind: 'wrong', says, fix });
  if (record.externalEtcd !== null)
    return wrong(
      'Holdfast does not run the etcd of this cluster',
      'Mend your etcd; its own manual says how.',
    );
  if (members.find((m) => m.id === id)?.voter !== true)
    return wrong(
      `${id} does not vote, so it has no copy of the store`,
      'Use one that votes. Where none is left, only a new cluster goes on: holdfast init, with another --dir.',
    );
  const others = members.filter((m) => m.voter && m.id !== id).map((m) => m.id);
  if (others.length === 0)
    return wrong(
      `${id} is the only member that votes: there is nothing to recover`,
      'Start it: holdfast run.',
    );
  const unknown = without.find((name) => !others.includes(name));
  if (unknown !== undefined)
    return wrong(`--without ${unknown}: the other members that vote are ${others.join(', ')}`, 'Name these.');
  const unsaid = others.filter((name) => !without.includes(name));
  if (unsaid.length === 0) return { kind: 'may', others };
  const words = others.map((name) => `--without ${name}`).join(' ');
  return {
    kind: 'refused',
    says: `${unsaid.join(' and ')} may still vote, and decide otherwise than ${id} alone`,
    fix: `Make sure that they are off, and that nobody ever starts them again from their present directories. That said: ${words}.`,
  };
}

/** R2: of all other members, voters or not, those of which a port answers. */
export async function whoAnswers({ id, members }: MemberRecord): Promise<readonly string[]> {
  const others = members.filter((m) => m.id !== id && isHost(m.role));
  const answers = await Promise.all(others.map(isThere));
  return others.filter((_, index) => answers[index] === true).map((m) => m.id);
}

async function isThere({ addresses, ports }: KnownMember): Promise<boolean> {
  const doors = addresses.flatMap((address) =>
    [ports.grpc, ports.etcdPeer].map((port) => accepts(address, port)),
  );
  return (await Promise.all(doors)).includes(true);
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const over = (accepted: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(accepted);
    };
    const timer = setTimeout(() => over(false), answerMs);
    socket.once('connect', () => over(true));
    socket.once('error', () => over(false));
  });
}

/** After `mayRecover`, with nobody that answers. `wall` is the time of the event in the history. */
export async function recoverAlone(
  directory: MemberDirectory,
  wall: WallMs,
  interruption: AbortSignal,
): Promise<Recovered> {
  const alone = { initialCluster: null, initialState: 'existing', alone: true } as const;
  let died = '';
  const events: EtcdEvents = {
    died: (failure) => (died = failure.says),
    started: () => undefined,
    warned: () => undefined,
  };
  const started = await startEtcd({ ...ownEtcd(directory), ...alone }, events);
  if (started.kind !== 'started') return failed(started.says);
  const members = createEtcdMembers(ownAddress(directory));
  const store = createEtcdStore(ownAddress(directory));
  try {
    const wait: Wait = { isOver: () => interruption.aborted, died: () => died };
    const says = (await lead(members, wait)) ?? (await dropOthers(members, wait));
    if (says !== null) return failed(says);
    return await takeVotes(directory, store, wall);
  } finally {
    members.close();
    store.close();
    await started.etcd.stop(stopMs);
  }
}

const failed = (says: string): Recovered => ({ kind: 'failed', says });

interface Wait {
  isOver(): boolean;
  /** Why etcd died; empty while it did not. */
  died(): string;
}

/** Null when this etcd leads a cluster, so that its store answers. */
async function lead(members: EtcdMembers, wait: Wait): Promise<string | null> {
  let says = 'it knows no leader';
  const isSo = async (): Promise<boolean> => {
    const answer = await members.status(callMs);
    if (answer.kind === 'unknown') says = answer.says;
    return answer.kind === 'ok' && answer.status.leader === answer.status.member;
  };
  return until(isSo, leadMs, wait, () => `etcd does not go on alone: ${says}`);
}

/** Null when it is the only member. etcd drops those that vote at its start; one that was being added may be left. */
async function dropOthers(members: EtcdMembers, wait: Wait): Promise<string | null> {
  let says = '';
  const isSo = async (): Promise<boolean> => {
    const [list, self] = await Promise.all([members.list(callMs), members.status(callMs)]);
    if (list.kind === 'unknown' || self.kind === 'unknown') return false;
    const others = list.members.filter(({ id }) => id !== self.status.member);
    for (const other of others) {
      const removed = await members.remove(other.id, callMs);
      if (removed.kind !== 'ok') says = removed.says;
    }
    return others.length === 0;
  };
  return until(isSo, dropMs, wait, () => `etcd keeps its other members: ${says}`);
}

async function until(
  isSo: () => Promise<boolean>,
  limitMs: number,
  wait: Wait,
  says: () => string,
): Promise<string | null> {
  const endMs = performance.now() + limitMs;
  while (!(await isSo())) {
    if (wait.isOver()) return 'it was interrupted; the same command goes on';
    if (wait.died() !== '') return wait.died();
    if (performance.now() > endMs) return says();
    await sleep(againMs);
  }
  return null;
}

/** R1, in the store, and then in what this member knows at its next start. */
async function takeVotes(directory: MemberDirectory, store: Store, wall: WallMs): Promise<Recovered> {
  const { id } = directory.record;
  const read = await readMembers(store, callMs);
  if (read.kind === 'unknown') return failed(`the store does not answer: ${read.says}`);
  const voters = read.rows.filter((row) => row.voter && row.id !== id);
  const answer = voters.length === 0 ? null : await recordVotes(id, store, voters, wall);
  if (answer !== null && answer.kind !== 'succeeded')
    return failed(`the votes could not be recorded${answer.kind === 'unknown' ? `: ${answer.says}` : ''}`);
  const isOther = (row: { readonly id: string }): boolean => row.id !== id;
  const known = directory.record.members.map((m) => (isOther(m) ? { ...m, voter: false } : m));
  const saved = await updateKnownMembers(directory, known);
  if (saved.kind === 'error') return failed(describeProblem(saved.error));
  const without = new Set(
    [...directory.record.members, ...voters].filter((m) => m.voter && isOther(m)).map((m) => m.id),
  );
  return { kind: 'recovered', without: [...without] };
}

function recordVotes(
  self: string,
  store: Store,
  voters: readonly (MemberRow & { readonly revision: Revision })[],
  wall: WallMs,
): Promise<TxnAnswer> {
  const names = voters.map((row) => row.id).join(' and ');
  const latest = voters.reduce<Revision>((max, { revision }) => (revision > max ? revision : max), 0n);
  const event: EventRecord = {
    id: eventId(wall, self, latest),
    time: wall,
    group: null,
    server: self,
    kind: 'recovered',
    reason: `${self} goes on with the only vote, because a person on its host said that ${names} ${voters.length === 1 ? 'is' : 'are'} off for good`,
    epoch: null,
    inputs: null,
  };
  const changes = voters.map(({ revision, ...row }) => ({
    key: keys.member(row.id),
    revision,
    value: encodeMember({ ...row, voter: false }),
  }));
  return store.txn(
    {
      compares: changes.map(({ key, revision }) => ({ kind: 'mod-revision', key, revision })),
      puts: [
        ...changes.map(({ key, value }) => ({ key, value })),
        { key: keys.event(event.id), value: encode(event) },
      ],
      deletes: [],
      reads: [],
    },
    callMs,
  );
}
