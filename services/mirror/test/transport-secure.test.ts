/** Our TLS against Node's, and against what other sides do that mean no good. */
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import {
  connect as connectTls,
  createServer as createTls,
  type ConnectionOptions,
  type TLSSocket,
} from 'node:tls';
import type { WireCredentials } from '@holdfast/wire/directory';
import { decodeWelcome, encodeWelcome, type Welcome } from '../src/transport/admission.ts';
import { Assembly } from '../src/transport/assembly.ts';
import { dial } from '../src/transport/dial.ts';
import { decodeFrame, encodeFrame, heardKind } from '../src/transport/frame.ts';
import { encryptedProtocol } from '../src/transport/protocols.ts';
import type { Connection, Ended, Frame, Listener } from '../src/transport/types.ts';
import { credentials, dialed, helloOf, listening, testCluster, until } from './transport-cluster.ts';

let anna: WireCredentials;
let bert: WireCredentials;
let late: WireCredentials;
const closing: (() => void | Promise<void>)[] = [];

beforeAll(async () => {
  const acme = await testCluster();
  anna = await credentials(acme, 'anna');
  bert = await credentials(acme, 'bert');
  late = await credentials(acme, 'anna', 'server', { nowMs: Date.now() - 86_400_000, lifeMs: 3_600_000 });
});

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const nodes = ({ authority, certificate, key }: WireCredentials): ConnectionOptions => ({
  ca: authority,
  cert: certificate,
  key,
  rejectUnauthorized: false,
  ALPNProtocols: [encryptedProtocol],
});

async function target(
  more: Partial<Parameters<typeof listening>[0]> = {},
): Promise<{ readonly listener: Listener; readonly arrived: Connection[] }> {
  const listener = await listening({ credentials: bert, ...more });
  const arrived: Connection[] = [];
  listener.register('d3/data', { plain: true, accept: (connection) => arrived.push(connection) });
  closing.push(() => listener.close());
  return { listener, arrived };
}

/** A client of Node's TLS, and what it heard. */
function client(
  port: number,
  options: ConnectionOptions,
): {
  readonly socket: TLSSocket;
  readonly frames: Frame[];
  readonly welcomes: Welcome[];
  readonly ends: string[];
} {
  const socket = connectTls({ host: '127.0.0.1', port, ...options });
  closing.push(() => void socket.destroy());
  const heard = { socket, frames: [] as Frame[], welcomes: [] as Welcome[], ends: [] as string[] };
  const assembly = new Assembly();
  socket.on('data', (chunk: Buffer) => {
    assembly.push(chunk);
    for (let raw = assembly.next(); raw !== null; raw = assembly.next()) {
      if (typeof raw === 'string') throw new Error(raw);
      const welcome = decodeWelcome(raw.kind, raw.payload);
      if (raw.kind === heardKind) continue;
      if (welcome === null) heard.frames.push(frameOf(raw.kind, raw.payload));
      else heard.welcomes.push(welcome);
    }
  });
  socket.on('error', (error: Error) => heard.ends.push(error.message));
  socket.on('end', () => heard.ends.push('end'));
  return heard;
}

/** A line to a port that can be broken. */
async function brittle(port: number): Promise<{ readonly port: number; readonly snap: () => void }> {
  const ends: Socket[] = [];
  const server = createServer((near) => {
    const far = connect({ host: '127.0.0.1', port });
    for (const one of [near, far]) one.on('error', () => undefined);
    ends.push(near, far);
    near.pipe(far).pipe(near);
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const snap = (): void => {
    for (const one of ends) one.resetAndDestroy();
  };
  closing.push(() => {
    snap();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, snap };
}

function frameOf(kind: number, payload: Buffer): Frame {
  const frame = decodeFrame(kind, payload);
  if (frame.kind === 'garbage') throw new Error(frame.says);
  return frame;
}

const bytesOf = (frame: Frame): Buffer => Buffer.concat(encodeFrame(frame));
const hello = (): Buffer => bytesOf(helloOf('acme', 'anna'));
const dataOf = (number: number, contents: Buffer): Frame => ({
  kind: 'data',
  stream: 1,
  offset: number * contents.length,
  contents,
});
const digest = (frames: readonly Frame[]): string => {
  const hash = createHash('sha256');
  for (const frame of frames) if (frame.kind === 'data') hash.update(frame.contents);
  return hash.digest('hex');
};

/** Frames that somebody sends, of sizes on both sides of a record. */
const sample = (): Frame[] =>
  [1, 16_383, 16_384, 262_144, 262_144, 524_288, 70_000, 3].flatMap((bytes, i) =>
    Array.from({ length: 4 }, (_, j) => dataOf(i * 4 + j, randomBytes(bytes))),
  );

describe("a dialer with Node's TLS", () => {
  test('is admitted, heard and answered', async () => {
    const { listener, arrived } = await target();
    const their = client(listener.port, nodes(anna));
    their.socket.write(hello());
    await until('it is here', () => arrived.length === 1 && their.welcomes.length === 1);
    expect(their.welcomes).toEqual([{ kind: 'admitted' }]);
    expect(their.socket.getCipher().name).toMatch(/^TLS_AES_(128|256)_GCM/);
    const heard: Frame[] = [];
    const connection = arrived[0];
    connection?.onFrame(
      (frame) => frame.kind === 'data' && heard.push({ ...frame, contents: Buffer.from(frame.contents) }),
    );
    const sent = sample();
    for (const frame of sent) their.socket.write(bytesOf(frame));
    await until('all came', () => heard.length === sent.length);
    expect(digest(heard)).toBe(digest(sent));
    const answers = sample();
    for (const frame of answers) if (connection?.send(frame) === false) await connection.writable();
    // Nothing is reported by this client, so the window stays small: it has to say what it heard.
    await until('some came back', () => their.frames.some(({ kind }) => kind === 'data'));
    expect(digest(their.frames)).toBe(
      digest(answers.slice(0, their.frames.filter((f) => f.kind === 'data').length)),
    );
  });

  test('that closes is told from one that breaks off', async () => {
    const { listener, arrived } = await target();
    const ends: Ended[] = [];
    for (const leave of ['ends', 'breaks off']) {
      const line = await brittle(listener.port);
      const their = client(line.port, nodes(anna));
      their.socket.write(hello());
      await until('it is here', () => arrived.length > 0);
      const connection = arrived.pop();
      connection?.onEnd((ended) => ends.push(ended));
      connection?.onFrame(() => undefined);
      const before = connection?.counters().receivedWireBytes ?? 0;
      // In the middle of a frame.
      their.socket.write(bytesOf(dataOf(0, randomBytes(100_000))).subarray(0, 50_000));
      await until('part of it is here', () => (connection?.counters().receivedWireBytes ?? 0) > before);
      if (leave === 'ends') their.socket.end();
      else line.snap();
      await until('it is gone', () => listener.counters().connections === 0);
    }
    await until('both ends are told', () => ends.length === 2);
    expect(ends.map(({ kind }) => kind)).toEqual(['finished', 'broken']);
  });

  test('is told why it is not admitted', async () => {
    const { listener } = await target();
    const nobody = client(listener.port, { rejectUnauthorized: false, ALPNProtocols: [encryptedProtocol] });
    await until('it hears', () => nobody.welcomes.length === 1 && nobody.ends.length > 0);
    expect(nobody.welcomes).toEqual([{ kind: 'refused', says: 'the other side shows no certificate' }]);
    const expired = client(listener.port, nodes(late));
    await until('it hears', () => expired.welcomes.length === 1);
    expect(expired.welcomes[0]).toMatchObject({
      kind: 'refused',
      says: /^the certificate of anna expired on /,
    });
    expect(listener.counters()).toMatchObject({ certificate: 2, accepted: 0 });
  });

  test.each([
    ['TLS 1.2', { maxVersion: 'TLSv1.2' as const }],
    ['another protocol', { ALPNProtocols: ['h2'] }],
    ['no protocol', { ALPNProtocols: [] }],
  ])('is dropped with %s', async (_what, more) => {
    const { listener } = await target();
    client(listener.port, { ...nodes(anna), ...more });
    await until('it is dropped', () => listener.counters().garbage === 1);
    await until('nothing is left', () => listener.counters().connections === 0);
  });

  test('that stops reading makes the other side wait, and loses nothing', async () => {
    const { listener, arrived } = await target();
    const their = client(listener.port, nodes(anna));
    their.socket.write(hello());
    await until('it is here', () => arrived.length === 1 && their.welcomes.length === 1);
    their.socket.pause();
    const connection = arrived[0];
    const sent = Array.from({ length: 40 }, (_, i) => dataOf(i, randomBytes(262_144)));
    const full = sent.findIndex((frame) => connection?.send(frame) === false);
    expect(full).toBeGreaterThan(0);
    expect(full).toBeLessThan(20);
    expect(connection?.counters().queuedBytes).toBeLessThan(4_000_000);
    their.socket.resume();
    await until('it reads again', () => their.frames.some(({ kind }) => kind === 'beat'));
  });

  test('of which half a handshake comes is dropped in time', async () => {
    const { listener } = await target({ helloMs: 100 });
    const whole = await new Promise<Buffer>((fulfil) => {
      const spy = createServer((socket) => socket.once('data', fulfil));
      spy.listen(0, '127.0.0.1', () => client((spy.address() as AddressInfo).port, nodes(anna)));
      closing.push(() => void spy.close());
    });
    const socket = connect({ host: '127.0.0.1', port: listener.port });
    closing.push(() => void socket.destroy());
    socket.on('error', () => undefined);
    socket.write(whole.subarray(0, 100));
    await until('it is dropped', () => listener.counters().silent === 1);
    await until('nothing is left', () => listener.counters().connections === 0);
  });
});

describe("a listener with Node's TLS", () => {
  async function server(behave: (socket: TLSSocket) => void, who = bert, more: object = {}): Promise<number> {
    const sockets = new Set<Socket>();
    const tls = createTls({ ...nodes(who), requestCert: true, ...more } as object, (socket) => {
      socket.on('error', () => undefined);
      behave(socket);
    });
    tls.on('connection', (socket: Socket) => sockets.add(socket));
    await new Promise<void>((ready) => tls.listen(0, '127.0.0.1', ready));
    closing.push(() => {
      for (const socket of sockets) socket.destroy();
      tls.close();
    });
    return (tls.address() as AddressInfo).port;
  }

  const to = (port: number): Parameters<typeof dial>[0] => ({
    credentials: anna,
    member: 'bert',
    hosts: ['127.0.0.1'],
    port,
    encrypt: 'always',
    compression: 'never',
  });

  test('gets what is sent, and is heard', async () => {
    const came: Frame[] = [];
    const port = await server((socket) => {
      const assembly = new Assembly();
      // The welcome and the first frame in one record, and tickets for sessions before them.
      socket.write(
        Buffer.concat([encodeWelcome({ kind: 'admitted' }), bytesOf(dataOf(0, Buffer.from('first')))]),
      );
      socket.on('data', (chunk: Buffer) => {
        assembly.push(chunk);
        for (let raw = assembly.next(); raw !== null; raw = assembly.next()) {
          if (typeof raw !== 'string' && raw.kind !== heardKind) came.push(frameOf(raw.kind, raw.payload));
        }
      });
    });
    const connection = await dialed(to(port));
    closing.push(() => connection.close('the test is over', 0));
    const heard: Frame[] = [];
    connection.onFrame((frame) => heard.push(frame));
    await until('it is heard', () => heard.length === 1);
    expect(heard[0]).toMatchObject({ kind: 'data', contents: Buffer.from('first') });
    const sent = [dataOf(0, randomBytes(20_000)), dataOf(1, randomBytes(20_000))];
    for (const frame of sent) connection.send(frame);
    await until('all came', () => came.filter(({ kind }) => kind === 'data').length === 2);
    expect(digest(came)).toBe(digest(sent));
    connection.close('that was it');
  });

  test('is not trusted when its certificate has expired, nor with TLS 1.2', async () => {
    const expired = await server(() => undefined, late);
    expect(await dial({ ...to(expired), member: 'anna' })).toMatchObject({
      failure: { kind: 'certificate', problem: { kind: 'expired' }, says: /expired on/ },
    });
    const old = await server(() => undefined, bert, { maxVersion: 'TLSv1.2' });
    expect(await dial(to(old))).toMatchObject({
      failure: { kind: 'garbage', says: /breaks off the handshake: / },
    });
  });

  test('that breaks off within a frame is told as broken', async () => {
    const port = await server((socket) => {
      socket.write(encodeWelcome({ kind: 'admitted' }));
      socket.write(bytesOf(dataOf(0, randomBytes(100_000))).subarray(0, 40_000));
    });
    const line = await brittle(port);
    const connection = await dialed(to(line.port));
    const ends: Ended[] = [];
    connection.onFrame(() => undefined);
    connection.onEnd((ended) => ends.push(ended));
    await until('part of it is here', () => connection.counters().receivedWireBytes > 39_000);
    line.snap();
    await until('it is told', () => ends.length > 0);
    expect(ends).toEqual([{ kind: 'broken', says: 'the other side reset the connection' }]);
  });
});
