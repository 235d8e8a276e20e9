/** What agents ask of a quorum service: commit a renewal, tell what changes, take a report. */

import { configToJson, keys, parseRenewal } from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import { failure, type AgentsHandlers, type Answer, type MemberCall, type Send } from '@holdfast/wire/rpc';
import { defaultPorts } from '@holdfast/wire/directory';
import { parseMemberRow } from './member-row.ts';
import type { QuorumService } from './service.ts';

const noteBytesMax = 16_384;
const problemsMax = 200;
const storeMs = 2_000;
const aliveEveryMs = 2_000;

/** Null while this member has no vote yet, and so no store. */
export type CurrentService = () => QuorumService | null;

const notVoting = (): Answer<never> => failure('unreachable', 'this member does not vote yet: ask another');

export function agentHandlers(current: CurrentService): AgentsHandlers {
  return {
    async renew(request) {
      const service = current();
      return service === null ? notVoting() : renew(service, request);
    },
    async watch(_request, send, call) {
      const service = current();
      if (service === null) return notVoting();
      await watch(service, send, call);
      return { kind: 'ok', value: null };
    },
    async report(request) {
      const service = current();
      return service === null ? notVoting() : report(service, request);
    },
  };
}

async function renew(
  service: QuorumService,
  request: agents.RenewRequest,
): Promise<Answer<agents.RenewReply>> {
  const next = parseRenewal(request.next);
  if (next.kind === 'garbage') return failure('invalid', next.says);
  const { view, storeAnsweredAt } = service.state;
  if (storeAnsweredAt !== null && !view.members.has(request.server)) return noMember(request.server);
  if (next.value.server !== request.server) return failure('invalid', 'a server renews only for itself');
  const notes = request.notes.filter((n) => n.text.length <= noteBytesMax && /^[\w.-]{1,128}$/.test(n.id));
  const result = await service.renew({
    server: request.server,
    previous: request.previous === '' ? null : request.previous,
    next: request.next,
    notes,
  });
  const configRevision = service.state.view.config?.modRevision ?? 0n;
  switch (result.kind) {
    case 'committed':
      return {
        kind: 'ok',
        value: {
          committed: true,
          current: request.next,
          revision: result.revision,
          groups: [...result.groups],
          configRevision,
        },
      };
    case 'conflict':
      return {
        kind: 'ok',
        value: {
          committed: false,
          current: result.current ?? '',
          revision: result.revision,
          groups: [...result.groups],
          configRevision,
        },
      };
    case 'no-answer':
      return failure('unreachable', result.says);
  }
}

/** Sends everything once, then whatever changes, as one whole state each time: a lost push costs nothing. */
async function watch(service: QuorumService, send: Send<agents.WatchReply>, call: MemberCall): Promise<void> {
  let sentConfig = -1n;
  let dirty = true;
  let wake: (() => void) | null = null;
  const stop = service.onPush(() => {
    dirty = true;
    wake?.();
  });
  const onAbort = (): void => wake?.();
  call.signal.addEventListener('abort', onAbort);
  try {
    while (!call.signal.aborted) {
      if (service.state.storeAnsweredAt !== null) {
        dirty = false;
        const news = newsOf(service, sentConfig);
        if (news.config !== '') sentConfig = news.configRevision;
        if (!(await send(news))) return;
      }
      if (isDirty()) continue;
      await pause((resolve) => (wake = resolve));
    }
  } finally {
    stop();
    call.signal.removeEventListener('abort', onAbort);
  }

  function isDirty(): boolean {
    return dirty && service.state.storeAnsweredAt !== null;
  }
}

/** Until there is news; at the latest after a while, so that the other end sees that we live. */
function pause(arm: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, aliveEveryMs);
    arm(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function newsOf(service: QuorumService, sentConfig: bigint): agents.WatchReply {
  const { view } = service.state;
  const configRevision = view.config?.modRevision ?? 0n;
  const fresh = view.config !== null && configRevision !== sentConfig;
  return {
    revision: view.revision,
    groups: [...view.groups.values()].map((held) => held.text),
    groupRevisions: [...view.groups.values()].map((held) => held.modRevision),
    config: fresh ? JSON.stringify(configToJson(view.config.value)) : '',
    configRevision,
    members: [...view.members.values()].map(({ text, value }) => memberRow(text, value)),
    maintenance: view.maintenance?.text ?? '',
    pauses: view.pauses?.text ?? '',
  };
}

function memberRow(
  text: string,
  member: {
    readonly id: string;
    readonly role: string;
    readonly addresses: readonly string[];
    readonly voter: boolean;
  },
): agents.MemberRow {
  const row = parseMemberRow(text);
  return {
    id: member.id,
    role: member.role,
    addresses: [...member.addresses],
    grpcPort: row?.ports.grpc ?? defaultPorts.grpc,
    heartbeatPort: row?.ports.heartbeat ?? defaultPorts.heartbeat,
    voter: member.voter,
    mirrorPort: row?.ports.mirror ?? defaultPorts.mirror,
  };
}

/** Not definite: one that joined a moment ago may be known elsewhere already. */
const noMember = (server: string): Answer<never> =>
  failure('unreachable', `${server} is no member of this cluster, or was removed from it`);

export async function report(
  service: Pick<QuorumService, 'state' | 'storeNow'>,
  request: agents.ReportRequest,
): Promise<Answer<agents.ReportReply>> {
  const { server } = request;
  const member = service.state.view.members.get(server);
  if (member === undefined) return noMember(server);
  const value = JSON.stringify(request.problems.slice(0, problemsMax));
  const answer = await service.storeNow.txn(
    {
      // Nobody would take away what is put after its member was removed.
      compares: [{ kind: 'mod-revision', key: keys.member(server), revision: member.modRevision }],
      puts: [{ key: keys.problemsOf(server), value }],
      deletes: [],
      reads: [],
    },
    storeMs,
  );
  switch (answer.kind) {
    case 'succeeded':
      return { kind: 'ok', value: {} };
    case 'compare-failed':
      return failure('unreachable', `the record of ${server} changed just now`);
    case 'unknown':
      return failure('unreachable', 'the store does not answer');
  }
}
