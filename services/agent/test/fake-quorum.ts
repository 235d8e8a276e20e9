/**
 * A quorum service in this process, behind the real gRPC and mutual TLS: it keeps renewals by compare-and-swap and says
 * who owns what as a story tells it. It decides nothing.
 */
import { configToJson, encode, parseRenewal } from '@holdfast/core';
import type { ClusterConfig, EventRecord, GroupRecord, Ownership, RenewalRecord } from '@holdfast/core';
import { parseEvent } from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import type { KnownMember, WireCredentials } from '@holdfast/wire/directory';
import { agentsService, failure, listenRpc, type RpcServer } from '@holdfast/wire/rpc';

export class FakeQuorum {
  readonly renewals = new Map<string, { readonly text: string; readonly record: RenewalRecord }>();
  readonly groups = new Map<string, { readonly record: GroupRecord; readonly revision: bigint }>();
  readonly events: EventRecord[] = [];
  readonly reports = new Map<string, readonly agents.Problem[]>();
  readonly known: KnownMember[] = [];
  config: ClusterConfig | null = null;
  /** No renewal is answered. */
  deaf = false;
  /** The watch says nothing. */
  silent = false;
  renewed = 0;
  watches = 0;
  #revision = 10n;
  #configRevision = 0n;
  #server: RpcServer | null = null;
  readonly #news = new Set<() => void>();

  get port(): number {
    return this.#server?.port ?? 0;
  }

  async open(credentials: WireCredentials, host: string): Promise<void> {
    const listened = await listenRpc({
      credentials,
      host,
      port: 0,
      services: [
        agentsService({
          renew: (request) =>
            Promise.resolve(
              this.deaf
                ? failure('unreachable', 'the store does not answer')
                : { kind: 'ok' as const, value: this.#renew(request) },
            ),
          watch: async (_request, send, call) => {
            this.watches += 1;
            let sent = -1n;
            while (!call.signal.aborted) {
              if (!this.silent && !(await send(this.#newsSince(sent)))) break;
              if (!this.silent) sent = this.#configRevision;
              await this.#pause(call.signal);
            }
            return { kind: 'ok', value: null };
          },
          report: (request) => {
            this.reports.set(request.server, request.problems);
            return Promise.resolve({ kind: 'ok', value: {} });
          },
        }),
      ],
    });
    if (listened.kind === 'error') throw new Error(listened.error.says);
    this.#server = listened.value;
  }

  async close(): Promise<void> {
    await this.#server?.close(0);
  }

  configure(config: ClusterConfig): void {
    this.config = config;
    this.#revision += 1n;
    this.#configRevision = this.#revision;
    this.#tell();
  }

  own(group: string, ownership: Ownership, reason = 'the story says so'): void {
    this.#revision += 1n;
    const record: GroupRecord = {
      group,
      ownership,
      operation: null,
      ownerBoot: null,
      failovers: [],
      reason,
      since: 0,
      takeoverMs: [],
    };
    this.groups.set(group, { record, revision: this.#revision });
    this.#tell();
  }

  reportOf(server: string, group: string) {
    return this.renewals.get(server)?.record.groups.find((g) => g.group === group) ?? null;
  }

  #renew(request: agents.RenewRequest): agents.RenewReply {
    const current = this.renewals.get(request.server)?.text ?? '';
    const committed = current === request.previous;
    if (committed) {
      const record = parseRenewal(request.next);
      if (record.kind === 'garbage') throw new Error(record.says);
      this.#revision += 1n;
      this.renewed += 1;
      this.renewals.set(request.server, { text: request.next, record: record.value });
      for (const note of request.notes) {
        const event = parseEvent(note.text);
        if (event.kind === 'garbage') throw new Error(event.says);
        this.events.push(event.value);
      }
    }
    return {
      committed,
      current: committed ? request.next : current,
      revision: this.#revision,
      groups: this.#groupTexts(),
      configRevision: this.#configRevision,
    };
  }

  #groupTexts(): string[] {
    return [...this.groups.values()].map(({ record }) => encode(record));
  }

  #newsSince(sent: bigint): agents.WatchReply {
    return {
      revision: this.#revision,
      groups: this.#groupTexts(),
      groupRevisions: [...this.groups.values()].map(({ revision }) => revision),
      config:
        this.config !== null && this.#configRevision > sent ? JSON.stringify(configToJson(this.config)) : '',
      configRevision: this.#configRevision,
      members: this.known.map(({ id, role, addresses, voter, ports }) => ({
        id,
        role,
        addresses: [...addresses],
        voter,
        grpcPort: ports.grpc,
        heartbeatPort: ports.heartbeat,
        mirrorPort: ports.mirror,
      })),
      maintenance: '',
      pauses: '',
    };
  }

  #tell(): void {
    for (const wake of this.#news) wake();
  }

  #pause(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        this.#news.delete(end);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, 500);
      this.#news.add(end);
      signal.addEventListener('abort', end);
    });
  }
}
