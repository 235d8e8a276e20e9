/** init, join and the way to a member, against a real gRPC server with real certificates on loopback. */
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  decodeToken,
  createToken,
  encodeToken,
  fingerprint,
  openMemberDirectory,
  updateRecord,
  type JoinToken,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { createSigningRequest, issueCertificate } from '@holdfast/wire/pki';
import {
  adminService,
  failure,
  listenRpc,
  membersService,
  type AdminHandlers,
  type RpcServer,
} from '@holdfast/wire/rpc';
import { parseSeed } from '../src/commands/join.ts';
import { connectAdmin, membersToAsk } from '../src/member-connection.ts';
import { ok } from '../src/trouble.ts';
import { event, FakeCluster, operation, run, statusReply, type Ran } from './fake-cluster.ts';

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server: Server = createServer();
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}

const no = failure('invalid', 'not part of this story');

function adminHandlers(answers: Partial<AdminHandlers> = {}): AdminHandlers {
  const refuse = (): Promise<typeof no> => Promise.resolve(no);
  return {
    status: () => Promise.resolve(ok(statusReply({ cluster: 'acme' }))),
    events: async (_request, send) => {
      await send(event('e1'));
      return ok(null);
    },
    getDecision: refuse,
    explain: refuse,
    check: refuse,
    createToken: refuse,
    apply: refuse,
    startOperation: () => Promise.resolve(ok({ operation: 'op-7', steps: [], verdict: '', warnings: [] })),
    getOperation: () => Promise.resolve(ok(operation())),
    listOperations: refuse,
    setMaintenance: refuse,
    removeMember: refuse,
    pauseMirror: refuse,
    runMirror: refuse,
    ...answers,
  };
}

/** The founder of a cluster, which admits whoever has the one token. */
class Founder {
  readonly token: JoinToken;
  readonly #directory: MemberDirectory;
  #server: RpcServer | null = null;
  #admitted = 0;

  constructor(directory: MemberDirectory) {
    this.#directory = directory;
    this.token = createToken('acme', 'server', fingerprint(directory.authority));
  }

  async listen(answers: Partial<AdminHandlers> = {}): Promise<void> {
    const { record, credentials } = this.#directory;
    const services = [adminService(adminHandlers(answers)), this.#members()];
    const listening = await listenRpc({ credentials, host: '127.0.0.1', port: record.ports.grpc, services });
    if (listening.kind === 'error') throw new Error(listening.error.says);
    this.#server = listening.value;
  }

  async close(): Promise<void> {
    await this.#server?.close(200);
    this.#server = null;
  }

  #members(): ReturnType<typeof membersService> {
    return membersService({
      join: async (request) => {
        if (request.tokenSecret !== this.token.secret || this.#admitted > 0)
          return failure('refused', 'the token is unknown, or was used already');
        const { authority, authorityKey, heartbeatKey, record } = this.#directory;
        if (authorityKey === null || heartbeatKey === null) throw new Error('a founder has all keys');
        const peer = { cluster: 'acme', role: 'server' as const, id: request.node };
        const order = { peer, addresses: request.addresses };
        const issued = await issueCertificate(
          { certificate: authority, key: authorityKey },
          request.signingRequest,
          order,
        );
        if (issued.kind === 'error') return failure('invalid', issued.error.says);
        this.#admitted += 1;
        const members = record.members.map((member) => ({ ...member, addresses: [...member.addresses] }));
        return ok({
          cluster: 'acme',
          certificate: issued.value,
          authority,
          heartbeatKey,
          authorityKey,
          members,
          warnings: ['two members alone: no automatic failover is safe'],
          externalEtcd: [],
        });
      },
      enrol: () => Promise.resolve(no),
    });
  }
}

let folder = '';
let founder: Founder;
let port = 0;

/** A command line with the real way to a member. */
const real = (...argv: readonly string[]): Promise<Ran> =>
  run(new FakeCluster(), argv, { connect: connectAdmin });
const at = (name: string): string => join(folder, name);

async function openAt(name: string): Promise<MemberDirectory> {
  const opened = await openMemberDirectory(at(name));
  if (opened.kind === 'error') throw new Error(opened.error.says);
  return opened.value;
}

/** The founder eleven years later. */
async function expired(directory: MemberDirectory): Promise<MemberDirectory> {
  const { authority, authorityKey, credentials, record } = directory;
  if (authorityKey === null) throw new Error('a founder has all keys');
  const { request, key } = await createSigningRequest(record.id);
  const peer = { cluster: record.cluster, role: record.role, id: record.id };
  const nowMs = Date.now() - 11 * 365 * 86_400_000;
  const order = { peer, addresses: record.addresses, nowMs };
  const issued = await issueCertificate({ certificate: authority, key: authorityKey }, request, order);
  if (issued.kind === 'error') throw new Error(issued.error.says);
  return { ...directory, credentials: { ...credentials, certificate: issued.value, key } };
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'));
  port = await freePort();
  const made = await real(
    'init',
    '--dir',
    at('a'),
    '--node',
    'a',
    '--cluster',
    'acme',
    '--address',
    '127.0.0.1',
    '--port-grpc',
    String(port),
  );
  expect(made).toMatchObject({ status: 0, err: '' });
  founder = new Founder(await openAt('a'));
});

afterEach(async () => {
  await founder.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('init', () => {
  it('makes a founder with a vote, and starts nothing', async () => {
    const { record, heartbeatKey, authorityKey } = await openAt('a');
    expect(record).toMatchObject({ cluster: 'acme', id: 'a', role: 'server', externalEtcd: null });
    expect(record.ports).toMatchObject({ grpc: port, heartbeat: 7444, etcdPeer: 7448 });
    expect(record.members).toMatchObject([{ id: 'a', voter: true, addresses: ['127.0.0.1'] }]);
    expect([heartbeatKey?.length, authorityKey === null]).toEqual([32, false]);
    expect(statSync(at('a')).mode & 0o777).toBe(0o700);
  });

  it('refuses a directory that is a member, and changes nothing in it', async () => {
    const before = readFileSync(join(at('a'), 'member.json'), 'utf8');
    const { status, err } = await real('init', '--dir', at('a'), '--node', 'z', '--address', '127.0.0.1');
    expect(status).toBe(2);
    expect(err).toContain('is a member already; nothing was changed\nTo mend it: choose another --dir');
    expect(readFileSync(join(at('a'), 'member.json'), 'utf8')).toBe(before);
  });

  it.each([
    [['--node', 'A', '--address', '127.0.0.1'], '--node: the member name "A"'],
    [['--node', 'b', '--address', '0.0.0.0'], '--address: 0.0.0.0 is an address of "this network"'],
    [['--node', 'b', '--address', 'fe80::1'], '--address: fe80::1 is a link-local address'],
    [['--node', 'b'], '--address is missing'],
    [['--node', 'b', '--address', '10.77.0.11/24'], 'Write it without the prefix: 10.77.0.11.'],
    [['--node', 'b', '--address', 'host'], 'Names are not looked up'],
    [['--node', 'b', '--address', '::1', '--address', '::1'], '::1 is given twice'],
    [['--node', 'b', '--address', 'fd77::11', '--address', 'FD77:0::11'], 'fd77::11 is given twice'],
    [['--node', 'b', '--address', '127.0.0.1', '--port-grpc', '0'], '--port-grpc: "0" is not a port'],
    [
      ['--node', 'b', '--address', '127.0.0.1', '--port-grpc', '7445'],
      '--port-mirror and --port-grpc are both 7445',
    ],
    [['--node', 'b', '--address', '127.0.0.1', '--etcd', 'here'], '--etcd: "here" is not an endpoint'],
    [['--node', 'b', '--address', '127.0.0.1', '--cluster', 'a_b'], '--cluster: '],
  ])('is wrong and leaves nothing behind: %j', async (argv, says) => {
    const { status, err } = await real('init', '--dir', at('b'), ...argv);
    expect(status).toBe(2);
    expect(err).toContain(says);
    expect(existsSync(at('b'))).toBe(false);
  });

  it('keeps the endpoints of an etcd of your own', async () => {
    const etcd = [
      '--etcd',
      'https://10.0.0.1:2379',
      '--etcd',
      'https://10.0.0.2:2379',
      '--etcd-ca',
      '/ca.pem',
    ];
    expect(
      (await real('init', '--dir', at('e'), '--node', 'e', '--address', '127.0.0.1', ...etcd)).status,
    ).toBe(0);
    const { externalEtcd } = (await openAt('e')).record;
    expect(externalEtcd).toEqual({
      endpoints: ['https://10.0.0.1:2379', 'https://10.0.0.2:2379'],
      caFile: '/ca.pem',
    });
  });

  it('only tells with --dry-run', async () => {
    const { status, out } = await real(
      'init',
      '--dir',
      at('b'),
      '--node',
      'b',
      '--address',
      '127.0.0.1',
      '--dry-run',
    );
    expect(status).toBe(0);
    expect(out).toContain('dry run: would make the cluster holdfast');
    expect(existsSync(at('b'))).toBe(false);
  });
});

describe('join', () => {
  const join = (name: string, token: string, ...more: readonly string[]): Promise<Ran> =>
    real(
      'join',
      '--dir',
      at(name),
      '--seed',
      `127.0.0.1:${port}`,
      '--token',
      token,
      '--node',
      name,
      '--address',
      '127.0.0.1',
      ...more,
    );

  it('obtains a certificate with the token, once, and passes the warnings on', async () => {
    await founder.listen();
    const token = encodeToken(founder.token);
    const joined = await join('b', token);
    expect(joined.status).toBe(0);
    expect(joined.err).toBe('holdfast: warning: two members alone: no automatic failover is safe\n');
    const { record } = await openAt('b');
    expect(record.members.map(({ id, voter }) => [id, voter])).toEqual([
      ['a', true],
      ['b', false],
    ]);
    // The new member speaks with the certificate that it got.
    const status = await real('status', '--dir', at('b'), '-o', 'json');
    expect(JSON.parse(status.out)).toMatchObject({ cluster: 'acme' });

    const again = await join('c', token);
    expect(again.status).toBe(2);
    expect(again.err).toContain('the cluster did not admit c: the token is unknown, or was used already');
    expect(existsSync(at('c'))).toBe(false);
  });

  it('is wrong with a damaged token, another role, or the token of another cluster', async () => {
    await founder.listen();
    const token = encodeToken(founder.token);
    expect((await join('b', token.slice(0, -2))).err).toContain('incomplete or mistyped');
    const role = await join('b', token, '--role', 'witness');
    expect(role.status).toBe(2);
    expect(role.err).toContain('the token is for a server, not for a witness');
    const other = createToken('acme', 'server', Buffer.alloc(32, 7));
    const stranger = await join('b', encodeToken(other));
    expect(stranger.status).toBe(2);
    expect(stranger.err).toContain('Is this the cluster that the token was made in?');
    expect(existsSync(at('b'))).toBe(false);
  });

  it('is status 3 when nobody answers at the seed, and does not spend the token', async () => {
    const token = encodeToken(founder.token);
    const { status, err } = await join('b', token);
    expect(status).toBe(3);
    expect(err).toContain('ECONNREFUSED');
    expect(err).toContain('Is the member at --seed running');
    await founder.listen();
    expect((await join('b', token)).status).toBe(0);
  });

  it('sends nobody to a member that runs, where its certificate has expired', async () => {
    founder = new Founder(await expired(await openAt('a')));
    await founder.listen();
    const { status, err } = await join('b', encodeToken(founder.token));
    expect(status).toBe(3);
    expect(err).toContain('the certificate of a expired on ');
    expect(err).toMatch(/\nCheck --seed and the clocks of both hosts\.\n$/);
    expect(err).not.toContain('running');
  });

  it('asks the next seed when the first does not answer', async () => {
    await founder.listen();
    const { status } = await join('b', encodeToken(founder.token), '--seed', `127.0.0.1:${await freePort()}`);
    expect(status).toBe(0);
  });

  it('reads seeds as people write them', () => {
    expect(parseSeed('10.0.0.1')).toEqual({ address: '10.0.0.1', port: 7443 });
    expect(parseSeed('10.0.0.1:99')).toEqual({ address: '10.0.0.1', port: 99 });
    expect(parseSeed('fd77::1')).toEqual({ address: 'fd77::1', port: 7443 });
    expect(parseSeed('[fd77::1]:99')).toEqual({ address: 'fd77::1', port: 99 });
    for (const text of ['', 'host', '10.0.0.1:0', '10.0.0.1:99999', '[10.0.0.1', '1.1.1'])
      expect(parseSeed(text)).toBeNull();
    expect(decodeToken('').kind).toBe('error');
  });
});

describe('the way to a member', () => {
  it('tells whom it tried when nobody answers, within three seconds', async () => {
    const { status, err } = await real('status', '--dir', at('a'));
    expect(status).toBe(3);
    expect(err).toContain(`no member of the cluster acme answers\n  tried a at 127.0.0.1 port ${port}\n`);
    expect(err).toContain('holdfast run');
  });

  it('goes past a member that is frozen: the directory knows others', async () => {
    // It accepts connections and never says a word.
    const held: Socket[] = [];
    const frozen = createServer((socket) => held.push(socket));
    await new Promise<void>((listening) => frozen.listen(0, '127.0.0.1', listening));
    const silent = (frozen.address() as AddressInfo).port;
    await founder.listen();
    await real(
      'join',
      '--dir',
      at('b'),
      '--seed',
      `127.0.0.1:${port}`,
      '--token',
      encodeToken(founder.token),
      '--node',
      'b',
      '--address',
      '127.0.0.1',
      '--port-grpc',
      String(silent),
    );
    try {
      const beganMs = performance.now();
      const events = await real('status', '--dir', at('b'));
      expect(events.status).toBe(0);
      expect(performance.now() - beganMs).toBeLessThan(2500);
      const moved = await real('switchover', 'd3', '--dir', at('b'), '-o', 'json');
      expect(JSON.parse(moved.out)).toMatchObject({ operation: 'op-7', outcome: 'done' });
      const history = await real('get', 'events', '--dir', at('b'), '-o', 'json');
      expect(JSON.parse(history.out)).toMatchObject([{ id: 'e1' }]);
    } finally {
      for (const socket of held) socket.destroy();
      frozen.close();
    }
  });

  it('never starts an operation twice', async () => {
    let started = 0;
    await founder.listen({
      startOperation: () => {
        started += 1;
        return Promise.resolve(failure('unreachable', 'nobody leads the cluster at the moment; try again'));
      },
    });
    const { status, err } = await real('switchover', 'd3', '--dir', at('a'));
    expect({ status, err }).toEqual({
      status: 3,
      err: 'holdfast: nobody leads the cluster at the moment; try again\n',
    });
    expect(started).toBe(1);
  });

  it('asks its own member first, then voters, then the rest, never operators', async () => {
    const directory = await openAt('a');
    const { ports } = directory.record;
    const known = (id: string, role: 'server' | 'witness' | 'operator', voter: boolean) => ({
      id,
      role,
      addresses: [`10.0.0.${id.charCodeAt(0)}`],
      ports,
      voter,
    });
    const members = [
      known('c', 'server', false),
      known('o', 'operator', false),
      known('w', 'witness', true),
      ...directory.record.members,
    ];
    const updated = await updateRecord(directory, { ...directory.record, members });
    if (updated.kind === 'error') throw new Error(updated.error.says);
    expect(membersToAsk(updated.value.record).map(({ id }) => id)).toEqual(['a', 'w', 'c']);
  });

  it('says what is wrong with a directory', async () => {
    const none = await real('status', '--dir', at('nothing'));
    expect(none.status).toBe(2);
    expect(none.err).toContain('is not the directory of a member\nTo mend it: run `holdfast init`');
    writeFileSync(join(at('a'), 'member.json'), '{');
    const broken = await real('run', '--dir', at('a'));
    expect(broken.status).toBe(2);
    expect(broken.err).toContain('member.json: is not JSON');
  });
});
