/** What a target has ahead of its number is not sent again, and nothing that it lacks is left out. */
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { BlockRecords } from '../src/catalog/blocks.ts';
import { laterThan } from '../src/catalog/noting.ts';
import { blankRow, entryOf } from '../src/catalog/row.ts';
import type { Entry } from '../src/catalog/types.ts';
import { Ahead } from '../src/files/source/ahead.ts';

const block = 4_096;
const id = 7;
const blocks = 70; // More than a group of the record.

/** Few values, so that blocks often come back to what they were. */
const aChange = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ at: fc.nat(blocks * block), value: fc.nat(2), size: fc.constant<number>(0) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ at: fc.constant<number>(0), value: fc.nat(2), size: fc.nat(blocks * block) }),
  },
);
const changes = fc.array(aChange, { maxLength: 3 });
const aBatch = fc.record({
  before: changes,
  whileNoted: changes,
  whileSent: changes,
  /** Read again without having gone out. */
  dropped: fc.boolean(),
});
type ABatch = typeof aBatch extends fc.Arbitrary<infer T> ? T : never;
type Changes = ABatch['before'];

describe('blocks that a target has ahead of its number', () => {
  let dir: string;
  let fd: number;
  let records: BlockRecords;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-ahead-'));
    fd = openSync(join(dir, 'file'), 'w+');
    records = new BlockRecords(join(dir, 'blocks'));
  });

  afterEach(async () => {
    await records.close();
    closeSync(fd);
    rmSync(dir, { recursive: true, force: true });
  });

  const contents = (size = fstatSync(fd).size): Buffer => {
    const bytes = Buffer.alloc(size);
    readSync(fd, bytes, 0, size, 0);
    return bytes;
  };

  function change(list: Changes): void {
    for (const { at, value, size } of list) {
      if (size > 0) ftruncateSync(fd, size);
      else writeSync(fd, Buffer.alloc(1_500, value), 0, 1_500, at);
    }
  }

  /** One session with one target, as batches send a big file. */
  class Session {
    target: Buffer;
    from: number;
    last: number;
    readonly ahead = new Ahead();

    constructor(target: Buffer, from: number) {
      this.target = target;
      this.from = from;
      this.last = from;
    }

    /** Answers how many bytes were sent. */
    async batch({ before, whileNoted, whileSent, dropped }: ABatch): Promise<number> {
      change(before);
      this.last += 1;
      const sequence = this.last;
      const entry = entryAt(sequence, fstatSync(fd).size);
      change(whileNoted);
      const moved = whileNoted.length > 0;
      await records.note(entry, fd, () => (moved ? laterThan(this.last) : sequence));
      const batch = this.ahead.batch(sequence);
      const ranges = records.changedSince(entry, this.from, batch.holds(id));
      const told = batch.patched(id, ranges, entry.attributes.size);
      const sent = records.sent(entry, () => laterThan(this.last), told);
      change(whileSent);
      const there = Buffer.alloc(entry.attributes.size);
      this.target.copy(there);
      let bytes = 0;
      for (const { offset, length } of ranges) {
        const piece = contents(offset + length).subarray(offset);
        sent?.data(offset, piece);
        piece.copy(there, offset);
        bytes += length;
      }
      if (sent?.end() !== true) records.forget(id);
      if (dropped) return 0;
      batch.committed();
      this.target = there;
      this.from = sequence;
      return bytes;
    }
  }

  const still: ABatch = { before: [], whileNoted: [], whileSent: [], dropped: false };

  async function started(): Promise<Session> {
    ftruncateSync(fd, 0);
    ftruncateSync(fd, blocks * block);
    records.forget(id);
    await records.note(entryAt(1, blocks * block), fd);
    return new Session(contents(), 1);
  }

  test('come to be the file, whatever changes when', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aBatch, { maxLength: 6 }), async (batches) => {
        const session = await started();
        for (const each of batches) await session.batch(each);
        await session.batch(still);
        expect(session.target.equals(contents())).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  test('are not sent again', async () => {
    const session = await started();
    const once = { at: 5 * block, value: 1, size: 0 };
    expect(await session.batch({ ...still, whileNoted: [once] })).toBe(block);
    expect(await session.batch(still)).toBe(0);
    expect(await session.batch({ ...still, before: [{ ...once, at: 9 * block }] })).toBe(block);
  });

  test('are sent when they come back to what they were before the target got something else', async () => {
    const session = await started();
    const first = { at: 5 * block, value: 1, size: 0 };
    await session.batch({ ...still, whileNoted: [first] });
    await session.batch({ ...still, before: [{ ...first, value: 2 }] });
    expect(await session.batch({ ...still, before: [first] })).toBe(block);
    expect(session.target.equals(contents())).toBe(true);
  });

  test('are sent when they come back after the file was shorter', async () => {
    const session = await started();
    const last = { at: (blocks - 1) * block, value: 1, size: 0 };
    await session.batch({ ...still, whileNoted: [last] });
    await session.batch({ ...still, before: [{ at: 0, value: 0, size: (blocks - 9) * block }] });
    await session.batch({ ...still, before: [{ at: 0, value: 0, size: blocks * block }, last] });
    expect(session.target.equals(contents())).toBe(true);
  });

  test('are sent again when the batch that sent them was read anew', async () => {
    const session = await started();
    const whileNoted = [{ at: 5 * block, value: 1, size: 0 }];
    await session.batch({ ...still, whileNoted, dropped: true });
    expect(await session.batch(still)).toBe(block);
    expect(session.target.equals(contents())).toBe(true);
  });

  test('are forgotten with a file that is sent as a whole', async () => {
    const session = await started();
    await session.batch({ ...still, whileNoted: [{ at: 5 * block, value: 1, size: 0 }] });
    const batch = session.ahead.batch(session.last);
    expect(batch.holds(id)).not.toBeNull();
    batch.replaced(id);
    batch.committed();
    expect(session.ahead.holds(id)).toBeNull();
  });
});

function entryAt(sequence: number, size: number): Entry {
  return entryOf({ ...blankRow(id, 1, Buffer.from('file')), size, sequence, contents: sequence });
}
