import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { WireCredentials } from '@holdfast/wire/directory';
import { slowLine } from '../../lab/src/slow-line.ts';
import { dial } from '../src/transport/dial.ts';
import type { Connection, DialOptions, Ended, Frame, Hello, Listener } from '../src/transport/types.ts';
import { credentials, dialed, helloOf, listening, testCluster, until } from './transport-cluster.ts';

let anna: WireCredentials;
let bert: WireCredentials;
let watcher: WireCredentials;
let stranger: WireCredentials;
let namesake: WireCredentials;

const closing: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  const acme = await testCluster();
  anna = await credentials(acme, 'anna');
  bert = await credentials(acme, 'bert');
  watcher = await credentials(acme, 'otto', 'operator');
  stranger = await credentials(await testCluster('other'), 'bert');
  // The same names, signed by somebody else.
  namesake = await credentials(await testCluster('acme'), 'bert');
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const to = (port: number, more: Partial<DialOptions> = {}): DialOptions => ({
  credentials: anna,
  member: 'bert',
  hosts: ['127.0.0.1'],
  port,
  encrypt: 'always',
  ...more,
});

async function target(more: Partial<Parameters<typeof listening>[0]> = {}): Promise<Listener> {
  const listener = await listening({ credentials: bert, ...more });
  closing.push(() => listener.close());
  return listener;
}

async function source(options: DialOptions): Promise<Connection> {
  const connection = await dialed(options);
  closing.push(() => {
    connection.close('the test is over', 0);
  });
  return connection;
}

async function failure(
  options: DialOptions,
): Promise<{ kind: string; says: string; problem?: { kind: string } }> {
  const answer = await dial(options);
  if (answer.kind === 'failed') return answer.failure;
  answer.connection.close('not expected', 0);
  throw new Error('it was expected to fail');
}

/** A listener of something that is no mirror process. */
async function other(behave: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

describe.each(['always', 'never'] as const)('a line with encrypt: %s', (encrypt) => {
  test('brings the hello to who takes the mirror, and frames both ways', async () => {
    const listener = await target();
    const arrived: { connection: Connection; hello: Hello }[] = [];
    listener.register('d3/data', {
      plain: true,
      accept: (connection, hello) => arrived.push({ connection, hello }),
    });
    const anna3 = await source(to(listener.port, { encrypt }));
    expect(anna3.peer).toEqual({ cluster: 'acme', role: 'server', id: 'bert' });
    expect(anna3.encrypted).toBe(encrypt === 'always');
    anna3.send(helloOf('acme', 'anna'));
    const contents = randomBytes(1_000_000);
    anna3.send({ kind: 'data', stream: 1, offset: 0, contents });
    await until('the hello came', () => arrived.length > 0);
    const [first] = arrived;
    if (first === undefined) throw new Error('nobody came');
    expect(first.hello).toEqual(helloOf('acme', 'anna'));
    expect(first.connection.peer.id).toBe('anna');
    const atTarget: Frame[] = [];
    const atSource: Frame[] = [];
    first.connection.onFrame((frame) => atTarget.push(frame));
    anna3.onFrame((frame) => atSource.push(frame));
    first.connection.send({ kind: 'ack', number: 1, sequence: 5, checksum: 'ffffffffffffffff' });
    const data = (): Frame | undefined => atTarget.find((frame) => frame.kind === 'data');
    await until('the contents came', () => data() !== undefined);
    const came = data();
    expect(came?.kind === 'data' && came.contents.equals(contents)).toBe(true);
    await until('the answer came', () => atSource.some((frame) => frame.kind === 'ack'));
    await until('the round trip is known', () => anna3.rttMs !== null && first.connection.rttMs !== null);
    expect(anna3.rttMs).toBeLessThan(250);
    expect(listener.counters()).toMatchObject({ accepted: 1, strangers: 0, connections: 1, garbage: 0 });
  });

  test('insists on the member that it means', async () => {
    const listener = await target();
    const answer = await failure(to(listener.port, { encrypt, member: 'cleo' }));
    expect(answer).toMatchObject({ kind: 'certificate', problem: { kind: 'wrong-member' } });
  });

  test('refuses a mirror that nobody takes, and says why if it knows', async () => {
    const listener = await target({ absent: (mirror) => `${mirror} has no folder` });
    const connection = await source(to(listener.port, { encrypt }));
    const heard: Frame[] = [];
    const ends: Ended[] = [];
    connection.onFrame((frame) => heard.push(frame));
    connection.onEnd((ended) => ends.push(ended));
    connection.send(helloOf('acme', 'anna', 'nothing/here'));
    await until('it is over', () => ends.length > 0);
    expect(heard.filter((frame) => frame.kind === 'refuse')).toMatchObject([
      { code: 'mirror', says: 'the target takes no copy of nothing/here: nothing/here has no folder' },
    ]);
    expect(ends).toMatchObject([{ kind: 'finished' }]);
    expect(listener.counters()).toMatchObject({ unknownMirror: 1, accepted: 0 });
  });
});

describe('who is not meant', () => {
  test.each([
    ['another cluster', (): WireCredentials => stranger, 'wrong-cluster'],
    ['the same names, and another authority', (): WireCredentials => namesake, 'wrong-authority'],
    ['an operator', (): WireCredentials => watcher, 'wrong-member'],
  ])('as a target: %s', async (_who, their, problem) => {
    const listener = await target({ credentials: their() });
    const answer = await failure(to(listener.port, { member: their() === watcher ? 'otto' : 'bert' }));
    expect(answer).toMatchObject({ kind: 'certificate', problem: { kind: problem } });
  });

  test('as a source: hears why, and is counted', async () => {
    const listener = await target();
    // A client that judges nothing: what the listener says is what matters here.
    for (const their of [watcher, namesake]) {
      const answer = await failure(to(listener.port, { credentials: { ...anna, ...partsOf(their) } }));
      expect(answer).toMatchObject({ kind: 'not-admitted' });
    }
    expect(listener.counters()).toMatchObject({ certificate: 2, accepted: 0 });
  });

  test('as a source with the name of another in its hello', async () => {
    const listener = await target();
    listener.register('d3/data', { plain: true, accept: () => undefined });
    const connection = await source(to(listener.port));
    const heard: Frame[] = [];
    connection.onFrame((frame) => heard.push(frame));
    connection.send(helloOf('acme', 'cleo'));
    await until('it is refused', () => connection.ended !== null);
    expect(heard.filter((frame) => frame.kind === 'refuse')).toMatchObject([{ code: 'cluster' }]);
    expect(listener.counters().accepted).toBe(0);
  });

  test('plain, where a mirror is taken encrypted only', async () => {
    const listener = await target();
    listener.register('d3/data', { plain: false, accept: () => undefined });
    const connection = await source(to(listener.port, { encrypt: 'never' }));
    const heard: Frame[] = [];
    connection.onFrame((frame) => heard.push(frame));
    connection.send(helloOf('acme', 'anna'));
    await until('it is refused', () => connection.ended !== null);
    expect(heard.filter((frame) => frame.kind === 'refuse')).toMatchObject([{ code: 'protocol' }]);
  });
});

const partsOf = ({ certificate, key }: WireCredentials): Pick<WireCredentials, 'certificate' | 'key'> => ({
  certificate,
  key,
});

describe('a target that does not answer', () => {
  test('because nobody listens', async () => {
    const listener = await target();
    const { port } = listener;
    await listener.close();
    closing.pop();
    expect(await failure(to(port))).toMatchObject({ kind: 'refused' });
  });

  test('because it is frozen', async () => {
    const port = await other(() => undefined);
    expect(await failure(to(port, { timeoutMs: 100 }))).toMatchObject({ kind: 'silent' });
  });

  test('because something else lives there', async () => {
    const port = await other((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    expect(await failure(to(port))).toMatchObject({ kind: 'garbage' });
  });

  test('because we were asked to stop', async () => {
    const port = await other(() => undefined);
    const stopping = new AbortController();
    const answer = failure(to(port, { signal: stopping.signal }));
    stopping.abort();
    expect(await answer).toMatchObject({ kind: 'stopped' });
  });

  test('at one address, and does at the next', async () => {
    const listener = await target();
    const connection = await source(to(listener.port, { hosts: ['127.0.0.2', '127.0.0.1'] }));
    expect(connection.peer.id).toBe('bert');
  });
});

describe('strangers at the port', () => {
  const raw = (port: number): Socket => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    closing.push(() => {
      socket.destroy();
    });
    return socket;
  };

  test('are dropped when they say nothing', async () => {
    const listener = await target({ helloMs: 50 });
    raw(listener.port);
    await until('it is dropped', () => listener.counters().silent === 1);
    await until('nothing is left', () => listener.counters().connections === 0);
  });

  test('are dropped when a member never says hello', async () => {
    const listener = await target({ helloMs: 200 });
    const connection = await source(to(listener.port));
    connection.onFrame(() => undefined);
    await until('it is dropped', () => connection.ended !== null);
    expect(listener.counters()).toMatchObject({ silent: 1, accepted: 0 });
  });

  test('are counted and dropped when they send garbage', async () => {
    const says: string[] = [];
    const listener = await target({ says: (sentence) => says.push(sentence) });
    for (let i = 0; i < 5; i += 1)
      raw(listener.port).write(randomBytes(300).fill(i % 2 === 0 ? 0x16 : 0x47, 0, 1));
    await until('all are dropped', () => listener.counters().garbage === 5);
    await until('nothing is left', () => listener.counters().connections === 0);
    expect(says).toHaveLength(1);
  });

  test('do not fill the listener', async () => {
    const listener = await target({ strangersMax: 3 });
    for (let i = 0; i < 8; i += 1) raw(listener.port);
    await until('the rest is dropped', () => listener.counters().full === 5);
    expect(listener.counters().strangers).toBe(3);
  });

  test('can not show a ticket twice, nor one of their own making', async () => {
    const listener = await target();
    const socket = raw(listener.port);
    socket.write(Buffer.concat([Buffer.of(0, 0, 0, 49, 21), randomBytes(48)]));
    await until('it is dropped', () => listener.counters().garbage === 1);
  });
});

describe('a line that goes dead', () => {
  test.each(['always', 'never'] as const)('is told as silent by both ends, encrypt: %s', async (encrypt) => {
    const listener = await target({ beatMs: 20, silentMs: 300 });
    const line = await slowLine({ to: { host: '127.0.0.1', port: listener.port }, delayMs: 5 });
    closing.push(() => line.close());
    const ends: string[] = [];
    listener.register('d3/data', {
      plain: true,
      accept: (connection) => {
        connection.onFrame(() => undefined);
        connection.onEnd((ended) => ends.push(`target: ${ended.kind}`));
      },
    });
    const connection = await source(to(line.port, { encrypt, beatMs: 20, silentMs: 300 }));
    connection.onFrame(() => undefined);
    connection.onEnd((ended) => ends.push(`source: ${ended.kind}`));
    connection.send(helloOf('acme', 'anna'));
    await until('it is accepted and beats pass', () => connection.rttMs !== null);
    expect(connection.rttMs).toBeGreaterThanOrEqual(9);
    // Shorter than the limit: nobody notices.
    const fromMs = performance.now();
    line.silence(100);
    await until('the silence is over', () => performance.now() - fromMs > 250);
    expect(ends).toEqual([]);
    line.silence(Infinity);
    await until('both know', () => ends.length === 2);
    expect(ends.sort()).toEqual(['source: silent', 'target: silent']);
  });
});
