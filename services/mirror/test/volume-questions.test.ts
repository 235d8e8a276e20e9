/** A source asks about many chunks at once, and is answered about all of them. */
import { randomBytes } from 'node:crypto';
import type { Connection, Frame } from '../src/transport/types.ts';
import { blockBytes, compareBlocksMax, type ByteRange } from '../src/transport/volume-frames.ts';
import { questionsOf } from '../src/volumes/source/questions.ts';
import type { Store } from '../src/volumes/store/store.ts';
import { Applying } from '../src/volumes/target/applying.ts';
import type { Overwriting } from '../src/volumes/target/overwriting.ts';
import { hashesOf } from '../src/volumes/hashing.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { ResyncOfCopy } from './volume-copy.ts';
import { chunkBytes, inStep, submit, until, VolumeHost, writeOf } from './volume-hosts.ts';

const volumeBytes = 16_777_216;
const chunks = volumeBytes / chunkBytes;
const [every, asksMax] = [4, 8];
const dataBytes = 262_144;
/** Longer than an answer is worked on in one turn. */
const slowMs = 5;

interface Volume {
  readonly disk: PowerCutDisk;
  readonly store: Store;
  readonly before: Buffer;
  /** In each of them one block differs from what was before. */
  readonly dirty: readonly number[];
}

function volume(): Volume {
  const disk = new PowerCutDisk();
  disk.format('volume', volumeBytes);
  const store = disk.open('volume');
  const before = randomBytes(volumeBytes);
  store.write(before, 0);
  const dirty = Array.from({ length: chunks / every }, (_, i) => i * every);
  for (const chunk of dirty) store.write(randomBytes(blockBytes), chunk * chunkBytes + blockBytes);
  return { disk, store, before, dirty };
}

function contentsOf(store: Store): Buffer {
  const bytes = Buffer.alloc(store.sizeBytes);
  store.read(bytes, 0);
  return bytes;
}

/** As that of a disk on which it takes its time to find a place. */
function slow(store: Store, read: (offset: number) => void = () => undefined): Store {
  return {
    get sizeBytes() {
      return store.sizeBytes;
    },
    segments: (offset, length) => store.segments(offset, length),
    read: (into, offset) => {
      for (const endMs = performance.now() + slowMs; performance.now() < endMs;);
      read(offset);
      store.read(into, offset);
    },
    write: (from, offset) => store.write(from, offset),
    zero: (offset, length, hole) => store.zero(offset, length, hole),
    sync: () => store.sync(),
    resize: (bytes) => store.resize(bytes),
    close: () => store.close(),
  };
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

async function toTheEnd(resync: ResyncOfCopy): Promise<void> {
  await until('everything is compared', () => {
    resync.answer();
    return resync.isDone || resync.unread !== '';
  });
  resync.forwarding.flush();
}

it('asks about as many chunks as one answer tells of, and sends what differs of them in one frame', async () => {
  const { dirty, ...made } = volume();
  const resync = new ResyncOfCopy({ ...made, dirty, compareRanges: compareBlocksMax, dataBytes });
  resync.resyncing.pump();
  expect(resync.copy.asked).toHaveLength(Math.min(asksMax, dirty.length / 64));
  await toTheEnd(resync);
  const { copy } = resync;
  expect(copy.bytes.equals(contentsOf(made.store))).toBe(true);
  // 64 chunks of 16 KiB are a question; a machine that is busy may take several turns for an answer.
  expect(copy.asked.map(({ ranges }) => ranges.length)).toEqual([64, 64, 64, 64]);
  expect(copy.written.length).toBeLessThan(dirty.length / 4);
  expect(resync.resyncing.doneBytes).toBe(dirty.length * chunkBytes);
});

it('has no more under way than a few questions, each as large as one may be', async () => {
  const dirty = Array.from({ length: chunks }, (_, i) => i);
  const resync = new ResyncOfCopy({ ...volume(), dirty, compareRanges: compareBlocksMax, dataBytes });
  resync.resyncing.pump();
  expect(resync.copy.asked).toHaveLength(asksMax);
  await toTheEnd(resync);
  expect(resync.copy.asked.map(({ ranges }) => ranges)).toEqual(
    Array.from({ length: 16 }, (_, i) => [{ offset: i << 20, length: 1 << 20 }]),
  );
});

it('asks little where the line is slow and everything differs, and much again where nothing does', async () => {
  const { disk, store, before } = volume();
  const half = volumeBytes / 2;
  store.write(randomBytes(half), 0);
  store.write(before.subarray(half), half);
  const dirty = Array.from({ length: chunks }, (_, i) => i);
  const terms = { disk, store, before, dirty, compareRanges: compareBlocksMax, dataBytes };
  const resync = new ResyncOfCopy({ ...terms, roomBytes: 2_000_000 });
  const { resyncing, comparing, copy } = resync;
  const underWay: number[] = [];
  resyncing.pump();
  await until('everything is compared', () => {
    if (comparing.underWay > 0) underWay.push(comparing.underWay);
    resync.answer();
    return resync.isDone;
  });
  resync.forwarding.flush();
  expect(copy.bytes.equals(contentsOf(store))).toBe(true);
  // Of 16 questions eight bring all that they are about, 1 MiB, and eight nothing.
  expect(underWay[0]).toBe(2);
  expect(Math.max(...underWay.slice(0, 2))).toBeLessThanOrEqual(2);
  expect(Math.max(...underWay)).toBeGreaterThan(4);
});

it.each([0, 1, 3])('a target that takes %d ranges at once is asked about no more', async (compareRanges) => {
  const made = volume();
  const resync = new ResyncOfCopy({ ...made, compareRanges, dataBytes });
  resync.resyncing.pump();
  await toTheEnd(resync);
  const most = Math.max(1, compareRanges);
  expect(Math.max(...resync.copy.asked.map(({ ranges }) => ranges.length))).toBe(most);
  expect(resync.copy.bytes.equals(contentsOf(made.store))).toBe(true);
});

it('a slow disk is read range after range: the service writes between them, and nothing older goes over it', async () => {
  const { disk, store, before, dirty } = volume();
  const some = dirty.slice(0, 16);
  const reads: number[] = [];
  const terms = { disk, before, dirty: some, compareRanges: compareBlocksMax, dataBytes };
  const resync = new ResyncOfCopy({ ...terms, store: slow(store, (offset) => reads.push(offset)) });
  const { resyncing, forwarding, copy } = resync;
  resyncing.pump();
  resync.answer();
  await turn();
  expect(reads).toHaveLength(1);
  // What is asked about and not read yet is dirty, and what was read is under way.
  expect([...resyncing.asked()]).toEqual(some.slice(1));
  expect([...forwarding.chunks()]).toEqual(some.slice(0, 1));
  expect(copy.written).toHaveLength(1);
  let sequence = 0;
  for (const chunk of some) {
    const [offset, contents] = [chunk * chunkBytes + blockBytes, randomBytes(blockBytes)];
    store.write(contents, offset);
    forwarding.add((sequence += 1), { kind: 'write', offset, contents }, chunk, chunk);
    await turn();
  }
  await toTheEnd(resync);
  expect(copy.bytes.subarray(0, 64 * chunkBytes).equals(contentsOf(store).subarray(0, 64 * chunkBytes))).toBe(
    true,
  );
});

it('a chunk that can not be read keeps no other of its question from being sent', async () => {
  const { disk, store, before, dirty } = volume();
  const terms = { disk, store, before, compareRanges: compareBlocksMax, dataBytes };
  // Neighbours, so that it lies within a range, and others.
  const resync = new ResyncOfCopy({ ...terms, dirty: [...dirty, 5, 6].sort((a, b) => a - b) });
  disk.refuseReads('volume', 5 * chunkBytes);
  resync.resyncing.pump();
  await toTheEnd(resync);
  disk.refuseReads('volume', null);
  expect(resync.unread).toMatch(/can't be read here at 81920/);
  expect([...resync.resyncing.asked()]).toEqual([5]);
  expect(resync.copy.bytes.equals(contentsOf(store))).toBe(true);
});

it('ranges are cut into questions that have no more ranges and no more blocks than they may', () => {
  const range = (offset: number, length: number): ByteRange => ({ offset, length });
  expect([...questionsOf([], 4)]).toEqual([]);
  expect([...questionsOf([range(0, 1), range(8_192, 4_096), range(65_536, 1)], 2)]).toEqual([
    [range(0, 1), range(8_192, 4_096)],
    [range(65_536, 1)],
  ]);
  const mebibyte = 1 << 20;
  expect([...questionsOf([range(0, 4_097), range(mebibyte, 2 * mebibyte)], 9)]).toEqual([
    [range(0, 4_097), range(mebibyte, mebibyte - 8_192)],
    [range(2 * mebibyte - 8_192, mebibyte)],
    [range(3 * mebibyte - 8_192, 8_192)],
  ]);
});

/** A target that is asked by whoever. */
class Asked {
  readonly sent: Frame[] = [];
  readonly applying: Applying;
  held = false;
  #take: (frame: Frame) => void = () => undefined;

  constructor(store: Store) {
    const connection = {
      onFrame: (listener: (frame: Frame) => void) => (this.#take = listener),
      send: (frame: Frame) => this.sent.push(frame) > 0,
      hold: () => (this.held = true),
      go: () => (this.held = false),
      close: () => undefined,
    } as unknown as Connection;
    this.applying = new Applying(connection, {
      ...{ store, sizeBytes: volumeBytes, overwriting: { active: false } as unknown as Overwriting },
      begin: () => Promise.resolve(''),
      inStep: () => Promise.resolve(),
      ...{ consistent: () => false, suspect: () => false, durable: () => undefined },
      failed: (kind, says) => {
        throw new Error(`${kind}: ${says}`);
      },
    });
  }

  ask(number: number, ranges: readonly ByteRange[]): void {
    this.#take({ kind: 'volume-compare', number, ranges });
  }

  write(number: number, offset: number, contents: Buffer): void {
    const flags = { barrier: false, inStep: false, resync: true };
    this.#take({
      ...{ kind: 'volume-writes', number, sequence: 0, changes: [{ kind: 'write', offset, contents }] },
      ...flags,
    });
  }

  get answers(): readonly Frame[] {
    return this.sent.filter(({ kind }) => kind === 'volume-hashes');
  }
}

const blocks = (count: number): readonly ByteRange[] =>
  Array.from({ length: count }, (_, i) => ({ offset: 2 * i * blockBytes, length: blockBytes }));

it('a target whose disk is slow gives others their turn between ranges, and answers as of one moment', async () => {
  const { disk, store } = volume();
  const ranges = blocks(20);
  const before = ranges.map(({ offset, length }) =>
    hashesOf(contentsOf(store).subarray(offset, offset + length)),
  );
  const target = new Asked(slow(disk.open('volume')));
  target.ask(1, ranges);
  // Behind it, and not within it.
  target.write(1, 38 * blockBytes, randomBytes(blockBytes));
  let turns = 0;
  while (target.answers.length === 0 && turns < 1_000) {
    await turn();
    turns += 1;
  }
  expect(turns).toBeGreaterThan(5);
  expect(target.answers).toEqual([{ kind: 'volume-hashes', number: 1, hashes: Buffer.concat(before) }]);
  await target.applying.stop('the test is over');
});

it('a target refuses a question of which one range lies beyond the volume, and answers none of it', async () => {
  const target = new Asked(volume().store);
  target.ask(1, [...blocks(3), { offset: volumeBytes - blockBytes, length: blockBytes + 1 }]);
  expect(target.sent).toMatchObject([{ kind: 'refuse', says: 'a comparison beyond the end of the volume' }]);
  await target.applying.stop('the test is over');
});

it('a target counts what questions take in memory, reads no more when that is too much, and drops them when it stops', async () => {
  const { disk } = volume();
  const target = new Asked(slow(disk.open('volume')));
  const ranges = blocks(compareBlocksMax);
  let asked = 0;
  while (!target.held && asked < 10_000) target.ask((asked += 1), ranges);
  expect(asked).toBeLessThan(2_000);
  const beganMs = performance.now();
  await target.applying.stop('the test is over');
  // One of them is 1.3 s.
  expect(performance.now() - beganMs).toBeLessThan(slowMs * compareBlocksMax);
  expect(target.answers).toEqual([]);
});

describe('two members', () => {
  const anna = new VolumeHost('anna');
  const bert = new VolumeHost('bert');
  afterAll(async () => {
    await anna.close();
    await bert.close();
  });

  it('a comparison of many ranges names those that differ, in order', async () => {
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await submit(source, writeOf(0, randomBytes(512 * 1_024)));
    await inStep(anna, bert);
    const ranges = blocks(100);
    const rotten = ranges.filter((_, i) => i % 7 === 3);
    for (const { offset } of rotten) bert.disk.open('volume').write(Buffer.from('rot'), offset + 9);
    expect(await source.verify('bert', { repair: true, ranges }, () => undefined)).toEqual({
      comparedBytes: ranges.length * blockBytes,
      differences: rotten,
    });
    await until('it is mended', () => bert.contents().equals(anna.contents()));
  });
});
