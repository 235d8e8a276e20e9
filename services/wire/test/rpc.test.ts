import { admin, agents, members } from '@holdfast/proto';
import { createServer } from 'node:net';
import { fingerprint } from '../src/certificate.ts';
import { failed } from '../src/outcome.ts';
import { RpcClient } from '../src/rpc-client.ts';
import { listenRpc } from '../src/rpc-server.ts';
import { failure, WireFailure, type Answer } from '../src/wire-error.ts';
import { cluster, error, member, until, value, type Cluster } from './cluster.ts';
import { fakeAdmin, fakeAgents, fakeMembers, joinOf, renewOf, Stage, statusReply } from './services.ts';

const { status, setMaintenance, explain } = admin.AdminService;
const { renew, watch } = agents.AgentsService;
const { join } = members.MembersService;
const neverMs = 10_000;

describe('two members that speak', () => {
  let acme: Cluster;
  const stage = new Stage();
  beforeAll(async () => {
    acme = await cluster('acme');
  });
  afterEach(() => stage.end());

  it('know each other by their certificates', async () => {
    const server = await stage.serve(await member(acme, 'witness', 'w'), [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'server', 'a'), server.port, { member: 'w' });
    const answer = await client.call(status, {}, 2000);
    expect(value(answer).cluster).toBe('acme');
    expect(client.peer).toEqual({ cluster: 'acme', role: 'witness', id: 'w' });
  });

  it('refuse an address that another member took over', async () => {
    const server = await stage.serve(await member(acme, 'server', 'b'), [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'server', 'a'), server.port, { member: 'w' });
    expect(error(await client.call(status, {}, 2000))).toMatchObject({
      kind: 'certificate',
      problem: 'wrong-member',
    });
  });

  it.each(['operator', 'viewer'] as const)(
    'refuse whoever has the role %s and listens under the name of one',
    async (role) => {
      const server = await stage.serve(await member(acme, role, 'w'), [fakeAdmin(), fakeMembers()]);
      const refused = { kind: 'certificate', problem: 'wrong-member' };
      const client = stage.connect(await member(acme, 'server', 'a'), server.port, { member: 'w' });
      expect(error(await client.call(status, {}, 2000))).toEqual({
        ...refused,
        message: expect.stringContaining(
          `expected a server or witness there, and the ${role} w answered`,
        ) as string,
      });
      const pin = { cluster: 'acme', authority: fingerprint(acme.authority.certificate) };
      const joining = new RpcClient({
        trust: { kind: 'pin', pin },
        addresses: ['127.0.0.1'],
        port: server.port,
      });
      stage.onEnd(() => {
        joining.close();
      });
      expect(error(await joining.call(join, joinOf('b'), 2000))).toMatchObject(refused);
    },
  );

  it('try all addresses of a member, whatever their family', async () => {
    const server = await stage.serve(await member(acme, 'server', 'b'), [fakeAdmin()]);
    const addresses = ['127.0.0.2', '::1', '127.0.0.1'];
    const client = stage.connect(await member(acme, 'server', 'a'), server.port, { addresses });
    expect((await client.call(status, {}, 2000)).kind).toBe('ok');
  });

  it('say so at once when nobody listens', async () => {
    const client = stage.connect(await member(acme, 'server', 'a'), 1, { member: 'b' });
    const found = error(await client.call(status, {}, neverMs));
    expect(found.kind).toBe('unreachable');
    expect(found.message).toBe('b (127.0.0.1 port 1) does not answer: connect ECONNREFUSED 127.0.0.1:1');
  });

  it('find each other again when the listener returns', async () => {
    const credentials = await member(acme, 'server', 'b');
    const server = await stage.serve(credentials, [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'server', 'a'), server.port);
    expect((await client.call(status, {}, 2000)).kind).toBe('ok');
    const { port } = server;
    await server.close(0);
    expect(error(await client.call(status, {}, 2000)).kind).toBe('unreachable');
    await stage.serve(credentials, [fakeAdmin()], { port });
    await until(
      'the client is connected again',
      async () => (await client.call(status, {}, 500)).kind === 'ok',
      2000,
    );
  });
});

describe('a port that is taken', () => {
  it('is a value with advice', async () => {
    const acme = await cluster();
    const other = createServer();
    await new Promise<void>((ready) => other.listen(0, '127.0.0.1', ready));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const found = error(
      await listenRpc({
        credentials: await member(acme, 'server', 'a'),
        services: [],
        host: '127.0.0.1',
        port,
      }),
    );
    await new Promise((gone) => other.close(gone));
    expect(found).toEqual({
      kind: 'port-in-use',
      says: `port ${port} of 127.0.0.1 is in use by another process; stop it, or choose another port`,
    });
  });
});

describe('a caller without a certificate', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('reaches Join, and nothing else', async () => {
    const acme = await cluster();
    const server = await stage.serve(await member(acme, 'server', 'a'), [
      fakeAdmin(),
      fakeAgents(),
      fakeMembers(),
    ]);
    const pin = { cluster: 'acme', authority: fingerprint(acme.authority.certificate) };
    const client = new RpcClient({
      trust: { kind: 'pin', pin },
      addresses: ['127.0.0.1'],
      port: server.port,
    });
    stage.onEnd(() => {
      client.close();
    });
    expect(value(await client.call(join, joinOf('b'), 2000)).warnings).toEqual(['nobody', 'b']);
    expect(client.authority?.trim()).toBe(acme.authority.certificate.trim());
    const rest: Answer<unknown>[] = [
      await client.call(status, {}, 2000),
      await client.call(renew, renewOf('a'), 2000),
      await client.call(members.MembersService.enrol, { member: 'a' }, 2000),
      await client.call(setMaintenance, { on: true, server: '', group: '', reason: '', dryRun: false }, 2000),
    ];
    for await (const item of client.stream(watch, { member: 'a' })) rest.push(item);
    expect(rest.map((answer) => error(answer))).toEqual(
      rest.map((): unknown => expect.objectContaining({ kind: 'certificate', problem: 'missing' })),
    );
  });

  it('does not talk to a cluster that the token is not for', async () => {
    const server = await stage.serve(await member(await cluster(), 'server', 'a'), [fakeMembers()]);
    const pin = { cluster: 'acme', authority: fingerprint((await cluster()).authority.certificate) };
    const client = new RpcClient({
      trust: { kind: 'pin', pin },
      addresses: ['127.0.0.1'],
      port: server.port,
    });
    stage.onEnd(() => {
      client.close();
    });
    const found = error(await client.call(join, joinOf('b'), 2000));
    expect(found).toMatchObject({ kind: 'certificate', problem: 'wrong-authority' });
  });
});

describe('a caller with a bad certificate is told which', () => {
  const stage = new Stage();
  let acme: Cluster;
  const dayMs = 24 * 60 * 60 * 1000;
  beforeAll(async () => {
    acme = await cluster();
  });
  afterEach(() => stage.end());

  it.each([
    ['expired', { nowMs: Date.now() - 10 * dayMs, lifeMs: dayMs }],
    ['not-yet-valid', { nowMs: Date.now() + 10 * dayMs }],
    ['wrong-cluster', { claims: 'other' }],
  ] as const)('%s, as a client', async (problem, life) => {
    const server = await stage.serve(await member(acme, 'server', 'a'), [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'operator', 'o', life), server.port);
    expect(error(await client.call(status, {}, 2000))).toMatchObject({ kind: 'certificate', problem });
  });

  it.each([
    ['expired', { nowMs: Date.now() - 10 * dayMs, lifeMs: dayMs }],
    ['wrong-cluster', { claims: 'other' }],
  ] as const)('%s, as a server', async (problem, life) => {
    const server = await stage.serve(await member(acme, 'server', 'a', life), [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'operator', 'o'), server.port);
    expect(error(await client.call(status, {}, 2000))).toMatchObject({ kind: 'certificate', problem });
  });

  it('not of our authority, although it claims our cluster', async () => {
    const impostor = await cluster('acme');
    const server = await stage.serve(await member(acme, 'server', 'a'), [fakeAdmin()]);
    const forged = { ...(await member(impostor, 'operator', 'o')), authority: acme.authority.certificate };
    const client = stage.connect(forged, server.port);
    expect(error(await client.call(status, {}, 2000))).toMatchObject({ problem: 'wrong-authority' });
  });
});

describe('who may do what', () => {
  const stage = new Stage();
  let acme: Cluster;
  let port = 0;
  const maintenance = { on: true, server: '', group: '', reason: '', dryRun: false };
  beforeAll(async () => {
    acme = await cluster();
    port = (await stage.serve(await member(acme, 'server', 'a'), [fakeAdmin(), fakeAgents()])).port;
  });
  afterAll(() => stage.end());

  it.each([
    ['viewer', 'ok', 'refused', 'refused'],
    ['operator', 'ok', 'ok', 'refused'],
    ['witness', 'ok', 'ok', 'ok'],
    ['server', 'ok', 'ok', 'ok'],
  ] as const)('%s: reads %s, changes %s, renews as itself %s', async (role, reads, changes, renews) => {
    const client = stage.connect(await member(acme, role, 'me'), port);
    const outcome = (answer: Answer<unknown>): string => (answer.kind === 'ok' ? 'ok' : answer.error.kind);
    expect(outcome(await client.call(status, {}, 2000))).toBe(reads);
    expect(outcome(await client.call(setMaintenance, maintenance, 2000))).toBe(changes);
    expect(outcome(await client.call(renew, renewOf('me'), 2000))).toBe(renews);
  });

  it('nobody renews for another server', async () => {
    const client = stage.connect(await member(acme, 'server', 'b'), port);
    const found = error(await client.call(renew, renewOf('a'), 2000));
    expect(found).toEqual({ kind: 'refused', message: 'b may not speak for "a"' });
  });
});

describe('failures of a handler', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('keep their kind and their words', async () => {
    const acme = await cluster();
    const says = 'the copy on b is inconsistent; wait, or use --force \ud800 100% "sure"\nreally';
    const faults: unknown[] = [];
    const service = fakeAdmin({
      explain: ({ group }) => {
        if (group === 'returned') return Promise.resolve(failure('unsafe', says));
        if (group === 'thrown') throw new WireFailure({ kind: 'not-found', message: says });
        throw new Error(says);
      },
    });
    const server = await stage.serve(await member(acme, 'server', 'a'), [service], {
      onFault: (fault) => faults.push(fault.method),
    });
    const client = stage.connect(await member(acme, 'operator', 'o'), server.port);
    const heard = says.replace('\ud800', '\ufffd');
    expect(await client.call(explain, { group: 'returned' }, 2000)).toEqual(failure('unsafe', heard));
    expect(await client.call(explain, { group: 'thrown' }, 2000)).toEqual(failure('not-found', heard));
    expect(faults).toEqual([]);
    expect(error(await client.call(explain, { group: 'odd' }, 2000)).kind).toBe('internal');
    expect(faults).toEqual(['/holdfast.v1.Admin/Explain']);
  });

  it('are not confused with a request that is too large', async () => {
    const acme = await cluster();
    const server = await stage.serve(await member(acme, 'server', 'a'), [fakeAdmin()]);
    const client = stage.connect(await member(acme, 'operator', 'o'), server.port);
    const found = error(await client.call(explain, { group: 'x'.repeat(5_000_000) }, 5000));
    expect(found.kind).toBe('invalid');
  });
});

describe('a deadline', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('ends a call to a server that never answers, and the handler hears of it', async () => {
    const acme = await cluster();
    let abandoned = false;
    const service = fakeAdmin({
      status: (_request, call) =>
        new Promise((answer) => {
          call.signal.addEventListener('abort', () => {
            abandoned = true;
            answer({ kind: 'ok', value: statusReply('late') });
          });
        }),
    });
    const server = await stage.serve(await member(acme, 'server', 'a'), [service]);
    const client = stage.connect(await member(acme, 'operator', 'o'), server.port);
    const startedMs = performance.now();
    expect(error(await client.call(status, {}, 200)).kind).toBe('deadline');
    expect(performance.now() - startedMs).toBeLessThan(600);
    await until('the handler was told', () => abandoned);
  });

  it('also ends a call to something that accepts and stays silent', async () => {
    const acme = await cluster();
    const mute = createServer((socket) => socket.resume().on('error', () => socket.destroy()));
    await new Promise<void>((ready) => mute.listen(0, '127.0.0.1', ready));
    stage.onEnd(
      () =>
        new Promise((gone) =>
          mute.close(() => {
            gone();
          }),
        ),
    );
    const address = mute.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const client = stage.connect(await member(acme, 'operator', 'o'), port);
    expect(error(await client.call(status, {}, 200)).kind).toBe('deadline');
  });

  it('does not outlast a server that closes', async () => {
    const acme = await cluster();
    const service = fakeAdmin({ status: () => new Promise(() => undefined) });
    const server = await stage.serve(await member(acme, 'server', 'a'), [service]);
    const client = stage.connect(await member(acme, 'operator', 'o'), server.port);
    const answer = client.call(status, {}, neverMs);
    await until('the call arrived', () => server.connections === 1);
    const startedMs = performance.now();
    await server.close(100);
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(error(await answer).kind).toBe('unreachable');
  });
});

describe('a stream', () => {
  const stage = new Stage();
  const reply = (revision: bigint): agents.WatchReply => agents.WatchReply.fromPartial({ revision });
  afterEach(() => stage.end());

  async function watching(handler: Parameters<typeof fakeAgents>[0]): Promise<RpcClient> {
    const acme = await cluster();
    const server = await stage.serve(await member(acme, 'server', 'a'), [fakeAgents(handler)]);
    return stage.connect(await member(acme, 'server', 'b'), server.port);
  }

  it('gives its values and then its error', async () => {
    const client = await watching({
      watch: async (_request, send) => {
        await send(reply(1n));
        await send(reply(2n));
        return failed({ kind: 'unreachable', message: 'no leader' });
      },
    });
    const seen: Answer<agents.WatchReply>[] = [];
    for await (const item of client.stream(watch, { member: 'b' })) seen.push(item);
    expect(seen.slice(0, 2).map((item) => value(item).revision)).toEqual([1n, 2n]);
    expect(seen.slice(2)).toEqual([failure('unreachable', 'no leader')]);
  });

  it('gives all values to a slow reader', async () => {
    const client = await watching({
      watch: async (_request, send) => {
        for (let n = 1n; n <= 500n; n += 1n) await send(reply(n));
        return { kind: 'ok', value: null };
      },
    });
    let last = 0n;
    for await (const item of client.stream(watch, { member: 'b' })) {
      expect(value(item).revision).toBe(last + 1n);
      last += 1n;
      if (last % 50n === 0n) await new Promise((next) => setImmediate(next));
    }
    expect(last).toBe(500n);
  });

  it('is over for both sides when the reader leaves the loop', async () => {
    let over = false;
    const client = await watching({
      watch: async (_request, send, call) => {
        await send(reply(1n));
        await new Promise((gone) => call.signal.addEventListener('abort', gone));
        over = !(await send(reply(2n)));
        return { kind: 'ok', value: null };
      },
    });
    for await (const item of client.stream(watch, { member: 'b' })) {
      expect(value(item).revision).toBe(1n);
      break;
    }
    await until('the handler noticed', () => over);
  });

  it('can be cancelled while it waits', async () => {
    const client = await watching({ watch: () => new Promise(() => undefined) });
    const stop = new AbortController();
    const stream = client.stream(watch, { member: 'b' }, { signal: stop.signal });
    const waiting = stream.next();
    stop.abort();
    expect(await waiting).toEqual({ done: false, value: failure('cancelled', 'the call was cancelled') });
    expect((await stream.next()).done).toBe(true);
  });

  it('ends when the server closes', async () => {
    const acme = await cluster();
    const service = fakeAgents({
      watch: async (_request, send) => {
        await send(reply(1n));
        return new Promise(() => undefined);
      },
    });
    const server = await stage.serve(await member(acme, 'server', 'a'), [service]);
    const client = stage.connect(await member(acme, 'server', 'b'), server.port);
    const stream = client.stream(watch, { member: 'b' });
    expect((await stream.next()).done).toBe(false);
    const rest = stream.next();
    const startedMs = performance.now();
    await server.close(5000);
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(await rest).toMatchObject({ value: { kind: 'error', error: { kind: 'unreachable' } } });
  });
});
