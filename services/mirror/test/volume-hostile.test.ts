/** Clients that do not keep to the NBD protocol. None crashes the export, fills memory, or disturbs another one. */
import { connect } from 'node:net';
import { Handshake } from '../src/volumes/nbd/handshake.ts';
import { Incoming } from '../src/volumes/nbd/incoming.ts';
import { Slabs } from '../src/volumes/nbd/slabs.ts';
import { optionsMax, requestBytesMax } from '../src/volumes/nbd/protocol.ts';
import { Requests } from '../src/volumes/nbd/request.ts';
import type { Volume } from '../src/volumes/volume.ts';
import { clientFlags, goBytes, lifeBytes, optionBytes, requestBytes } from './nbd-bytes.ts';
import { seeded } from './seeded.ts';
import { exportOf, ownerExportOf, program, servers, type Export } from './volume-export.ts';

const sizeBytes = 1_048_576;
const limitMs = 5_000;
const openMs = 30_000;
/** A command and an option that everybody knows. */
const [read, write] = [0, 1];

/** What the export says to these bytes, until it hangs up or `enough` of it came. */
function talk(served: Export, bytes: Buffer, enough = Infinity): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const heard: Buffer[] = [];
    let count = 0;
    const socket = connect(served.socketPath);
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error('the export neither answers nor hangs up'));
    }, limitMs);
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(Buffer.concat(heard));
    };
    socket.on('data', (chunk) => {
      heard.push(chunk);
      count += chunk.length;
      if (count >= enough) done();
    });
    socket.on('error', () => undefined);
    socket.once('close', done);
    socket.write(bytes);
  });
}

const entered = (...requests: Buffer[]): Buffer => Buffer.concat([clientFlags(), goBytes(''), ...requests]);
/** Of the greeting and the answer to `entered`: 18, and options with 20 each and 12, 14 and 6 bytes. */
const enteredBytes = 18 + 4 * 20 + 12 + 14 + 6;
const outcomeAt = (heard: Buffer, answer: number): number =>
  heard.readUInt32BE(enteredBytes + answer * 16 + 4);

describe.each(servers)('an export %s that is spoken to wrongly', (_where, serve) => {
  let served: Export;
  beforeAll(async () => {
    served = await serve(sizeBytes);
  }, openMs);
  afterAll(() => served.close());

  it.each([
    ['no magic', Buffer.concat([clientFlags(), Buffer.alloc(16, 1)])],
    ['unknown flags', clientFlags(0xff)],
    ['the old style', clientFlags(0)],
    ['an option without an end', Buffer.concat([clientFlags(), optionBytes(3, Buffer.alloc(0), 1 << 30)])],
    ['options without an end', Buffer.concat([clientFlags(), ...many(optionsMax + 1, optionBytes(99))])],
    [
      'an unknown export, in the old way',
      Buffer.concat([clientFlags(), optionBytes(1, Buffer.from('other'))]),
    ],
    ['a request without magic', entered(requestBytes({ command: read, magic: 1, length: 512 }))],
    ['a write larger than any', entered(requestBytes({ command: write, length: requestBytesMax + 1 }))],
    ['a read larger than any', entered(requestBytes({ command: read, length: requestBytesMax + 1 }))],
  ])('hangs up on %s', async (_what, bytes) => {
    await talk(served, bytes);
    expect(await program('nbdinfo', '--size', served.uri)).toBe(`${String(sizeBytes)}\n`);
  });

  it('answers what it can not do, and goes on', async () => {
    const end = BigInt(sizeBytes);
    const answers: [Buffer, number][] = [
      [requestBytes({ command: read, offset: end, length: 1 }), 22],
      [requestBytes({ command: read, offset: 2n ** 64n - 1n, length: 512 }), 22],
      [requestBytes({ command: write, offset: end - 1n, contents: Buffer.alloc(2) }), 28],
      [requestBytes({ command: 4, offset: 0n, length: 0xffff_ffff }), 28],
      [requestBytes({ command: 77 }), 22],
      [requestBytes({ command: 7, length: 512 }), 22],
      [requestBytes({ command: read, flags: 0x8000, length: 1 }), 22],
      [requestBytes({ command: 3 }), 0],
    ];
    const bytes = entered(...answers.map(([request]) => request));
    const heard = await talk(served, bytes, enteredBytes + answers.length * 16);
    expect(answers.map((_, i) => outcomeAt(heard, i))).toEqual(answers.map(([, came]) => came));
  });

  it('survives lives that are bent at random', async () => {
    const random = seeded(7);
    const life = lifeBytes();
    for (let round = 0; round < 300; round += 1) {
      const bent = Buffer.from(life);
      for (let i = 0; i <= random(8); i += 1) bent[random(bent.length)] = random(256);
      // It may wait for more, rightly; the end of the bytes ends it.
      await Promise.race([talk(served, bent.subarray(0, random(bent.length + 1)), 18), pause()]);
    }
    expect(await program('nbdinfo', '--size', served.uri)).toBe(`${String(sizeBytes)}\n`);
  });
});

it(
  'a disk that does not tell where its holes are is an error for who asks, and nothing else',
  async () => {
    const segments = (): number => 5;
    const served = await exportOf(sizeBytes, {
      over: (volume) => ({
        ...{ sizeBytes, segments },
        submit: (request, done) => volume.submit(request, done),
      }),
    });
    try {
      await expect(program('nbdinfo', '--map', served.uri)).rejects.toThrow(/nput\/output error/);
      expect(await program('nbdinfo', '--size', served.uri)).toBe(`${String(sizeBytes)}\n`);
    } finally {
      await served.close();
    }
  },
  openMs,
);

it(
  'an owner serves others while a client asks and does not listen',
  async () => {
    const served = await ownerExportOf(requestBytesMax);
    const sockets = many(8, Buffer.alloc(0)).map(() => connect(served.socketPath));
    try {
      for (const socket of sockets) {
        socket.pause();
        socket.on('error', () => undefined);
        socket.write(entered(...many(64, requestBytes({ command: read, length: requestBytesMax }))));
      }
      await new Promise((next) => setTimeout(next, 300));
      await program('qemu-io', '-f', 'raw', '-c', 'write 4096 8192', '-c', 'flush', served.uri);
    } finally {
      for (const socket of sockets) socket.destroy();
      await served.close();
    }
  },
  openMs,
);

it('a client that asks and does not listen is not read any more', async () => {
  let submitted = 0;
  const counted = (volume: Volume): Volume => ({
    sizeBytes: volume.sizeBytes,
    submit: (request, done) => {
      submitted += 1;
      volume.submit(request, done);
    },
    segments: (offset, length) => volume.segments(offset, length),
  });
  const large = requestBytesMax;
  const served = await exportOf(large, { over: counted });
  try {
    const socket = connect(served.socketPath);
    const asked = 64;
    socket.write(entered(...many(asked, requestBytes({ command: read, length: large }))));
    await new Promise((next) => setTimeout(next, 300));
    expect(submitted).toBeLessThanOrEqual(4);
    socket.destroy();
  } finally {
    await served.close();
  }
});

it('whoever is told to go hears that, and then the export is closed', async () => {
  const served = await exportOf(sizeBytes);
  const socket = connect(served.socketPath);
  const heard: Buffer[] = [];
  socket.on('data', (chunk) => heard.push(chunk));
  const closed = new Promise((resolve) => socket.once('close', resolve));
  socket.write(entered(requestBytes({ command: 3 })));
  const limit = performance.now() + limitMs;
  while (Buffer.concat(heard).length < enteredBytes + 16 && performance.now() < limit) await pause();
  const closing = served.server.close();
  socket.write(requestBytes({ command: write, contents: Buffer.alloc(512) }));
  await closed;
  await closing;
  const all = Buffer.concat(heard);
  expect([outcomeAt(all, 0), outcomeAt(all, 1)]).toEqual([0, 108]);
  await served.close();
});

describe('the parsers', () => {
  const exported = { name: 'disk', sizeBytes, readOnly: false };

  /** Everything that is made of the bytes, when they come in these pieces. */
  function made(bytes: Buffer, cut: (left: number) => number): string[] {
    const out: string[] = [];
    const incoming = new Incoming(new Slabs());
    const handshake = new Handshake(exported, incoming, (said) => out.push(said.toString('hex')));
    const requests = new Requests(incoming);
    let ready = false;
    for (let at = 0; at < bytes.length;) {
      const length = cut(bytes.length - at);
      bytes.copy(incoming.room(), 0, at, at + length);
      incoming.came(length);
      at += length;
      if (!ready) {
        const step = handshake.step();
        if (step.kind === 'over') return [...out, step.says];
        ready = step.kind === 'ready';
        if (!ready) continue;
      }
      for (let request = requests.next(); request !== null; request = requests.next()) {
        if (typeof request === 'string') return [...out, request];
        const { cookie, contents, ...rest } = request;
        out.push(JSON.stringify({ ...rest, cookie: String(cookie), contents: contents.toString('hex') }));
      }
    }
    return out;
  }

  it('make the same of bytes in whatever pieces they come, bent or not', () => {
    const random = seeded(11);
    const life = lifeBytes();
    for (let round = 0; round < 3_000; round += 1) {
      const bent = Buffer.from(life);
      if (round > 0) for (let i = 0; i <= random(4); i += 1) bent[random(bent.length)] = random(256);
      const whole = made(bent, (left) => left);
      expect(made(bent, (left) => 1 + random(Math.min(left, 40)))).toEqual(whole);
    }
  });

  it('make something of noise', () => {
    const random = seeded(13);
    for (let round = 0; round < 3_000; round += 1) {
      const noise = Buffer.from(Array.from({ length: random(200) }, () => random(256)));
      expect(made(Buffer.concat([clientFlags(), noise]), (left) => left).length).toBeLessThan(100);
    }
  });
});

function many(count: number, bytes: Buffer): Buffer[] {
  return Array.from({ length: count }, () => bytes);
}

const pause = (): Promise<Buffer> =>
  new Promise((next) => {
    setTimeout(() => next(Buffer.alloc(0)), 20);
  });
