/**
 * The cluster as a command reaches it: this directory's own member first, then every voter that it knows, then the rest.
 *
 * Q1. A read is answered within `readMs` or there is no member to reach. Q2. What may be done twice is asked of the next
 * member when one does not answer; what may not is asked of one member that has just answered.
 */
import type { admin } from '@holdfast/proto';
import type { KnownMember, MemberDirectory, MemberRecord } from '@holdfast/wire/directory';
import type { Answer, PoolMember, RpcClient, RpcPool, UnaryMethod } from '@holdfast/wire/rpc';
import type { AdminClient } from './admin-client.ts';
import { nobodyAnswered } from './nobody-answered.ts';
import { directoryTrouble, ok, type Fallible } from './trouble.ts';

const readMs = 3000;
const changeMs = 10_000;
const hedgeMs = 250;
const streamOpenMs = 1500;

type AdminModule = typeof admin;
type RpcModule = typeof import('@holdfast/wire/rpc');

/** Whom to ask, nearest first. */
export function membersToAsk(record: MemberRecord): readonly PoolMember[] {
  const host = record.role === 'server' || record.role === 'witness';
  const self: readonly PoolMember[] = host
    ? [
        {
          id: record.id,
          addresses: [...new Set(['127.0.0.1', ...record.addresses])],
          port: record.ports.grpc,
        },
      ]
    : [];
  const others = record.members.filter(
    (member) => member.id !== record.id && (member.role === 'server' || member.role === 'witness'),
  );
  const voters = others.filter((member) => member.voter);
  const rest = others.filter((member) => !member.voter);
  return [...self, ...[...voters, ...rest].filter((member) => member.addresses.length > 0).map(asked)];
}

const asked = ({ id, addresses, ports }: KnownMember): PoolMember => ({ id, addresses, port: ports.grpc });

/** Opens the directory and makes a client; nothing is sent before the first call. */
export async function connectAdmin(dir: string): Promise<Fallible<AdminClient>> {
  // Loading gRPC takes longer than reading the directory: both at once.
  const [{ openMemberDirectory }, rpc, { admin: contract }] = await Promise.all([
    import('@holdfast/wire/directory'),
    import('@holdfast/wire/rpc'),
    import('@holdfast/proto'),
  ]);
  const opened = await openMemberDirectory(dir);
  if (opened.kind === 'error') return directoryTrouble(opened.error);
  return ok(new MemberConnection(opened.value, rpc, contract));
}

class MemberConnection implements AdminClient {
  readonly #directory: MemberDirectory;
  readonly #methods: AdminModule['AdminService'];
  readonly #pool: RpcPool;
  readonly #permitted: Answer<unknown>;

  constructor(directory: MemberDirectory, rpc: RpcModule, contract: AdminModule) {
    this.#directory = directory;
    this.#methods = contract.AdminService;
    this.#permitted = rpc.permit(rpc.change, directory.record, null);
    this.#pool = new rpc.RpcPool(
      { kind: 'member', credentials: directory.credentials },
      membersToAsk(directory.record),
    );
  }

  mayChange(): Answer<unknown> {
    return this.#permitted;
  }

  status(): Promise<Answer<admin.StatusReply>> {
    return this.#read(this.#methods.status, {});
  }

  getDecision(request: admin.GetDecisionRequest): Promise<Answer<admin.GetDecisionReply>> {
    return this.#read(this.#methods.getDecision, request);
  }

  explain(request: admin.ExplainRequest): Promise<Answer<admin.ExplainReply>> {
    return this.#read(this.#methods.explain, request);
  }

  check(request: admin.CheckRequest): Promise<Answer<admin.CheckReply>> {
    return this.#read(this.#methods.check, request);
  }

  getOperation(request: admin.GetOperationRequest): Promise<Answer<admin.Operation>> {
    return this.#read(this.#methods.getOperation, request);
  }

  listOperations(request: admin.ListOperationsRequest): Promise<Answer<admin.ListOperationsReply>> {
    return this.#read(this.#methods.listOperations, request);
  }

  async *events(
    request: admin.EventsRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<Answer<admin.Event>, void, undefined> {
    const options = { openMs: streamOpenMs, ...(signal !== undefined && { signal }) };
    for await (const answer of this.#pool.stream(this.#methods.events, request, options)) {
      yield answer.kind === 'ok' ? answer : this.#explained(answer);
    }
  }

  pauseMirror(request: admin.PauseMirrorRequest): Promise<Answer<admin.PauseMirrorReply>> {
    return this.#change(this.#methods.pauseMirror, request);
  }

  /** Q2: asked of the member that has just answered. */
  async *runMirror(
    request: admin.RunMirrorRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<Answer<admin.RunMirrorReply>, void, undefined> {
    const client = await this.#answering();
    if (client.kind === 'error') {
      yield client;
      return;
    }
    const options = { openMs: streamOpenMs, ...(signal !== undefined && { signal }) };
    yield* client.value.stream(this.#methods.runMirror, request, options);
  }

  createToken(request: admin.CreateTokenRequest): Promise<Answer<admin.CreateTokenReply>> {
    return this.#change(this.#methods.createToken, request);
  }

  apply(request: admin.ApplyRequest): Promise<Answer<admin.ApplyReply>> {
    return this.#change(this.#methods.apply, request);
  }

  setMaintenance(request: admin.SetMaintenanceRequest): Promise<Answer<admin.SetMaintenanceReply>> {
    return this.#change(this.#methods.setMaintenance, request);
  }

  removeMember(request: admin.RemoveMemberRequest): Promise<Answer<admin.RemoveMemberReply>> {
    return this.#change(this.#methods.removeMember, request);
  }

  async startOperation(request: admin.StartOperationRequest): Promise<Answer<admin.StartOperationReply>> {
    const client = await this.#answering();
    if (client.kind === 'error') return client;
    return client.value.call(this.#methods.startOperation, request, changeMs);
  }

  close(): void {
    this.#pool.close();
  }

  /** Q2: the one member that has just answered. */
  async #answering(): Promise<Answer<RpcClient>> {
    const found = await this.status();
    if (found.kind === 'error') return found;
    const answered = this.#pool.preferred ?? this.#pool.members[0]?.id;
    const client = answered === undefined ? null : this.#pool.client(answered);
    if (client === null) throw new Error('a member answered that is not known');
    return ok(client);
  }

  /** Q1. */
  async #read<Request, Reply>(method: UnaryMethod<Request, Reply>, request: Request): Promise<Answer<Reply>> {
    return this.#explained(await this.#pool.call(method, request, { deadlineMs: readMs, hedgeMs }));
  }

  /** Q2: never asked of two at the same time. */
  async #change<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    request: Request,
  ): Promise<Answer<Reply>> {
    const found = await this.status();
    if (found.kind === 'error') return found;
    return this.#pool.call(method, request, { deadlineMs: changeMs, hedgeMs: changeMs });
  }

  /** A read that nobody answered: a person needs to know who was asked. */
  #explained<Reply>(answer: Answer<Reply>): Answer<Reply> {
    if (answer.kind === 'ok') return answer;
    const { error } = answer;
    const message = nobodyAnswered(this.#directory, this.#pool.members, error);
    if (error.kind === 'unreachable' || error.kind === 'deadline')
      return { kind: 'error', error: { kind: 'unreachable', message } };
    return error.kind === 'certificate' ? { kind: 'error', error: { ...error, message } } : answer;
  }
}
