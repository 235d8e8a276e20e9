/** Frames of volumes on the line: what decodes is what was encoded, and nothing else does. */
import { decodeFrame, encodeFrame } from '../src/transport/frame.ts';
import { volumeKinds } from '../src/transport/volume-codec.ts';
import {
  changesMax,
  compareBlocksMax,
  type ByteRange,
  type VolumeFrame,
} from '../src/transport/volume-frames.ts';
import { Compression } from '../src/transport/compression.ts';
import { encodeCompressed } from '../src/transport/frame.ts';
import { Chance } from './random-files.ts';

const headerBytes = 5;
const frames: readonly VolumeFrame[] = [
  {
    kind: 'volume-writes',
    number: 7,
    sequence: 2 ** 40,
    changes: [
      { kind: 'write', offset: 2 ** 47, contents: Buffer.from('abc') },
      { kind: 'zero', offset: 4_096, length: 2 ** 32, hole: true },
      { kind: 'zero', offset: 0, length: 1, hole: false },
      { kind: 'write', offset: 0, contents: Buffer.alloc(5_000, 'text ') },
    ],
    barrier: true,
    inStep: false,
    resync: true,
  },
  { kind: 'volume-writes', number: 1, sequence: 0, changes: [], barrier: true, inStep: true, resync: false },
  { kind: 'volume-ack', received: 9, durable: 3, sequence: 12, consistent: true },
  { kind: 'volume-standing', sizeBytes: 1 << 30, stamp: '', ranges: [], last: true },
  {
    kind: 'volume-standing',
    sizeBytes: 2 ** 45,
    stamp: 'a1b2',
    ranges: [
      { offset: 0, length: 65_536 },
      { offset: 2 ** 44, length: 1 },
    ],
    last: false,
  },
  { kind: 'volume-resync', stamp: 'a1b2c3', bytes: 65_536, sizeBytes: 1 << 30 },
  { kind: 'volume-compare', number: 3, ranges: [{ offset: 8_192, length: 1_048_576 }] },
  {
    kind: 'volume-compare',
    number: 4,
    ranges: [
      { offset: 2 ** 47, length: 65_536 },
      { offset: 0, length: 4_096 },
      { offset: 4_096, length: 1 },
    ],
  },
  { kind: 'volume-hashes', number: 3, hashes: Buffer.alloc(48, 9) },
];

const payloadOf = (frame: VolumeFrame): Buffer => Buffer.concat(encodeFrame(frame)).subarray(headerBytes);

it.each(frames.map((frame) => [frame.kind, frame] as const))('%s comes out as it went in', (_kind, frame) => {
  expect(decodeFrame(volumeKinds[frame.kind], payloadOf(frame))).toEqual(frame);
});

it('compressed contents come out as they went in', () => {
  const [frame] = frames;
  if (frame?.kind !== 'volume-writes') throw new Error('the first frame is one with contents');
  const contents = frame.changes.flatMap((change) => (change.kind === 'write' ? [change.contents] : []));
  const packed = new Compression('always').compress(contents, null);
  if (packed === null) throw new Error('text shrinks');
  const bytes = Buffer.concat(encodeCompressed(frame, packed)).subarray(headerBytes);
  expect(bytes.length).toBeLessThan(1_000);
  expect(decodeFrame(16, bytes)).toEqual(frame);
});

it('a frame that is cut, bent or noise is a frame or garbage, and never more than its bytes', () => {
  const chance = new Chance(5);
  for (let round = 0; round < 4_000; round += 1) {
    const frame = chance.pick(frames);
    if (frame === null) throw new Error('there are frames');
    const bytes = Buffer.from(payloadOf(frame));
    for (let i = 0; i < chance.below(4); i += 1) bytes[chance.below(bytes.length)] = chance.below(256);
    const cut = chance.below(3) === 0 ? bytes.subarray(0, chance.below(bytes.length)) : bytes;
    const decoded = decodeFrame(16 + chance.below(7), cut);
    if (decoded.kind === 'garbage') continue;
    if (decoded.kind === 'volume-writes') expect(decoded.changes.length).toBeLessThanOrEqual(changesMax);
    if (decoded.kind === 'volume-compare')
      expect(decoded.ranges.length).toBeLessThanOrEqual(compareBlocksMax);
    // What was taken for a frame is one: it can be told again.
    expect(
      decodeFrame(volumeKinds[decoded.kind as VolumeFrame['kind']], payloadOf(decoded as VolumeFrame)),
    ).toEqual(decoded);
  }
});

it('what would be out of the limits is not sent', () => {
  const many = Array.from(
    { length: changesMax + 1 },
    () => ({ kind: 'zero', offset: 0, length: 1, hole: true }) as const,
  );
  const writes = {
    kind: 'volume-writes',
    number: 1,
    sequence: 1,
    barrier: false,
    inStep: false,
    resync: false,
  } as const;
  expect(() => encodeFrame({ ...writes, changes: many })).toThrow();
  const large = Buffer.alloc(1_048_577);
  expect(() =>
    encodeFrame({ ...writes, changes: [{ kind: 'write', offset: 0, contents: large }] }),
  ).toThrow();
});

const [head, range] = [6, 12];

/** The payload of a question about these ranges, whatever they are. */
function questionOf(...ranges: readonly (readonly [offset: number, length: number])[]): Buffer {
  const bytes = Buffer.alloc(head + ranges.length * range);
  bytes.writeUIntBE(9, 0, head);
  ranges.forEach(([offset, length], i) => {
    bytes.writeUIntBE(offset, head + i * range, 6);
    bytes.writeUIntBE(length, head + i * range + 6, 6);
  });
  return bytes;
}

const blocksOf = (count: number) => Array.from({ length: count }, (_, i) => [i * 8_192, 4_096] as const);

it.each([
  ['no range', questionOf()],
  ['a range of nothing', questionOf([0, 4_096], [4_096, 0])],
  ['a range that begins within a block', questionOf([0, 4_096], [4_097, 1])],
  ['more ranges than an answer has hashes', questionOf(...blocksOf(compareBlocksMax + 1))],
  ['more blocks than an answer has hashes', questionOf(...blocksOf(compareBlocksMax - 1), [1 << 30, 4_097])],
  ['a range beyond the largest volume', questionOf([0, 4_096], [2 ** 48 - 4_096, 8_192])],
  ['half a range', questionOf([0, 4_096], [8_192, 4_096]).subarray(0, head + range + 6)],
])('a question about %s is garbage', (_what, bytes) => {
  expect(decodeFrame(volumeKinds['volume-compare'], bytes).kind).toBe('garbage');
});

it('a question about as much as one may be about is a frame, and no more than that is sent', () => {
  const most = decodeFrame(volumeKinds['volume-compare'], questionOf(...blocksOf(compareBlocksMax)));
  expect(most).toMatchObject({ kind: 'volume-compare', number: 9 });
  const ask = (...ranges: readonly ByteRange[]) => encodeFrame({ kind: 'volume-compare', number: 1, ranges });
  expect(() => ask()).toThrow();
  expect(() => ask({ offset: 0, length: 1 << 21 })).toThrow();
  expect(() => ask({ offset: 0, length: 1 << 20 }, { offset: 1 << 20, length: 1 })).toThrow();
  expect(() => ask({ offset: 512, length: 1 })).toThrow();
});
