/** Zeros without end at a target whose disk writes them: the event loop is that of all mirrors of its member. */
import type { Connection, Frame } from '../src/transport/types.ts';
import type { BlockChange, ByteRange, VolumeWrites } from '../src/transport/volume-frames.ts';
import type { Store } from '../src/volumes/store/store.ts';
import { Applying } from '../src/volumes/target/applying.ts';
import type { Overwriting } from '../src/volumes/target/overwriting.ts';
import { until } from './volume-hosts.ts';

const mib = 1_048_576;
const slowMs = 4;
const sizeBytes = 1_024 * mib;

interface Bench {
  readonly take: (frame: Frame) => void;
  readonly applying: Applying;
  readonly sent: Frame[];
  /** Of the volume, as they were done. */
  readonly zeros: ByteRange[];
  /** What was saved aside, each time. */
  readonly saved: (readonly ByteRange[])[];
}

function bench(active: boolean): Bench {
  const zeros: ByteRange[] = [];
  const saved: (readonly ByteRange[])[] = [];
  const sent: Frame[] = [];
  const store = {
    zero: (offset: number, length: number) => {
      zeros.push({ offset, length });
      for (const endMs = performance.now() + slowMs; performance.now() < endMs;);
    },
    sync: () => Promise.resolve(),
  } as unknown as Store;
  const overwriting = {
    active,
    save: (ranges: readonly ByteRange[]) => {
      saved.push(ranges);
      return Promise.resolve('');
    },
  } as unknown as Overwriting;
  let take: (frame: Frame) => void = () => undefined;
  const connection = {
    onFrame: (listener: (frame: Frame) => void) => (take = listener),
    send: (frame: Frame) => sent.push(frame) > 0,
    hold: () => undefined,
    close: () => undefined,
  } as unknown as Connection;
  const applying = new Applying(connection, {
    ...{ store, sizeBytes, overwriting },
    begin: () => Promise.resolve(''),
    inStep: () => Promise.resolve(),
    consistent: () => true,
    suspect: () => false,
    durable: () => undefined,
    failed: (kind, why) => {
      throw new Error(`${kind}: ${why}`);
    },
  });
  return { take: (frame) => take(frame), applying, sent, zeros, saved };
}

const zerosOf = (number: number, ...changes: readonly ByteRange[]): VolumeWrites => ({
  ...{ kind: 'volume-writes', number, sequence: number, barrier: false, inStep: false, resync: false },
  changes: changes.map((range): BlockChange => ({ kind: 'zero', hole: true, ...range })),
});

const lengths = (ranges: readonly ByteRange[]): number[] => ranges.map(({ length }) => length / mib);
const sum = (ranges: readonly ByteRange[]): number => ranges.reduce((all, { length }) => all + length, 0);
const received = (sent: readonly Frame[]): number =>
  sent.reduce((most, frame) => (frame.kind === 'volume-ack' ? Math.max(most, frame.received) : most), 0);

it.each([false, true])('are cut, in order, and others get their turn (in a resync: %s)', async (active) => {
  const { take, applying, sent, zeros } = bench(active);
  take(zerosOf(1, { offset: mib, length: 256 * mib }));
  take(zerosOf(2, { offset: 0, length: mib }));
  await new Promise((next) => setImmediate(next));
  await new Promise((next) => setImmediate(next));
  expect(sum(zeros)).toBeLessThan(256 * mib);
  expect(received(sent)).toBe(0);
  await until('they are received', () => received(sent) === 2);
  expect(Math.max(...lengths(zeros))).toBe(4);
  expect(zeros.at(-1)).toEqual({ offset: 0, length: mib });
  expect(sum(zeros)).toBe(257 * mib);
  await applying.stop('the test is over');
});

it('what was taken is done to its end when the source goes', async () => {
  const { take, applying, zeros } = bench(false);
  take(zerosOf(1, { offset: 0, length: 128 * mib }));
  await applying.stop('the source goes');
  expect(sum(zeros)).toBe(128 * mib);
  expect(applying.sequence).toBe(1);
});

it('what they go over is saved aside in parts', async () => {
  const { take, applying, sent, saved } = bench(true);
  take(zerosOf(1, { offset: 0, length: 40 * mib }, { offset: 100 * mib, length: 8 * mib }));
  await until('they are received', () => received(sent) === 1);
  expect(saved.map(sum).map((bytes) => bytes / mib)).toEqual([16, 16, 16]);
  await applying.stop('the test is over');
});
