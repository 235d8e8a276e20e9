import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { brotliCompressSync } from 'node:zlib';
import { mirror } from '@holdfast/proto/mirror';
import { Assembly } from '../src/transport/assembly.ts';
import { decodeFrame, encodeCompressed, encodeFrame } from '../src/transport/frame.ts';
import { dataBytesMax, frameBytesMax } from '../src/transport/limits.ts';
import { pathProblem } from '../src/transport/path.ts';
import {
  refusalCodes,
  type Attributes,
  type Data,
  type FileOperation,
  type Frame,
  type Garbage,
} from '../src/transport/types.ts';

const bytes = (maxLength: number, minLength = 0): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array));

const name = bytes(40, 1).filter((part) => pathProblem(part) === null && !part.includes(0x2f));
const below = fc
  .array(name, { minLength: 1, maxLength: 5 })
  .map((parts) => Buffer.concat(parts.flatMap((part, i) => (i === 0 ? [part] : [Buffer.from('/'), part]))));
const anyPath = fc.oneof(below, fc.constant(Buffer.alloc(0)));
const count = fc.maxSafeNat();
const uint32 = fc.nat({ max: 0xffff_ffff });
const epoch = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const checksum = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((sum) => sum.toString(16).padStart(16, '0'));
const time = fc.double({ min: 0, max: 1e15, noNaN: true }).map((ms) => (Object.is(ms, -0) ? 0 : ms));
const says = fc.string({ maxLength: 60, unit: 'grapheme' });
const history = fc
  .uniqueArray(fc.tuple(fc.bigInt({ min: 1n, max: 2n ** 40n }), count), {
    selector: ([e]) => e,
    maxLength: 5,
  })
  .map((rows) => {
    const epochs = rows.map(([e]) => e).sort((a, b) => (a < b ? -1 : 1));
    const sequences = rows.map(([, s]) => s).sort((a, b) => a - b);
    return epochs.map((e, i) => ({ epoch: e, sequence: sequences[i] ?? 0 }));
  });
const extended = fc.array(
  fc.tuple(
    bytes(20, 1).filter((key) => !key.includes(0)),
    bytes(50),
  ),
  { maxLength: 3 },
);

const attributes: fc.Arbitrary<Attributes> = fc
  .record({
    kind: fc.constantFrom('file', 'folder', 'link', 'fifo', 'block', 'char'),
    mode: fc.nat({ max: 0o7777 }),
    uid: uint32,
    gid: uint32,
    size: count,
    mtimeS: fc.integer({ min: -(2 ** 40), max: 2 ** 40 }),
    mtimeNs: fc.nat({ max: 999_999_999 }),
    link: bytes(60, 1),
    deviceMajor: uint32,
    deviceMinor: uint32,
    extended,
  })
  .map((of) => ({ ...of, link: of.kind === 'link' ? of.link : Buffer.alloc(0) }));

const is = <K extends string>(kind: K): fc.Arbitrary<K> => fc.constant(kind);

const operation: fc.Arbitrary<FileOperation> = fc.oneof(
  fc.record({ kind: is('move'), from: below, slot: uint32 }),
  fc.record({ kind: is('remove'), path: below }),
  fc.record({ kind: is('place'), slot: uint32, to: below }),
  fc.record({
    kind: is('put'),
    path: below,
    attributes,
    contents: bytes(200),
    stream: uint32,
    version: bytes(24),
  }),
  fc.record({ kind: is('hard-link'), path: below, to: below }),
  fc.record({ kind: is('patch'), path: below, attributes, stream: uint32 }),
  fc.record({ kind: is('set'), path: anyPath, attributes }),
);

const stream = fc.integer({ min: 1, max: 0xffff_ffff });
const offset = fc.nat({ max: 2 ** 47 });

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: is('hello'),
    protocol: uint32,
    cluster: says,
    member: says,
    mirror: says,
    role: fc.constantFrom('source', 'target'),
    epoch,
    position: fc.option(fc.record({ epoch, sequence: count, checksum })),
    history,
    selection: bytes(32),
    consistent: fc.boolean(),
    parts: fc.array(fc.record({ path: below, version: bytes(24), bytes: count }), { maxLength: 3 }),
    foreign: fc.boolean(),
    compareRanges: uint32,
  }),
  fc.record({ kind: is('refuse'), code: fc.constantFrom(...refusalCodes), says, epoch }),
  fc.record({
    kind: is('plan'),
    mode: fc.constantFrom('continue', 'compare'),
    from: count,
    entries: count,
    bytes: count,
  }),
  fc.record({ kind: is('candidates'), paths: fc.array(anyPath, { maxLength: 5 }), last: fc.boolean() }),
  fc.record({
    kind: is('offer'),
    number: count,
    entries: fc.array(
      fc.record({
        path: anyPath,
        attributes: fc.option(attributes),
        blockBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
        hashes: bytes(4).map((hashes) => Buffer.concat(Array.from({ length: 16 }, () => hashes))),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: is('wants'),
    number: count,
    entries: fc.array(
      fc.record({ path: anyPath, whole: fc.boolean(), blocks: fc.array(uint32, { maxLength: 5 }) }),
      { maxLength: 3 },
    ),
  }),
  fc.record({ kind: is('begin'), number: count, consistent: fc.boolean() }),
  fc.record({ kind: is('operations'), operations: fc.array(operation, { maxLength: 5 }) }),
  fc.record({ kind: is('data'), stream, offset, contents: bytes(300, 1) }),
  fc.record({ kind: is('hole'), stream, offset, length: fc.integer({ min: 1, max: 2 ** 47 - 1 }) }),
  fc.record({ kind: is('stream-end'), stream: uint32, bytes: count }),
  fc.record({ kind: is('stream-abort'), stream: uint32 }),
  fc.record({
    kind: is('commit'),
    number: count,
    sequence: count,
    checksum,
    consistent: fc.boolean(),
    hot: fc.array(anyPath, { maxLength: 3 }),
    history,
  }),
  fc.record({ kind: is('ack'), number: count, sequence: count, checksum }),
  fc.record({
    kind: is('beat'),
    behindBytes: count,
    behindMs: time,
    waiting: says,
    sequence: count,
    sentAtMs: time,
    echoSentAtMs: time,
    diverged: fc.boolean(),
    receivedBytes: count,
    says,
  }),
);

/** Kind and payload of a frame that is whole in these bytes. */
function parsed(whole: Buffer): Frame | Garbage {
  const assembly = new Assembly();
  assembly.push(whole);
  const raw = assembly.next();
  if (raw === null || typeof raw === 'string') throw new Error(`not whole: ${String(raw)}`);
  expect(assembly.next()).toBeNull();
  return decodeFrame(raw.kind, raw.payload);
}

const encoded = (of: Frame): Buffer => Buffer.concat(encodeFrame(of));

describe('a frame', () => {
  test('comes out as it went in', () => {
    fc.assert(
      fc.property(frame, (of) => {
        expect(parsed(encoded(of))).toEqual(of);
      }),
      { numRuns: 1_000 },
    );
  });

  test('is whole however its bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 6 }), fc.integer({ min: 1, max: 64 }), (frames, cut) => {
        const line = Buffer.concat(frames.map(encoded));
        const assembly = new Assembly();
        const heard: (Frame | Garbage)[] = [];
        for (let at = 0; at < line.length; at += cut) {
          assembly.push(line.subarray(at, at + cut));
          for (let raw = assembly.next(); raw !== null; raw = assembly.next()) {
            if (typeof raw === 'string') throw new Error(raw);
            heard.push(decodeFrame(raw.kind, raw.payload));
          }
        }
        expect(heard).toEqual(frames);
      }),
      { numRuns: 200 },
    );
  });

  test('of operations is read like the generated code reads it', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 8 }), (operations) => {
        const [, payload] = encodeFrame({ kind: 'operations', operations });
        const generated = mirror.BatchOperations.decode(payload ?? Buffer.alloc(0));
        const byHand = decodeFrame(8, Buffer.from(payload ?? []));
        if (byHand.kind !== 'operations') throw new Error(byHand.kind);
        // What was read by hand, written again, is what the generated code writes of what it read.
        const [, again] = encodeFrame(byHand);
        expect(
          Buffer.from(mirror.BatchOperations.encode(generated).finish()).equals(again ?? Buffer.alloc(0)),
        ).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('that carries compressed contents gives the contents', () => {
    const contents = Buffer.alloc(200_000, 'abc');
    const data: Data = { kind: 'data', stream: 7, offset: 4_096, contents };
    const line = Buffer.concat(encodeCompressed(data, brotliCompressSync(contents)));
    expect(line.length).toBeLessThan(1_000);
    expect(parsed(line)).toEqual(data);
  });
});

describe('garbage', () => {
  test('of any bytes is a value', () => {
    fc.assert(
      fc.property(fc.nat({ max: 255 }), bytes(400), (kind, payload) => {
        expect(typeof decodeFrame(kind, payload).kind).toBe('string');
      }),
      { numRuns: 5_000 },
    );
  });

  test('of a frame that was changed on its way is a value, or a frame that encodes again', () => {
    const change = fc.tuple(fc.nat(), fc.nat({ max: 255 }));
    fc.assert(
      fc.property(frame, fc.array(change, { minLength: 1, maxLength: 6 }), fc.nat(), (of, changes, cut) => {
        const line = encoded(of);
        const kind = line.readUInt8(4);
        const payload = Buffer.from(line.subarray(5, 5 + (cut % 3 === 0 ? cut % line.length : line.length)));
        for (const [at, byte] of changes) if (payload.length > 0) payload[at % payload.length] = byte;
        const answer = decodeFrame(kind, payload);
        // T1: what is delivered is within the limits that a sender has to keep.
        if (answer.kind !== 'garbage') expect(() => encodeFrame(answer)).not.toThrow();
      }),
      { numRuns: 3_000 },
    );
  });

  test.each([
    ['/etc/passwd'],
    ['..'],
    ['../x'],
    ['a/../b'],
    ['a/..'],
    ['.'],
    ['a/./b'],
    ['a//b'],
    ['a/'],
    ['a\0b'],
    ['n'.repeat(256)],
    [`${'n'.repeat(255)}/`.repeat(16) + 'nnnn'],
  ])('is a path that leads out or is none (%#)', (text) => {
    const path = Buffer.from(text);
    expect(pathProblem(path)).not.toBeNull();
    expect(() => encodeFrame({ kind: 'operations', operations: [{ kind: 'remove', path }] })).toThrow();
    const hostile = mirror.BatchOperations.encode({
      operations: [{ what: { $case: 'remove', value: { path } } }],
    }).finish();
    expect(decodeFrame(8, Buffer.from(hostile))).toMatchObject({ kind: 'garbage' });
  });

  test.each([['...'], ['..a'], ['a..'], ['.a'], ['a/.../b'], ['n'.repeat(255)], ['\u00ff\u0001 "\\']])(
    'is not a usual path that is one (%#)',
    (text) => {
      expect(pathProblem(Buffer.from(text, 'latin1'))).toBeNull();
    },
  );

  test('is the root where an entry has to be', () => {
    const root = mirror.BatchOperations.encode({
      operations: [{ what: { $case: 'remove', value: { path: Buffer.alloc(0) } } }],
    }).finish();
    expect(decodeFrame(8, Buffer.from(root))).toMatchObject({ kind: 'garbage' });
  });

  test('is an operation that this version does not know', () => {
    // Field 15 of FileOperation, an empty message.
    const unknown = Buffer.of(0x0a, 2, 0x7a, 0);
    expect(decodeFrame(8, unknown)).toMatchObject({ kind: 'garbage' });
  });

  test('is a small payload that wants to become a large list', () => {
    // 500,000 operations of no bytes each, and 500,000 paths that are the root.
    const operations = Buffer.alloc(1_000_000);
    for (let at = 0; at < operations.length; at += 2) operations[at] = 0x0a;
    expect(decodeFrame(8, operations)).toMatchObject({ kind: 'garbage' });
    const before = process.memoryUsage().heapUsed;
    expect(decodeFrame(4, operations)).toMatchObject({ kind: 'garbage' });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1_048_576);
  });

  test('is a bomb of compressed zeros', () => {
    const bomb = brotliCompressSync(Buffer.alloc(dataBytesMax * 20));
    const head = Buffer.of(0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1);
    expect(decodeFrame(14, Buffer.concat([head, bomb]))).toMatchObject({ kind: 'garbage' });
  });

  test('is a length beyond the limit, told before anything is kept for it', () => {
    const assembly = new Assembly();
    const head = Buffer.alloc(5);
    head.writeUInt32BE(frameBytesMax + 2, 0);
    assembly.push(head);
    expect(typeof assembly.next()).toBe('string');
    const empty = new Assembly();
    empty.push(Buffer.alloc(5));
    expect(typeof empty.next()).toBe('string');
  });
});
