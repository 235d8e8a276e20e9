/**
 * Which members vote. The founder votes alone; from then on members are added two at a time, so that the number of
 * votes is odd whenever nothing is under way, each as a learner first, so that an addition never costs availability.
 *
 *   W1  a candidate is added only while it asks: it is running and reachable
 *   W2  two members alone keep one vote: a second one would only add a way to fail
 */

import { keys } from '@holdfast/core';
import type { members } from '@holdfast/proto';
import { failure, type Answer } from '@holdfast/wire/rpc';
import * as z from 'zod';
import type { EtcdMember, EtcdMembers } from './etcd/members.ts';
import { encodeMember, readMembers, type MemberRow } from './member-row.ts';
import type { Store } from './store.ts';

export const votersMax = 7;
const askingMs = 5_000;
const etcdMs = 2_000;

export function peerUrlsOf(row: {
  readonly addresses: readonly string[];
  readonly ports: { readonly etcdPeer: number };
}): readonly string[] {
  return row.addresses.map((a) => `https://${a.includes(':') ? `[${a}]` : a}:${row.ports.etcdPeer}`);
}

export class Voting {
  private readonly etcd: EtcdMembers;
  private readonly store: () => Store;
  /** Voters that nobody hears. */
  private readonly lost: () => readonly string[];
  private readonly asking = new Map<string, number>();

  constructor(etcd: EtcdMembers, store: () => Store, lost: () => readonly string[]) {
    this.lost = lost;
    this.etcd = etcd;
    this.store = store;
  }

  /** One step towards a vote for this member; it asks again until it has one. */
  async enrol(member: string, now: number): Promise<Answer<members.EnrolReply>> {
    this.asking.set(member, now);
    for (const [id, at] of this.asking) if (now - at > askingMs) this.asking.delete(id);
    const known = await readMembers(this.store(), etcdMs);
    if (known.kind === 'unknown') return failure('unreachable', known.says);
    const row = known.rows.find((m) => m.id === member);
    if (row === undefined) return failure('not-found', `${member} is not a member`);
    const list = await this.etcd.list(etcdMs);
    if (list.kind === 'unknown') return failure('unreachable', list.says);
    const urls = peerUrlsOf(row);
    const mine = list.members.find((m) => sameUrls(m.peerUrls, urls));
    if (mine !== undefined && !mine.learner) return this.voter(row);
    if (mine !== undefined) return this.promote(mine, row, list.members, known.rows);
    return this.add(row, list.members, known.rows, now);
  }

  private async add(
    row: MemberRow,
    list: readonly EtcdMember[],
    rows: readonly MemberRow[],
    now: number,
  ): Promise<Answer<members.EnrolReply>> {
    const votes = list.filter((m) => !m.learner).length;
    const learning = list.some((m) => m.learner);
    if (votes >= votersMax) return wait(`${votersMax} members vote already`);
    if (learning) return wait('another member is being added');
    const waiting = [...this.asking.entries()].filter(
      ([id, at]) => now - at <= askingMs && rows.some((m) => m.id === id && !m.voter),
    );
    if (votes % 2 === 1 && waiting.length < 2) {
      const lost = this.lost().map((id) => ` or remove ${id}, which is lost (holdfast remove ${id})`);
      return wait(`votes are added two at a time: start one more server or a witness${lost.join('')}`); // W2
    }
    const added = await this.etcd.addLearner(peerUrlsOf(row), etcdMs);
    if (added.kind === 'ok') return start(row, added.members, rows);
    return wait(added.says);
  }

  private async promote(
    mine: EtcdMember,
    row: MemberRow,
    list: readonly EtcdMember[],
    rows: readonly MemberRow[],
  ): Promise<Answer<members.EnrolReply>> {
    if (mine.name === '') return start(row, list, rows);
    const promoted = await this.etcd.promote(mine.id, etcdMs);
    if (promoted.kind === 'ok') return this.voter(row);
    return start(row, list, rows);
  }

  private async voter(row: MemberRow & { readonly revision?: bigint }): Promise<Answer<members.EnrolReply>> {
    if (!row.voter) {
      const { revision, ...plain } = row;
      const answer = await this.store().txn(
        {
          compares: [{ kind: 'mod-revision', key: keys.member(row.id), revision: revision ?? 0n }],
          puts: [{ key: keys.member(row.id), value: encodeMember({ ...plain, voter: true }) }],
          deletes: [],
          reads: [],
        },
        etcdMs,
      );
      if (answer.kind !== 'succeeded') return wait('the vote is not recorded yet');
    }
    return { kind: 'ok', value: { answer: { $case: 'voter', value: true } } };
  }
}

function wait(says: string): Answer<members.EnrolReply> {
  return { kind: 'ok', value: { answer: { $case: 'wait', value: says } } };
}

/** The --initial-cluster of a member that joins: every etcd member by name, with all its URLs. */
function start(
  row: MemberRow,
  list: readonly EtcdMember[],
  rows: readonly MemberRow[],
): Answer<members.EnrolReply> {
  const named = list.map((m) => {
    const name =
      m.name !== '' ? m.name : (rows.find((r) => sameUrls(m.peerUrls, peerUrlsOf(r)))?.id ?? row.id);
    return { name, peerUrls: m.peerUrls };
  });
  return { kind: 'ok', value: { answer: { $case: 'start', value: JSON.stringify(named) } } };
}

export function sameUrls(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && [...a].sort().join() === [...b].sort().join();
}

/** What etcd is told of its cluster at its first start. */
export type FirstStart = readonly { readonly name: string; readonly peerUrls: readonly string[] }[];

/** Reads what `start` sent; throws on anything else, as only voters of our own cluster send it. */
export function parseFirstStart(text: string): FirstStart {
  return firstStartSchema.parse(JSON.parse(text));
}

const firstStartSchema = z.array(z.object({ name: z.string(), peerUrls: z.array(z.string()) }));
