/** Services that answer nothing but what a story needs, and a server that runs them for one story. */
import { admin, agents, members } from '@holdfast/proto';
import type { WireCredentials } from '../src/certificate.ts';
import { RpcClient, type ConnectOptions } from '../src/rpc-client.ts';
import { listenRpc, type ListenOptions, type RpcServer } from '../src/rpc-server.ts';
import {
  adminService,
  agentsService,
  membersService,
  type AdminHandlers,
  type AgentsHandlers,
  type MembersHandlers,
  type Service,
} from '../src/rpc-services.ts';
import { failure } from '../src/wire-error.ts';
import { value } from './cluster.ts';

const notInThisStory = () => Promise.resolve(failure('internal', 'not in this story'));

export const fakeAdmin = (handlers: Partial<AdminHandlers> = {}): Service =>
  adminService({
    status: () => Promise.resolve({ kind: 'ok', value: statusReply('acme') }),
    events: notInThisStory,
    getDecision: notInThisStory,
    explain: notInThisStory,
    check: notInThisStory,
    createToken: notInThisStory,
    apply: notInThisStory,
    startOperation: notInThisStory,
    getOperation: notInThisStory,
    listOperations: notInThisStory,
    setMaintenance: () => Promise.resolve({ kind: 'ok', value: { changed: true } }),
    removeMember: notInThisStory,
    pauseMirror: notInThisStory,
    runMirror: notInThisStory,
    ...handlers,
  });

export const fakeAgents = (handlers: Partial<AgentsHandlers> = {}): Service =>
  agentsService({
    renew: (request) => Promise.resolve({ kind: 'ok', value: renewReply(request.next) }),
    watch: notInThisStory,
    report: notInThisStory,
    ...handlers,
  });

export const fakeMembers = (handlers: Partial<MembersHandlers> = {}): Service =>
  membersService({
    join: (request, call) =>
      Promise.resolve({
        kind: 'ok',
        value: members.JoinReply.fromPartial({
          cluster: 'acme',
          warnings: [call.peer?.id ?? 'nobody', request.node],
        }),
      }),
    enrol: notInThisStory,
    ...handlers,
  });

export const statusReply = (cluster: string): admin.StatusReply => admin.StatusReply.fromPartial({ cluster });
export const renewReply = (current: string): agents.RenewReply =>
  agents.RenewReply.fromPartial({ committed: true, current });
export const renewOf = (server: string): agents.RenewRequest =>
  agents.RenewRequest.fromPartial({ server, next: `life of ${server}` });
export const joinOf = (node: string): members.JoinRequest => members.JoinRequest.fromPartial({ node });

/** Owns what a story opens and closes all of it at the end, whatever happened. */
export class Stage {
  readonly #closers: (() => Promise<void> | void)[] = [];

  async serve(
    credentials: WireCredentials,
    services: readonly Service[],
    more: Partial<ListenOptions> = {},
  ): Promise<RpcServer> {
    const server = value(await listenRpc({ credentials, services, host: '127.0.0.1', port: 0, ...more }));
    this.onEnd(() => server.close(0));
    return server;
  }

  connect(credentials: WireCredentials, port: number, more: Partial<ConnectOptions> = {}): RpcClient {
    const client = new RpcClient({
      trust: { kind: 'member', credentials },
      addresses: ['127.0.0.1'],
      port,
      ...more,
    });
    this.onEnd(() => {
      client.close();
    });
    return client;
  }

  onEnd(close: () => Promise<void> | void): void {
    this.#closers.unshift(close);
  }

  async end(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
  }
}
