/** What this quorum service passes on to the one of another member, in the name of whoever asked. */
import { admin } from '@holdfast/proto';
import type { KnownMember, MemberDirectory } from '@holdfast/wire/directory';
import { connectRpc, failure, type Answer, type RpcClient } from '@holdfast/wire/rpc';

const startMs = 5_000;

export class OtherMembers {
  readonly #directory: MemberDirectory;
  readonly #known: () => readonly KnownMember[];

  constructor(directory: MemberDirectory, known: () => readonly KnownMember[]) {
    this.#directory = directory;
    this.#known = known;
  }

  async start(
    member: string,
    request: admin.StartOperationRequest,
  ): Promise<Answer<admin.StartOperationReply>> {
    const client = this.#connect(member);
    if (client === null) return failure('unreachable', `${member} leads, and is not known here`);
    try {
      return await client.call(admin.AdminService.startOperation, request, startMs);
    } finally {
      client.close();
    }
  }

  async *runMirror(
    member: string,
    request: admin.RunMirrorRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Answer<admin.RunMirrorReply>, void, undefined> {
    const client = this.#connect(member);
    if (client === null) {
      yield failure('unreachable', `${member} is not known here`);
      return;
    }
    try {
      yield* client.stream(admin.AdminService.runMirror, request, { signal });
    } finally {
      client.close();
    }
  }

  #connect(member: string): RpcClient | null {
    const to = this.#known().find((m) => m.id === member);
    if (to === undefined) return null;
    const { addresses, ports } = to;
    const { credentials } = this.#directory;
    return connectRpc({ trust: { kind: 'member', credentials }, addresses, port: ports.grpc, member });
  }
}
