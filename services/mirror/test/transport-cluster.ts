/** Members with real certificates, and lines between them, for the tests of the transport. */
import { type Peer, type WireCredentials } from '@holdfast/wire/directory';
import { createAuthority, createSigningRequest, issueCertificate, type Authority } from '@holdfast/wire/pki';
import { dial } from '../src/transport/dial.ts';
import { listen } from '../src/transport/listener.ts';
import type { Connection, DialOptions, Hello, Listener, ListenOptions } from '../src/transport/types.ts';

interface TestCluster {
  readonly name: string;
  readonly authority: Authority;
}

export const testCluster = async (name = 'acme'): Promise<TestCluster> => ({
  name,
  authority: await createAuthority(name),
});

export async function credentials(
  of: TestCluster,
  id: string,
  role: Peer['role'] = 'server',
  dates: { readonly nowMs?: number; readonly lifeMs?: number } = {},
): Promise<WireCredentials> {
  const { request, key } = await createSigningRequest(id);
  const peer = { cluster: of.name, role, id };
  const issued = await issueCertificate(of.authority, request, { peer, addresses: [], ...dates });
  if (issued.kind === 'error') throw new Error(issued.error.says);
  return { cluster: of.name, authority: of.authority.certificate, certificate: issued.value, key };
}

export async function listening(
  options: Partial<ListenOptions> & Pick<ListenOptions, 'credentials'>,
): Promise<Listener> {
  const listened = await listen({ host: '127.0.0.1', port: 0, ...options });
  if (listened.kind === 'failed') throw new Error(listened.says);
  return listened.listener;
}

export async function dialed(options: DialOptions): Promise<Connection> {
  const answer = await dial(options);
  if (answer.kind === 'failed') throw new Error(`${answer.failure.kind}: ${answer.failure.says}`);
  return answer.connection;
}

export const helloOf = (cluster: string, member: string, mirror = 'd3/data'): Hello => ({
  kind: 'hello',
  protocol: 1,
  cluster,
  member,
  mirror,
  role: 'source',
  epoch: 3n,
  position: { epoch: 2n, sequence: 17, checksum: '00000000000000ff' },
  history: [
    { epoch: 1n, sequence: 9 },
    { epoch: 2n, sequence: 17 },
  ],
  selection: Buffer.from('all'),
  consistent: true,
  parts: [],
  foreign: false,
  compareRanges: 0,
});

/** Waits for a condition, never longer than `limitMs`. */
export async function until(what: string, condition: () => boolean, limitMs = 5_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}
