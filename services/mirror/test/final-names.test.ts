/** Which contents lie by which names after some batches: as a list of all names tells, and in time. */

import fc from 'fast-check';
import { expect, test } from '@jest/globals';
import { finalNames, type Content } from '../src/files/target/final-names.ts';
import type { Batch, Redo } from '../src/files/target/redo.ts';
import { bytes, fileOf, folderOf } from './target-fixture.ts';

const batchOf = (operations: readonly Redo[]): Batch => ({
  epoch: 1n,
  sequence: 1,
  checksum: '0000000000000000',
  consistent: true,
  history: [],
  operations,
});

const file = (path: string): Redo => ({
  kind: 'put',
  path: bytes(path),
  attributes: fileOf(0),
  contents: Buffer.alloc(0),
  staged: 0,
});
const hardLink = (path: string, to: string): Redo => ({
  kind: 'hard-link',
  path: bytes(path),
  to: bytes(to),
});

async function named(batches: readonly Batch[]): Promise<ReadonlyMap<string, readonly Content[]>> {
  const found = new Map<string, readonly Content[]>();
  for (const { path, contents } of await finalNames(batches)) found.set(path.toString(), contents);
  return found;
}

/** The same by a flat list of names, each looked at for each operation. */
function plainly(operations: readonly Redo[]): ReadonlyMap<string, readonly Content[]> {
  const names = new Map<string, Content[]>();
  const beneath = (path: string): string[] =>
    [...names.keys()].filter((name) => name === path || name.startsWith(`${path}/`));
  const drop = (path: string): void => {
    for (const name of beneath(path)) names.delete(name);
  };
  const rename = (from: string, to: string): void => {
    for (const name of beneath(from)) {
      const contents = names.get(name) ?? [];
      names.delete(name);
      names.set(to + name.slice(from.length), contents);
    }
  };
  const at = (path: string): Content[] => {
    const contents = names.get(path) ?? [];
    names.set(path, contents);
    return contents;
  };
  for (const one of operations) {
    if (one.kind === 'move') rename(one.from.toString(), `/${String(one.slot)}`);
    else if (one.kind === 'remove') drop(one.path.toString());
    else if (one.kind === 'patch') at(one.path.toString()).push(one);
    else if (one.kind === 'place') {
      drop(one.to.toString());
      rename(`/${String(one.slot)}`, one.to.toString());
    } else if (one.kind === 'hard-link') {
      const contents = at(one.to.toString());
      drop(one.path.toString());
      names.set(one.path.toString(), contents);
    } else if (one.kind === 'put') {
      if (one.attributes.kind !== 'folder') drop(one.path.toString());
      if (one.attributes.kind === 'file' && one.staged === 0) names.set(one.path.toString(), [one]);
    }
  }
  return names;
}

const aPath = fc
  .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));

/** A batch with at most one entry in a slot: it leaves its name first, and gets one later. */
const someOperations = fc
  .record({
    moved: fc.option(fc.record({ from: aPath, to: aPath })),
    made: fc.array(
      fc.oneof(
        fc.record({
          do: fc.constantFrom('file', 'staged', 'folder', 'patch', 'remove'),
          path: aPath,
          to: aPath,
        }),
        fc.record({ do: fc.constant('link'), path: aPath, to: aPath }),
      ),
      { maxLength: 8 },
    ),
  })
  .map(({ moved, made }): Redo[] => {
    const operations: Redo[] = [];
    if (moved !== null) operations.push({ kind: 'move', from: bytes(moved.from), slot: 1 });
    if (moved !== null) operations.push({ kind: 'place', slot: 1, to: bytes(moved.to) });
    for (const one of made) {
      const path = bytes(one.path);
      const isNested = one.path.startsWith(one.to) || one.to.startsWith(one.path);
      if (one.do === 'link' && !isNested) operations.push(hardLink(one.path, one.to));
      if (one.do === 'file') operations.push(file(one.path));
      if (one.do === 'staged') operations.push({ ...file(one.path), staged: 5 } as Redo);
      if (one.do === 'folder') operations.push({ ...file(one.path), attributes: folderOf() } as Redo);
      if (one.do === 'patch') operations.push({ kind: 'patch', path, attributes: fileOf(1), staged: 6 });
      if (one.do === 'remove') operations.push({ kind: 'remove', path });
    }
    return operations;
  });

test('each name has in the end what it has by looking at all of them', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someOperations, { maxLength: 5 }), async (batches) => {
      const expected = plainly(batches.flat());
      const found = await named(batches.map(batchOf));
      expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, contents] of expected) expect(found.get(name)).toEqual(contents);
    }),
    { numRuns: 300 },
  );
});

test('names of one file share what it gets later', async () => {
  const patch: Redo = { kind: 'patch', path: bytes('b'), attributes: fileOf(1), staged: 6 };
  const found = await named([
    batchOf([file('a'), hardLink('b', 'a'), patch, { kind: 'remove', path: bytes('b') }]),
  ]);
  expect([...found.keys()]).toEqual(['a']);
  expect(found.get('a')).toHaveLength(2);
});

test('many links take no time that grows with their square', async () => {
  const count = 50_000;
  const names = Array.from({ length: count }, (_, i) => `folder-${String(i % 100)}/name-${String(i)}`);
  const batch = batchOf(names.map((name) => hardLink(`copy/${name}`, name)));
  const begun = process.cpuUsage();
  const found = await named([batch]);
  expect(found.size).toBe(count * 2);
  // What others do on this host does not count.
  expect(process.cpuUsage(begun).user).toBeLessThan(10_000_000);
}, 120_000);
