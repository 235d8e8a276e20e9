import { agents } from '@holdfast/proto';
import { connect, createServer, type Socket } from 'node:net';
import type { WireCredentials } from '../src/certificate.ts';
import { RpcPool, type PoolMember } from '../src/rpc-pool.ts';
import { failure } from '../src/wire-error.ts';
import { cluster, error, member, until, value, type Cluster } from './cluster.ts';
import { fakeAgents, renewOf, renewReply, Stage } from './services.ts';

const { renew, watch } = agents.AgentsService;

/** A wire that can be cut without either end being told: what a frozen or unplugged host looks like. */
class Wire {
  frozen = false;
  readonly #sockets = new Set<Socket>();
  readonly #listener = createServer((near) => {
    const far = connect(this.#port, '127.0.0.1');
    this.#join(near, far);
    this.#join(far, near);
  });
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  async open(stage: Stage): Promise<number> {
    await new Promise<void>((ready) => this.#listener.listen(0, '127.0.0.1', ready));
    stage.onEnd(() => {
      for (const socket of this.#sockets) socket.destroy();
      return new Promise((gone) => {
        this.#listener.close(() => {
          gone();
        });
      });
    });
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (bytes) => {
      if (!this.frozen) to.write(bytes);
    });
    from.on('error', () => from.destroy());
    from.on('close', () => {
      if (!this.frozen) to.destroy();
    });
  }
}

describe('a pool of quorum services', () => {
  const stage = new Stage();
  let acme: Cluster;
  let me: WireCredentials;
  beforeAll(async () => {
    acme = await cluster();
    me = await member(acme, 'server', 'me');
  });
  afterEach(() => stage.end());

  interface Voter {
    readonly place: PoolMember;
    asked: number;
    cancelled: number;
  }

  async function voter(id: string, behaves: 'answers' | 'mute' | 'leaderless'): Promise<Voter> {
    const seen = { asked: 0, cancelled: 0 };
    const service = fakeAgents({
      renew: async (_request, call) => {
        seen.asked += 1;
        if (behaves === 'answers') return { kind: 'ok', value: renewReply(id) };
        if (behaves === 'leaderless') return failure('unreachable', `${id} has no leader`);
        await new Promise((gone) => {
          call.signal.addEventListener('abort', gone);
        });
        seen.cancelled += 1;
        return failure('cancelled', 'gone');
      },
      watch: async (_request, send, call) => {
        if (behaves !== 'answers') return failure('unreachable', `${id} has no leader`);
        await send(agents.WatchReply.fromPartial({ config: id }));
        await new Promise((gone) => {
          call.signal.addEventListener('abort', gone);
        });
        return { kind: 'ok', value: null };
      },
    });
    const { port } = await stage.serve(await member(acme, 'witness', id), [service]);
    return Object.assign(seen, { place: { id, addresses: ['127.0.0.1'], port } });
  }

  function pool(...places: readonly PoolMember[]): RpcPool {
    const made = new RpcPool({ kind: 'member', credentials: me }, places);
    stage.onEnd(() => {
      made.close();
    });
    return made;
  }

  const nobody: PoolMember = { id: 'gone', addresses: ['127.0.0.1'], port: 1 };
  const patient = { deadlineMs: 2000, hedgeMs: 1500 };

  it('asks only the nearest when that answers', async () => {
    const [a, b] = [await voter('a', 'answers'), await voter('b', 'answers')];
    const answer = await pool(a.place, b.place).call(renew, renewOf('me'), patient);
    expect(value(answer).current).toBe('a');
    expect([a.asked, b.asked]).toEqual([1, 0]);
  });

  it('asks the next when the nearest is silent, tells the silent one, and remembers who answered', async () => {
    const [a, b] = [await voter('a', 'mute'), await voter('b', 'answers')];
    const quorum = pool(a.place, b.place);
    const startedMs = performance.now();
    expect(value(await quorum.call(renew, renewOf('me'), { deadlineMs: 2000, hedgeMs: 200 })).current).toBe(
      'b',
    );
    expect(performance.now() - startedMs).toBeLessThan(1000);
    await until('a heard that nobody waits', () => a.cancelled === 1);
    expect(value(await quorum.call(renew, renewOf('me'), patient)).current).toBe('b');
    expect([a.asked, b.asked, quorum.preferred]).toEqual([1, 2, 'b']);
  });

  it('does not wait for the hedge when the nearest is down or has no leader', async () => {
    const [a, b] = [await voter('a', 'leaderless'), await voter('b', 'answers')];
    const startedMs = performance.now();
    expect(value(await pool(nobody, a.place, b.place).call(renew, renewOf('me'), patient)).current).toBe('b');
    expect(performance.now() - startedMs).toBeLessThan(1000);
  });

  it('takes a refusal for an answer', async () => {
    const [a, b] = [await voter('a', 'answers'), await voter('b', 'answers')];
    const found = error(await pool(a.place, b.place).call(renew, renewOf('other'), patient));
    expect(found.kind).toBe('refused');
    expect(b.asked).toBe(0);
  });

  it('says what each of them said when none can answer', async () => {
    const a = await voter('a', 'leaderless');
    const found = error(await pool(nobody, a.place).call(renew, renewOf('me'), patient));
    expect(found.kind).toBe('unreachable');
    expect(found.message).toBe(
      'gone (127.0.0.1 port 1) does not answer: connect ECONNREFUSED 127.0.0.1:1; a has no leader',
    );
    expect(error(await pool().call(renew, renewOf('me'), patient)).kind).toBe('unreachable');
  });

  it('gives up at the one deadline', async () => {
    const [a, b] = [await voter('a', 'mute'), await voter('b', 'mute')];
    const startedMs = performance.now();
    const answer = await pool(a.place, b.place).call(renew, renewOf('me'), { deadlineMs: 300, hedgeMs: 100 });
    expect(error(answer).kind).toBe('deadline');
    expect(performance.now() - startedMs).toBeLessThan(700);
    expect([a.asked, b.asked]).toEqual([1, 1]);
  });

  it('asks nobody more once it is closed', async () => {
    const [a, b] = [await voter('a', 'mute'), await voter('b', 'answers')];
    const closed = pool(a.place, b.place);
    const answer = closed.call(renew, renewOf('me'), { deadlineMs: 1500, hedgeMs: 100 });
    closed.close();
    expect((await answer).kind).toBe('error');
    expect(b.asked).toBe(0);
  });

  it('can be called off', async () => {
    const a = await voter('a', 'mute');
    const stop = new AbortController();
    const answer = pool(a.place).call(renew, renewOf('me'), { ...patient, signal: stop.signal });
    await until('it was asked', () => a.asked === 1);
    stop.abort();
    expect(error(await answer).kind).toBe('cancelled');
  });

  it('streams from another member after one broke', async () => {
    const [a, b] = [await voter('a', 'leaderless'), await voter('b', 'answers')];
    const quorum = pool(a.place, b.place);
    for await (const item of quorum.stream(watch, { member: 'me' }))
      expect(error(item).kind).toBe('unreachable');
    for await (const item of quorum.stream(watch, { member: 'me' })) {
      expect(value(item).config).toBe('b');
      break;
    }
  });

  it('keeps its connections when the list changes around them', async () => {
    const [a, b] = [await voter('a', 'answers'), await voter('b', 'answers')];
    const quorum = pool(a.place);
    await quorum.call(renew, renewOf('me'), patient);
    quorum.update([b.place, a.place]);
    expect(value(await quorum.call(renew, renewOf('me'), patient)).current).toBe('b');
    quorum.update([a.place]);
    expect(value(await quorum.call(renew, renewOf('me'), patient)).current).toBe('a');
  });

  it('notices a member that froze, and one that returns', async () => {
    const a = await voter('a', 'answers');
    const wire = new Wire(a.place.port);
    const port = await wire.open(stage);
    const client = stage.connect(me, port, { member: 'a' });
    const stream = client.stream(watch, { member: 'me' });
    expect((await stream.next()).done).toBe(false);
    wire.frozen = true;
    const startedMs = performance.now();
    const silent = client.call(renew, renewOf('me'), 20_000);
    const found = await stream.next();
    expect(found.value).toMatchObject({ kind: 'error', error: { kind: 'unreachable' } });
    expect(error(await silent).kind).toBe('unreachable');
    expect(performance.now() - startedMs).toBeLessThan(6000);
    expect(error(await client.call(renew, renewOf('me'), 300)).kind).toBe('deadline');
    wire.frozen = false;
    await until(
      'it answers again',
      async () => (await client.call(renew, renewOf('me'), 300)).kind === 'ok',
      5000,
    );
  }, 20_000);
});
