/**
 * The membership of etcd: list, add a learner, promote it, remove a member. Every step is idempotent, so that a step
 * with an unknown outcome is simply taken again.
 *
 * M1: a member is only ever added as a learner: it gets a vote after it has caught up, never before.
 * M2: nothing here repeats a change by itself.
 *
 * Facts of etcd 3.4: one learner at a time; a learner is promoted at 90 % of the leader's log; a member is added or
 * removed only when every voter was connected for 5 s, so growing from one to three takes about 6 s; the list is the answering member's own view, which may be old; any member
 * passes a promotion on to the leader; the peer addresses of a member are sorted as text.
 */

import { status } from '@grpc/grpc-js';
import { etcd } from '@holdfast/proto';
import { createCaller, type Caller, type CallOutcome, type Invoke } from './call.ts';
import { createEndpoints, type EtcdAddress, type EtcdTls } from './endpoints.ts';

export interface EtcdMember {
  readonly id: bigint;
  /** Empty until the member has started for the first time. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  readonly clientUrls: readonly string[];
  readonly learner: boolean;
}

interface NotYet {
  /** Nothing changed, ask again later: the learner has not caught up, or some member was not connected for 5 s. */
  readonly kind: 'not-yet';
  readonly says: string;
}
interface Refused {
  /** etcd read the request and will not do it; nothing changed. */
  readonly kind: 'refused';
  readonly says: string;
}
interface Unknown {
  readonly kind: 'unknown';
  readonly says: string;
}

export type ListAnswer = { readonly kind: 'ok'; readonly members: readonly EtcdMember[] } | Unknown;
export type AddAnswer =
  | { readonly kind: 'ok'; readonly id: bigint; readonly members: readonly EtcdMember[] }
  | NotYet
  | Refused
  | Unknown;
export type PromoteAnswer = { readonly kind: 'ok' } | NotYet | Refused | Unknown;
export type RemoveAnswer = { readonly kind: 'ok' } | NotYet | Refused | Unknown;

export interface EtcdMembers {
  list(deadlineMs: number): Promise<ListAnswer>;
  /** A learner that is there already, with the same peer addresses, is 'ok'. */
  addLearner(peerUrls: readonly string[], deadlineMs: number): Promise<AddAnswer>;
  /** A member that votes already is 'ok'. */
  promote(id: bigint, deadlineMs: number): Promise<PromoteAnswer>;
  /** A member that is not there is 'ok'. */
  remove(id: bigint, deadlineMs: number): Promise<RemoveAnswer>;
  /** What the member that is asked says of itself; needs no quorum. */
  status(deadlineMs: number): Promise<StatusAnswer>;
  close(): void;
}

const list: Invoke<etcd.MemberListRequest, etcd.MemberListResponse> = (to, ...rest) =>
  to.cluster.memberList(...rest);
const add: Invoke<etcd.MemberAddRequest, etcd.MemberAddResponse> = (to, ...rest) =>
  to.cluster.memberAdd(...rest);
const promote: Invoke<etcd.MemberPromoteRequest, etcd.MemberPromoteResponse> = (to, ...rest) =>
  to.cluster.memberPromote(...rest);
const remove: Invoke<etcd.MemberRemoveRequest, etcd.MemberRemoveResponse> = (to, ...rest) =>
  to.cluster.memberRemove(...rest);

export function createEtcdMembers(address: EtcdAddress): EtcdMembers {
  const endpoints = createEndpoints(address);
  const caller = createCaller(endpoints);

  const listMembers = async (deadlineMs: number): Promise<ListAnswer> => {
    const outcome = await caller.call(list, {}, deadlineMs);
    if (outcome.kind === 'failed') return { kind: 'unknown', says: outcome.says };
    return { kind: 'ok', members: outcome.value.members.map(memberOf) };
  };

  return {
    list: listMembers,
    async addLearner(peerUrls, deadlineMs) {
      const until = performance.now() + deadlineMs;
      const outcome = await caller.call(add, { peerUrls: [...peerUrls], isLearner: true }, deadlineMs);
      if (outcome.kind === 'answer') {
        const { member, members } = outcome.value;
        if (member === undefined)
          return { kind: 'unknown', says: 'etcd added a member and did not say which' };
        return { kind: 'ok', id: member.id, members: members.map(memberOf) };
      }
      const failure = failureOf(outcome);
      // etcd counts learners before it compares addresses: the reason of a refusal does not tell whether it is there.
      if (failure.kind !== 'refused') return failure;
      const known = await listMembers(until - performance.now());
      if (known.kind !== 'ok') return known;
      const same = known.members.find((member) => member.learner && sameUrls(member.peerUrls, peerUrls));
      return same === undefined ? failure : { kind: 'ok', id: same.id, members: known.members };
    },
    async promote(id, deadlineMs) {
      const until = performance.now() + deadlineMs;
      const outcome = await caller.call(promote, { id }, deadlineMs);
      if (outcome.kind === 'answer') return { kind: 'ok' };
      const failure = failureOf(outcome);
      if (failure.kind === 'unknown') return failure;
      // etcd may answer "not in sync" for a member that votes. Who votes in any list does vote: nobody is demoted.
      const known = await listMembers(until - performance.now());
      const votes =
        known.kind === 'ok' && known.members.some((member) => member.id === id && !member.learner);
      return votes ? { kind: 'ok' } : failure;
    },
    async remove(id, deadlineMs) {
      const outcome = await caller.call(remove, { id }, deadlineMs);
      if (outcome.kind === 'answer' || outcome.code === status.NOT_FOUND) return { kind: 'ok' };
      return failureOf(outcome);
    },
    status: (deadlineMs) => statusBy(caller, deadlineMs),
    close: () => endpoints.close(),
  };
}

export interface EtcdStatus {
  readonly version: string;
  /** Of its database, with what is not used in it. */
  readonly dbBytes: number;
  /** The leader as this member knows it; null while it knows none. */
  readonly leader: bigint | null;
  /** This member. */
  readonly member: bigint;
  readonly raftTerm: bigint;
  readonly raftIndex: bigint;
  /** Of any member, such as NOSPACE. */
  readonly alarms: readonly string[];
}
export type StatusAnswer = { readonly kind: 'ok'; readonly status: EtcdStatus } | Unknown;

const askStatus: Invoke<etcd.StatusRequest, etcd.StatusResponse> = (to, ...rest) =>
  to.maintenance.status(...rest);

/** What one etcd member says of itself; needs no quorum. On a connection of its own, which is closed again. */
export async function statusOf(
  endpoint: string,
  tls: EtcdTls | null,
  deadlineMs: number,
): Promise<StatusAnswer> {
  const endpoints = createEndpoints({ endpoints: [endpoint], tls, localFirst: false });
  try {
    return await statusBy(createCaller(endpoints), deadlineMs);
  } finally {
    endpoints.close();
  }
}

async function statusBy(caller: Caller, deadlineMs: number): Promise<StatusAnswer> {
  const outcome = await caller.call(askStatus, {}, deadlineMs);
  if (outcome.kind === 'failed') return { kind: 'unknown', says: outcome.says };
  const { version, dbSize, leader, raftTerm, raftIndex, header, errors } = outcome.value;
  const said = {
    version,
    dbBytes: Number(dbSize),
    leader: leader === 0n ? null : leader,
    member: header?.memberId ?? 0n,
    raftTerm,
    raftIndex,
    alarms: errors.flatMap((error) => /\balarm:(\w+)/.exec(error)?.[1] ?? []),
  };
  return { kind: 'ok', status: said };
}

const askMove: Invoke<etcd.MoveLeaderRequest, etcd.MoveLeaderResponse> = (to, ...rest) =>
  to.maintenance.moveLeader(...rest);

export type MoveAnswer = { readonly kind: 'ok' } | Unknown;

/** Makes another member etcd's leader. Only the leader itself can. */
export async function moveLeader(
  leader: string,
  tls: EtcdTls | null,
  to: bigint,
  deadlineMs: number,
): Promise<MoveAnswer> {
  const endpoints = createEndpoints({ endpoints: [leader], tls, localFirst: false });
  try {
    const outcome = await createCaller(endpoints).call(askMove, { targetID: to }, deadlineMs);
    return outcome.kind === 'answer' ? { kind: 'ok' } : { kind: 'unknown', says: outcome.says };
  } finally {
    endpoints.close();
  }
}

function memberOf(member: etcd.Member): EtcdMember {
  return {
    id: member.id,
    name: member.name,
    peerUrls: member.peerUrls,
    clientUrls: member.clientUrls,
    learner: member.isLearner,
  };
}

function sameUrls(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join() === [...other].sort().join();
}

function failureOf(outcome: Extract<CallOutcome<unknown>, { kind: 'failed' }>): NotYet | Refused | Unknown {
  const { code, details, says } = outcome;
  // "unhealthy cluster" comes as UNAVAILABLE, but it is said before anything is proposed.
  if (details.includes('in sync with leader') || details === 'etcdserver: unhealthy cluster')
    return { kind: 'not-yet', says };
  return { kind: refusals.has(code) ? 'refused' : 'unknown', says };
}

const refusals: ReadonlySet<status> = new Set([
  status.FAILED_PRECONDITION,
  status.INVALID_ARGUMENT,
  status.NOT_FOUND,
  status.ALREADY_EXISTS,
]);
