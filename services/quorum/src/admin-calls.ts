/** What administrators ask. Commands that only the leader may carry out are passed on to it. */

import type { QuorumCommand, StepRecord } from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { bootMs, type MemberDirectory, type MemberRecord } from '@holdfast/wire/directory';
import { failure, type AdminHandlers, type Answer, type MemberCall } from '@holdfast/wire/rpc';
import { makeToken } from './admission.ts';
import type { CurrentService } from './agent-calls.ts';
import { apply } from './apply.ts';
import { check } from './check.ts';
import type { EtcdMembers } from './etcd/members.ts';
import { streamEvents } from './event-stream.ts';
import { explain } from './explain.ts';
import { endedMessage, readDecision, readOperation, readOperations, runningMessage } from './history.ts';
import { setMaintenance } from './maintenance.ts';
import { pauseMirror } from './pauses.ts';
import { removeMember } from './removal.ts';
import { runMirror, type MirrorSurroundings } from './mirror-calls.ts';
import type { QuorumService } from './service.ts';
import { statusOf } from './status.ts';
import type { StoreHealth } from './voter-health.ts';

export interface AdminSurroundings {
  readonly directory: MemberDirectory;
  readonly current: CurrentService;
  /** Which voters' stores answer; at most a moment old. */
  storeHealth(): Promise<StoreHealth>;
  /** Null while this member's own etcd does not vote. */
  voters(): EtcdMembers | null;
  /** Asks another member the same question, in the name of its caller. */
  forward(member: string, request: admin.StartOperationRequest): Promise<Answer<admin.StartOperationReply>>;
  readonly mirrors: MirrorSurroundings;
}

export function adminHandlers(around: AdminSurroundings): AdminHandlers {
  const { directory } = around;
  const { record } = directory;
  const cluster = { name: record.cluster, externalEtcd: record.externalEtcd !== null };
  const withService = async <T>(work: (service: QuorumService) => Promise<Answer<T>>): Promise<Answer<T>> => {
    const service = around.current();
    if (service === null) return notReady(record);
    if (service.state.storeAnsweredAt === null)
      return failure('unreachable', "the cluster's store does not answer yet");
    return work(service);
  };
  return {
    status: () =>
      withService(async (service) => {
        const health = await around.storeHealth();
        return { kind: 'ok', value: statusOf(service.state, cluster, health, bootMs(), Date.now()) };
      }),
    events: async (request, send, call) => {
      const service = around.current();
      if (service === null) return notReady(record);
      const noSuch = (group: string) => {
        const { storeAnsweredAt, view } = service.state;
        const maybe = storeAnsweredAt === null || view.config?.value.groups.has(group) === true;
        return maybe ? null : noGroup(service, group);
      };
      return streamEvents(() => service.storeNow, request, { send, signal: call.signal }, noSuch);
    },
    getDecision: (request) => withService((service) => readDecision(service.storeNow, request.event)),
    explain: (request) =>
      withService<admin.ExplainReply>((service) => {
        const reply = explain(service.state, request.group, bootMs(), Date.now());
        return Promise.resolve(
          reply === null ? noGroup(service, request.group) : { kind: 'ok', value: reply },
        );
      }),
    check: (request) =>
      withService<admin.CheckReply>(async (service) => {
        const known = service.state.view.config?.value.groups;
        if (request.group !== '' && known?.has(request.group) !== true)
          return noGroup(service, request.group);
        const health = await around.storeHealth();
        return { kind: 'ok', value: await check(service, cluster, request.group, health, bootMs()) };
      }),
    createToken: (request, call) =>
      withService((service) => makeToken(directory, service, request, call.peer.id, Date.now())),
    apply: (request, call) => withService((service) => apply(service, request, call.peer.id, Date.now())),
    startOperation: (request, call) => withService((service) => start(service, around, request, call)),
    getOperation: (request) => withService((service) => getOperation(service, request.id)),
    listOperations: (request) => withService((service) => listOperations(service, request.group)),
    setMaintenance: (request, call) =>
      withService((service) => setMaintenance(service, request, call.peer.id, Date.now())),
    removeMember: (request, call) =>
      withService((service) => removeMember(service, around.voters(), request, call.peer.id, Date.now())),
    pauseMirror: (request, call) =>
      withService((service) => pauseMirror(service, request, call.peer.id, Date.now())),
    runMirror: (request, send, call) => runMirror(around.mirrors, request, send, call),
  };
}

/** A voter that has just started does not vote yet, and nobody has to do anything. */
export function notReady({ id, members }: Pick<MemberRecord, 'id' | 'members'>): Answer<never> {
  const votes = members.some((m) => m.id === id && m.voter);
  const says = votes
    ? `${id} has not begun yet: ask again in some seconds, or another member`
    : `${id} does not vote yet: ask another member`;
  return failure('unreachable', says);
}

function noGroup(service: QuorumService, group: string): Answer<never> {
  const names = [...(service.state.view.config?.value.groups.keys() ?? [])];
  return failure(
    'not-found',
    `there is no group ${group}; groups: ${names.length === 0 ? 'none' : names.join(', ')}`,
  );
}

async function start(
  service: QuorumService,
  around: AdminSurroundings,
  request: admin.StartOperationRequest,
  call: MemberCall,
): Promise<Answer<admin.StartOperationReply>> {
  const wanted = commandOf(request);
  if (wanted === null) return failure('invalid', `"${request.kind}" is not an operation`);
  const by = askedBy(request, call);
  const result = await service.command(wanted, by, request.dryRun);
  switch (result.kind) {
    case 'accepted':
      return {
        kind: 'ok',
        value: {
          operation: result.operation,
          steps: [...result.steps],
          verdict: result.reason,
          warnings: [],
        },
      };
    case 'refused':
      return failure('unsafe', result.says);
    case 'invalid':
      return failure('invalid', result.says);
    case 'unknown':
      return failure('deadline', `the cluster's store does not answer: ${result.says}`);
    case 'not-leader':
      if (result.leader === null || result.leader === around.directory.record.id) {
        return failure('unreachable', 'nobody leads the cluster at the moment; try again');
      }
      return around.forward(result.leader, { ...request, by });
  }
}

/** Operators speak for themselves only. */
function askedBy({ by }: admin.StartOperationRequest, { peer }: MemberCall): string {
  const passesOn = peer.role === 'server' || peer.role === 'witness';
  return passesOn && by !== '' ? by : peer.id;
}

function commandOf(request: admin.StartOperationRequest): QuorumCommand | null {
  const to = request.to === '' ? null : request.to;
  switch (request.kind) {
    case 'switchover':
    case 'failback':
      return { kind: request.kind, group: request.target, to };
    case 'failover':
      return { kind: 'failover', group: request.target, to, force: request.force };
    case 'release':
      return { kind: 'release', group: request.target, force: request.force };
    case 'approve':
    case 'deny':
      return { kind: request.kind, operation: request.target };
    default:
      return null;
  }
}

async function getOperation(service: QuorumService, id: string): Promise<Answer<admin.Operation>> {
  const running = runningOperations(service).find((op) => op.id === id);
  if (running !== undefined) return { kind: 'ok', value: running };
  const ended = await readOperation(service.storeNow, id);
  return ended.kind === 'ok' ? { kind: 'ok', value: endedMessage(ended.value) } : ended;
}

async function listOperations(
  service: QuorumService,
  group: string,
): Promise<Answer<admin.ListOperationsReply>> {
  const ended = await readOperations(service.storeNow);
  if (ended === null) return failure('unreachable', "the cluster's store does not answer");
  const all = [...ended.map(endedMessage), ...runningOperations(service)];
  return { kind: 'ok', value: { operations: all.filter((op) => group === '' || op.group === group) } };
}

/** With the steps that the servers told so far. */
function runningOperations(service: QuorumService): readonly admin.Operation[] {
  const { view } = service.state;
  return [...view.groups.values()].flatMap(({ value }) => {
    const op = value.operation;
    if (op === null) return [];
    const own = value.ownership;
    const owner = own.kind === 'unowned' ? null : own.owner;
    const told =
      owner === null
        ? undefined
        : view.renewals.get(owner)?.value.groups.find((g) => g.group === value.group);
    const steps: readonly StepRecord[] =
      told?.epoch === own.epoch && told.state !== 'active' ? told.steps : [];
    return [runningMessage(op, steps)];
  });
}
