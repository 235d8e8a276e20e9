/**
 * A member that is gone for good is removed: first its vote, then its rows. Done again after a failure in between, it goes
 * on where it was.
 */

import { mayRemove, removalOf } from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { bootMs } from '@holdfast/wire/directory';
import { failure, type Answer } from '@holdfast/wire/rpc';
import type { EtcdMembers, RemoveAnswer } from './etcd/members.ts';
import { parseMemberRow } from './member-row.ts';
import type { QuorumService } from './service.ts';
import { peerUrlsOf, sameUrls } from './voting.ts';

const storeMs = 2_000;
const etcdMs = 2_000;
/** etcd changes its members only when every other voter was connected for 5 s. */
const voteMs = 6_000;
const againMs = 500;

export async function removeMember(
  service: QuorumService,
  /** Null: its own etcd does not vote, or somebody else runs it. */
  voters: EtcdMembers | null,
  request: admin.RemoveMemberRequest,
  by: string,
  wall: number,
): Promise<Answer<admin.RemoveMemberReply>> {
  const judged = mayRemove(service.state, request.member, bootMs());
  if (judged.kind === 'unknown-member') return failure('not-found', judged.says);
  if (judged.kind === 'refused') return failure('unsafe', judged.says);
  const { view } = service.state;
  const held = view.members.get(request.member);
  const row = held === undefined ? null : parseMemberRow(held.text);
  const voted = row?.voter === true && voters !== null;
  if (request.dryRun) return { kind: 'ok', value: { voted } };
  const txn = removalOf(service.state, request.member, by, wall);
  if (row !== null && voters !== null) {
    const says = await takeVote(voters, peerUrlsOf(row));
    if (says !== null) return failure('unreachable', `the vote of ${request.member} stays: ${says}`);
  }
  const answer = await service.storeNow.txn(txn, storeMs);
  service.dispatch({ kind: 'watch-lost' });
  switch (answer.kind) {
    case 'succeeded':
      return { kind: 'ok', value: { voted } };
    case 'compare-failed':
      return failure('unsafe', `${request.member} or the configuration changed just now; ask again`);
    case 'unknown':
      return failure('unreachable', `the cluster's store does not answer: ${answer.says}; ask again`);
  }
}

/** Null when it has no vote any more. */
async function takeVote(voters: EtcdMembers, urls: readonly string[]): Promise<string | null> {
  const endMs = performance.now() + voteMs;
  for (;;) {
    const list = await voters.list(etcdMs);
    if (list.kind === 'unknown') return list.says;
    const found = list.members.find((m) => sameUrls(m.peerUrls, urls));
    if (found === undefined) return null;
    const removed: RemoveAnswer = await voters.remove(found.id, etcdMs);
    if (removed.kind === 'ok') return null;
    if (removed.kind !== 'not-yet' || performance.now() > endMs) return removed.says;
    await new Promise((resolve) => setTimeout(resolve, againMs));
  }
}
