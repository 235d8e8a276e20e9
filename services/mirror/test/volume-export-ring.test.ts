/** What the thread of a volume's clients and that of its source say to each other, and that neither outruns the other. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { Tickets } from '../src/volumes/export/answer-ring.ts';
import { ExportedVolume } from '../src/volumes/export/exported-volume.ts';
import { Intake } from '../src/volumes/export/intake.ts';
import { gate, recordsMax, SharedMemory, word } from '../src/volumes/export/shared-memory.ts';
import {
  recordFlag,
  recordKind,
  WriteRingHead,
  WriteRingTail,
  type WriteRecord,
} from '../src/volumes/export/write-ring.ts';
import type { Store } from '../src/volumes/store/store.ts';
import { compiled } from './compiled.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { seeded } from './seeded.ts';

const extentBytes = 4_096;
const extents = 16;
const contentsBytes = 65_536;
const shared = (): SharedMemory =>
  SharedMemory.made(new SharedArrayBuffer(extents), extentBytes, contentsBytes);
const write = (offset: number, length: number, ticket = 0): WriteRecord => ({
  ...{ kind: recordKind.write, flags: 0, ticket, offset, length },
});

describe('the ring of writes', () => {
  it('gives out what was put in, in order, over many rounds', () => {
    const memory = shared();
    const [head, tail] = [new WriteRingHead(memory), new WriteRingTail(memory)];
    const random = seeded(3);
    const inside: { readonly offset: number; readonly length: number }[] = [];
    let [put, taken] = [0, 0];
    for (let step = 0; step < 6_000; step += 1) {
      const length = 1 + random(contentsBytes / 4);
      const at = random(2) === 0 ? head.reserve(length) : null;
      if (at !== null) {
        memory.contents.fill(put & 0xff, at, at + length);
        head.write(write(put, length));
        inside.push({ offset: put, length });
        put += 1;
      } else
        tail.take((record, contents) => {
          expect(record).toMatchObject(inside.shift() ?? {});
          expect(contents.length).toBe(record.length);
          expect(contents.every((byte) => byte === (taken & 0xff))).toBe(true);
          taken += 1;
        });
    }
    expect(taken).toBeGreaterThan(500);
  });

  it('goes on when its counts wrap around', () => {
    const memory = SharedMemory.made(new SharedArrayBuffer(extents), extentBytes, 4_194_304);
    const [head, tail] = [new WriteRingHead(memory), new WriteRingTail(memory)];
    const length = 1_048_576;
    for (let step = 0; step < 8_200; step += 1) {
      const at = head.reserve(length);
      if (at === null) throw new Error(`no room at step ${step}`);
      memory.contents[at] = step & 0xff;
      head.write(write(step, length));
      tail.take((record, contents) => {
        if (record.offset !== step || contents[0] !== (step & 0xff)) throw new Error(`torn at step ${step}`);
      });
    }
    expect(head.bytesWaiting).toBe(0);
  });

  it('takes nothing that it has no room for', () => {
    const memory = shared();
    const [head, tail] = [new WriteRingHead(memory), new WriteRingTail(memory)];
    for (let i = 0; i < 4; i += 1) {
      expect(head.reserve(contentsBytes / 4)).not.toBeNull();
      head.write(write(i, contentsBytes / 4));
    }
    expect(head.reserve(1)).toBeNull();
    tail.take(() => undefined);
    expect(head.reserve(1)).toBe(0);
    while (!head.full) head.note({ ...write(0, 0), kind: recordKind.flush });
    expect(head.waiting).toBe(recordsMax);
    expect(head.reserve(1)).toBeNull();
  });
});

describe('an export', () => {
  const disk = new PowerCutDisk();
  const volumeBytes = extents * extentBytes;
  let memory: SharedMemory;
  let volume: ExportedVolume;
  let nowMs: number;
  let taken: WriteRecord[];
  let intake: Intake;

  beforeEach(() => {
    memory = shared();
    disk.format('volume', volumeBytes);
    nowMs = 0;
    memory.grant(1_000);
    taken = [];
    volume = new ExportedVolume({
      ...{ store: disk.open('volume'), shared: memory },
      mayAct: () => nowMs < memory.untilMs,
      wakeSource: () => undefined,
      refused: () => undefined,
    });
    intake = new Intake({
      shared: memory,
      wakeExport: () => undefined,
      take: (record, _contents, answer) => {
        taken.push(record);
        answer?.(outcome.done);
      },
      taken: () => undefined,
    });
  });
  afterEach(() => intake.end());

  const asked = (offset: number, length = 512, durable = false): { came: number | null } => {
    const answer: { came: number | null } = { came: null };
    volume.submit({ kind: 'write', offset, contents: Buffer.alloc(length, 7), durable }, (came) => {
      answer.came = came;
    });
    return answer;
  };

  it('writes nothing to an extent that is cold, and all of it, in order, when it is hot', () => {
    memory.hot[1] = 1;
    const first = asked(0);
    const second = asked(extentBytes);
    expect([first.came, second.came]).toEqual([null, null]);
    intake.catchUp();
    expect(taken.map(({ kind, offset }) => [kind, offset])).toEqual([[recordKind.warm, 0]]);
    memory.hot[0] = 1;
    intake.warmed();
    volume.look();
    expect([first.came, second.came]).toEqual([outcome.done, outcome.done]);
    intake.catchUp();
    expect(taken.slice(1).map(({ offset }) => offset)).toEqual([0, extentBytes]);
  });

  it('asks for what waits behind others as well, so that it is made hot together, and once for each word', () => {
    const answers = [asked(0), asked(extentBytes), asked(2 * extentBytes)];
    intake.catchUp();
    const all = [0, extentBytes, 2 * extentBytes].map((offset) => [recordKind.warm, offset]);
    expect(taken.map(({ kind, offset }) => [kind, offset])).toEqual(all);
    volume.look();
    intake.catchUp();
    expect(taken).toHaveLength(3);
    // The last one found no room.
    memory.hot[0] = memory.hot[1] = 1;
    intake.warmed();
    volume.look();
    intake.catchUp();
    expect(taken.at(-1)).toMatchObject({ kind: recordKind.warm, offset: 2 * extentBytes });
    memory.hot[2] = 1;
    intake.warmed();
    volume.look();
    expect(answers.map(({ came }) => came)).toEqual([outcome.done, outcome.done, outcome.done]);
  });

  it('asks for an extent again that cooled before its turn came', () => {
    const answer = asked(0);
    intake.catchUp();
    intake.warmed();
    volume.look();
    intake.catchUp();
    expect(taken.map(({ kind }) => kind)).toEqual([recordKind.warm, recordKind.warm]);
    expect(answer.came).toBeNull();
  });

  it('answers what waits, and what comes, with ESHUTDOWN when the grant ends', () => {
    memory.hot.fill(1);
    intake.close(gate.held);
    const waiting = [asked(0), asked(extentBytes)];
    expect(waiting.map(({ came }) => came)).toEqual([null, null]);
    nowMs = 1_000;
    volume.look();
    expect(waiting.map(({ came }) => came)).toEqual([outcome.shutdown, outcome.shutdown]);
    expect(asked(0).came).toBe(outcome.shutdown);
    let read: number | null = null;
    volume.submit({ kind: 'read', offset: 0, into: Buffer.alloc(512) }, (came) => (read = came));
    expect(read).toBe(outcome.shutdown);
    expect(taken).toEqual([]);
    // A later grant is another one.
    memory.grant(2_000);
    intake.open(gate.held);
    expect(asked(0).came).toBe(outcome.done);
  });

  it('waits while the ring is full, for the source and for no target, and goes on', () => {
    memory.hot.fill(1);
    const answers = Array.from({ length: 40 }, (_, i) => asked((i % 8) * extentBytes, 4_096));
    const before = answers.filter(({ came }) => came !== null).length;
    expect(before).toBe(contentsBytes / 4_096);
    expect(volume.sleeps()).toBe(true);
    intake.catchUp();
    expect(volume.sleeps()).toBe(false);
    for (let i = 0; i < 3; i += 1) {
      volume.look();
      intake.catchUp();
    }
    expect(answers.every(({ came }) => came === outcome.done)).toBe(true);
    expect(taken.length).toBe(40);
  });

  it('leaves the answer to the source where that is wanted', () => {
    memory.hot.fill(1);
    intake.answerWrites(true);
    const answers = [asked(0), asked(extentBytes, 512, true)];
    expect(answers.map(({ came }) => came)).toEqual([null, null]);
    intake.catchUp();
    volume.look();
    expect(answers.map(({ came }) => came)).toEqual([outcome.done, outcome.done]);
  });

  it('tells of writes without their contents while nobody takes them, and with them as soon as somebody does', () => {
    memory.hot.fill(1);
    intake.wantContents(false);
    expect(asked(0, 4_096).came).toBe(outcome.done);
    intake.wantContents(true);
    expect(taken).toMatchObject([{ flags: recordFlag.bare, offset: 0, length: 4_096 }]);
    expect(asked(4_096, 4_096).came).toBe(outcome.done);
    intake.catchUp();
    expect(taken.at(-1)).toMatchObject({ flags: 0, offset: 4_096, length: 4_096 });
  });

  it('cuts what is larger than the ring, and answers it once', () => {
    memory.hot.fill(1);
    const answer = asked(0, volumeBytes);
    for (let i = 0; i < 8; i += 1) {
      intake.catchUp();
      volume.look();
    }
    expect(answer.came).toBe(outcome.done);
    expect(taken.reduce((sum, { length }) => sum + length, 0)).toBe(volumeBytes);
  });
});

describe('an export of a disk that is slow with zeros', () => {
  const mib = 1_048_576;
  const slowMs = 4;

  it('cuts them, reads for others meanwhile, and asks for their extents at once', () => {
    const memory = SharedMemory.made(new SharedArrayBuffer(32), 4 * mib, contentsBytes);
    memory.grant(1_000);
    const zeros: number[] = [];
    const store = {
      zero: (_offset: number, length: number) => {
        zeros.push(length);
        for (const endMs = performance.now() + slowMs; performance.now() < endMs;);
      },
      read: () => undefined,
    } as unknown as Store;
    const taken: WriteRecord[] = [];
    const intake = new Intake({
      ...{ shared: memory, wakeExport: () => undefined, taken: () => undefined },
      take: (record) => taken.push(record),
    });
    const volume = new ExportedVolume({
      ...{ store, shared: memory, mayAct: () => true },
      ...{ wakeSource: () => undefined, refused: () => undefined },
    });
    const came: string[] = [];
    const zero = { kind: 'zero', offset: mib, length: 100 * mib, hole: true, durable: false } as const;
    volume.submit(zero, () => came.push('zeros'));
    intake.catchUp();
    expect(taken).toMatchObject([{ kind: recordKind.warm, offset: mib, length: 100 * mib }]);
    memory.hot.fill(1);
    intake.warmed();
    volume.look();
    expect(volume.sleeps()).toBe(false);
    volume.submit({ kind: 'read', offset: 0, into: Buffer.alloc(512) }, () => came.push('read'));
    for (let turn = 0; turn < 100 && came.length < 2; turn += 1) volume.look();
    expect(came).toEqual(['read', 'zeros']);
    expect(zeros.reduce((sum, length) => sum + length, 0)).toBe(100 * mib);
    expect(Math.max(...zeros)).toBe(4 * mib);
    expect(volume.sleeps()).toBe(true);
    intake.end();
  });

  it('says what it refuses to tell of its holes', () => {
    const says: string[] = [];
    const store = {
      segments: () => {
        throw Object.assign(new Error('EIO'), { code: 'EIO' });
      },
    } as unknown as Store;
    const volume = new ExportedVolume({
      ...{ store, shared: shared(), mayAct: () => true, wakeSource: () => undefined },
      refused: (sentence) => says.push(sentence),
    });
    expect(volume.segments(4_096, 512)).toBe(outcome.io);
    expect(says.join()).toMatch(/can't be read at 4096: EIO/);
  });
});

it('tickets are not given out twice', () => {
  const tickets = new Tickets(shared());
  const given = Array.from({ length: 100 }, () => tickets.issue(() => undefined));
  expect(new Set(given).size).toBe(100);
  expect(given.includes(0)).toBe(false);
});

/** The thread writes to one extent as fast as it can, and counts its writes. */
const program = (dist: string): string => `
  const { workerData, parentPort } = require('node:worker_threads');
  (async () => {
    const { ExportedVolume } = await import('${dist}/volumes/export/exported-volume.js');
    const { SharedMemory } = await import('${dist}/volumes/export/shared-memory.js');
    const shared = new SharedMemory(workerData.parts);
    const count = new Int32Array(workerData.count);
    const store = { sizeBytes: 65536, write: () => { Atomics.add(count, 0, 1); }, read() {}, zero() {} };
    const volume = new ExportedVolume({
      store, shared, mayAct: () => true, wakeSource: () => undefined, refused: () => undefined,
    });
    const contents = Buffer.alloc(512);
    parentPort.postMessage('runs');
    let under = 0;
    while (Atomics.load(count, 1) === 0) {
      volume.look();
      if (under > 4) continue;
      under += 1;
      volume.submit({ kind: 'write', offset: 0, contents, durable: false }, () => { under -= 1; });
    }
  })();
`;

it('an extent that was cooled is not written to any more, and everything that was written to it is taken', async () => {
  const memory = SharedMemory.made(new SharedArrayBuffer(extents), extentBytes);
  const count = new Int32Array(new SharedArrayBuffer(8));
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-ring-'));
  const worker = new Worker(
    program(
      compiled(folder, ...['exported-volume', 'shared-memory'].map((name) => `volumes/export/${name}`)),
    ),
    {
      eval: true,
      workerData: { parts: memory.parts, count: count.buffer },
    },
  );
  let writes = 0;
  const intake = new Intake({
    shared: memory,
    wakeExport: () => undefined,
    take: ({ kind }) => {
      if (kind === recordKind.write) writes += 1;
    },
    taken: () => undefined,
  });
  try {
    await new Promise((resolve, reject) => {
      worker.once('message', resolve);
      worker.once('error', reject);
    });
    for (let round = 0; round < 150; round += 1) {
      Atomics.store(memory.hot, 0, 1);
      intake.warmed();
      const before = Atomics.load(count, 0);
      while (Atomics.load(count, 0) === before) await new Promise((next) => setImmediate(next));
      Atomics.store(memory.hot, 0, 0);
      intake.catchUp();
      const then = Atomics.load(count, 0);
      if (writes !== then) throw new Error(`round ${round}: ${writes} of ${then} writes were taken`);
      for (let i = 0; i < 200; i += 1)
        if (Atomics.load(count, 0) !== then) throw new Error(`round ${round}: written to while cold`);
    }
    expect(memory.load(word.busy)).not.toBe(0);
  } finally {
    Atomics.store(count, 1, 1);
    intake.end();
    await worker.terminate();
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);
