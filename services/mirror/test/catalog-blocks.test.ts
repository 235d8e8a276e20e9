/** Blocks of a big file: what changed since any number is told, and nothing that changed is left out. */
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
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

const block = 4_096;
const aChange = fc.oneof(
  fc.record({
    do: fc.constant('write' as const),
    at: fc.nat(3_000_000),
    bytes: fc.integer({ min: 1, max: 9_000 }),
  }),
  fc.record({
    do: fc.constant('zero' as const),
    at: fc.nat(3_000_000),
    bytes: fc.integer({ min: 1, max: 300_000 }),
  }),
  fc.record({ do: fc.constant('size' as const), at: fc.nat(9_000_000), bytes: fc.constant(0) }),
);

describe('blocks of a big file', () => {
  let dir: string;
  let path: string;
  let fd: number;

  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-blocks-'));
    path = join(dir, 'file');
    fd = openSync(path, 'w+');
  });

  afterEach(() => {
    closeSync(fd);
    rmSync(dir, { recursive: true, force: true });
  });

  test('a copy at any earlier number, with what changed since, is the file', async () => {
    let id = 1;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(aChange, { maxLength: 4 }), { minLength: 1, maxLength: 5 }),
        async (steps) => {
          id += 1;
          const records = new BlockRecords(join(dir, 'blocks'));
          const states: { sequence: number; contents: Buffer }[] = [];
          ftruncateSync(fd, 0);
          ftruncateSync(fd, 2_500_000);
          for (const [i, changes] of steps.entries()) {
            for (const change of changes) {
              if (change.do === 'size') ftruncateSync(fd, change.at);
              else
                writeSync(
                  fd,
                  Buffer.alloc(change.bytes, change.do === 'zero' ? 0 : i + 1),
                  0,
                  change.bytes,
                  change.at,
                );
            }
            const entry = entryAt(id, 10 + i, statSync(path).size);
            const now = readFileSync(path);
            // Either way of noting: it reads the file, or is given what is sent of it.
            if (i % 2 === 0) await records.note(entry, fd);
            else given(records, entry, now);
            for (const { sequence, contents } of states) {
              const copy = Buffer.alloc(now.length);
              contents.copy(copy);
              for (const { offset, length } of records.changedSince(entry, sequence))
                now.copy(copy, offset, offset, offset + length);
              expect(copy.equals(now)).toBe(true);
            }
            states.push({ sequence: 10 + i, contents: now });
          }
          await records.close();
        },
      ),
      { numRuns: 40 },
    );
  }, 60_000);

  test('what is read of a later version is told again, whatever number it was read for', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    const size = 2_000_000;
    writeSync(fd, Buffer.alloc(size, 7));
    await records.note(entryAt(9, 1, size), fd);
    // One target has this. Then it is written to, and sent to another one before that was noticed.
    writeSync(fd, Buffer.from('x'), 0, 1, 5 * block);
    await records.note(entryAt(9, 1, size), fd, () => laterThan(1));

    await records.note(entryAt(9, 2, size), fd);

    const told = records.changedSince(entryAt(9, 2, size), 1);
    // And nothing else: a file that is written to all the time would be sent whole again and again.
    expect(told).toEqual([{ offset: 5 * block, length: block }]);
    expect(records.changedSince(entryAt(9, 2, size), 2)).toEqual([]);
    await records.close();
  });

  test('what was sent of a block, between noting it and noting it again, is told', async () => {
    let id = 100;
    const aPiece = fc.record({
      bytes: fc.integer({ min: 1, max: 400_000 }),
      is: fc.constantFrom('same', 'other', 'hole'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 2_200_000 }),
        fc.boolean(),
        fc.array(aPiece, { minLength: 1, maxLength: 12 }),
        async (size, isSparse, pieces) => {
          id += 1;
          const records = new BlockRecords(join(dir, 'blocks'));
          ftruncateSync(fd, 0);
          ftruncateSync(fd, size);
          if (!isSparse) writeSync(fd, Buffer.alloc(size, 7));
          const contents = readFileSync(path);
          await records.note(entryAt(id, 1, size), fd);
          const copy = Buffer.from(contents);
          const sent = records.sent(entryAt(id, 1, size), () => laterThan(5));
          let at = 0;
          for (const { bytes, is } of pieces) {
            const length = Math.min(bytes, size - at);
            if (is === 'other') copy.fill(9, at, at + length);
            if (is === 'hole') {
              copy.fill(0, at, at + length);
              sent?.hole(at, length);
            } else sent?.data(at, copy.subarray(at, at + length));
            at += length;
          }
          expect(sent?.end()).toBe(true);

          // It is what it was, with a later number.
          const entry = entryAt(id, 8, size);
          await records.note(entry, fd);
          for (const { offset, length } of records.changedSince(entry, 5))
            contents.copy(copy, offset, offset, offset + length);
          expect(copy.equals(contents)).toBe(true);
          await records.close();
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);

  test('what was sent as it was noted is not told again', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    const contents = Buffer.alloc(2_000_001, 7);
    writeSync(fd, contents);
    const entry = entryAt(10, 1, contents.length);
    await records.note(entry, fd);
    const sent = records.sent(entry, () => laterThan(5));
    for (let at = 0; at < contents.length; at += 3_001) sent?.data(at, contents.subarray(at, at + 3_001));
    expect([sent?.end(), records.changedSince(entry, 1)]).toEqual([true, []]);
    await records.close();
  });

  test('a record that was made anew while something was sent is worth nothing', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    ftruncateSync(fd, 10_000);
    const entry = entryAt(11, 1, 10_000);
    await records.note(entry, fd);
    const sent = records.sent(entry, () => laterThan(5));
    records.forget(11);
    await records.note(entry, fd);
    expect(sent?.end()).toBe(false);
    await records.close();
  });

  test('a new record is good for nothing before all of the file was noted', async () => {
    const entry = entryAt(8, 3, 4 * block);
    const contents = Buffer.alloc(4 * block, 1);
    const records = new BlockRecords(join(dir, 'blocks'));
    const noting = records.begin(entry, () => entry.sequence);
    expect([records.has(entry, 3), records.changedSince(entry, 3)]).toEqual([
      false,
      [{ offset: 0, length: 4 * block }],
    ]);
    // A second target gets the same file: who began first does not note to the end.
    const second = records.begin(entry, () => entry.sequence);
    noting?.take(0, contents);
    noting?.end();
    expect([noting?.isWhole, records.has(entry, 3)]).toEqual([false, false]);
    second?.take(0, contents);
    second?.end();
    expect([records.has(entry, 3), records.changedSince(entry, 3)]).toEqual([true, []]);
    await records.close();
  });

  test('a file that gets a hole while it is sent is not noted', async () => {
    const entry = entryAt(8, 3, 2_000_000);
    const records = new BlockRecords(join(dir, 'blocks'));
    const noting = records.begin(entry, () => entry.sequence);
    noting?.take(0, Buffer.alloc(block, 1));
    noting?.end();
    expect([noting?.isWhole, records.has(entry, 3)]).toEqual([false, false]);
    await records.close();
  });

  test('only what differs is told, in whole blocks', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    writeSync(fd, Buffer.alloc(2_000_000, 7));
    await records.note(entryAt(5, 1, 2_000_000), fd);
    writeSync(fd, Buffer.from('x'), 0, 1, 3 * block + 5);
    writeSync(fd, Buffer.from('x'), 0, 1, 4 * block);
    writeSync(fd, Buffer.from('x'), 0, 1, 1_999_999);

    const changed = await records.changed(entryAt(5, 2, 2_000_000), fd, 1);

    const last = Math.floor(1_999_999 / block) * block;
    expect(changed).toEqual([
      { offset: 3 * block, length: 2 * block },
      { offset: last, length: 2_000_000 - last },
    ]);
    expect(records.changedSince(entryAt(5, 2, 2_000_000), 2)).toEqual([]);
    await records.close();
  });

  test('what was never noted by then is told as a whole', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    ftruncateSync(fd, 10_000);
    const entry = entryAt(6, 20, 10_000);
    expect(records.has(entry)).toBe(false);
    await records.note(entry, fd);
    expect([records.has(entry), records.has(entry, 19), records.has(entry, 20)]).toEqual([true, false, true]);
    expect(records.changedSince(entry, 19)).toEqual([{ offset: 0, length: 10_000 }]);
    records.prune(() => false);
    expect(records.has(entry)).toBe(false);
    await records.close();
  });

  test('a sparse file of a terabyte costs little time and space', async () => {
    const records = new BlockRecords(join(dir, 'blocks'));
    const size = 2 ** 40;
    ftruncateSync(fd, size);
    writeSync(fd, Buffer.from('x'), 0, 1, size - 1);
    await records.note(entryAt(7, 1, size), fd);
    writeSync(fd, Buffer.from('y'), 0, 1, 2 ** 39);

    expect(await records.changed(entryAt(7, 2, size), fd, 1)).toEqual([{ offset: 2 ** 39, length: block }]);
    expect(statSync(join(dir, 'blocks', '07', '7')).blocks * 512).toBeLessThan(200_000);
    await records.close();
  });
});

function entryAt(id: number, sequence: number, size: number): Entry {
  return entryOf({ ...blankRow(id, 1, Buffer.from('file')), size, sequence, contents: sequence });
}

function given(records: BlockRecords, entry: Entry, contents: Buffer): void {
  const noting = records.begin(entry, () => entry.sequence);
  for (let at = 0; at < contents.length; at += 524_288) noting?.take(at, contents.subarray(at, at + 524_288));
  noting?.end();
}
