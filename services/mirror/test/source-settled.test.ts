/** Contents that a source's host had only in memory when it lost its power. */

import { readFileSync, writeFileSync } from 'node:fs';
import { afterEach, expect, jest, test } from '@jest/globals';
import type { Catalog } from '../src/catalog/types.ts';
import { Settled } from '../src/files/source/settled.ts';
import { Tree } from '../src/os/tree.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair | null = null;

afterEach(async () => {
  await pair?.close();
  pair = null;
});

const name = Buffer.from('file');
const text = (letter: string): string => letter.repeat(5_000);

/** At both sides what was written last, a moment ago. */
async function written(failPoint: (name: string) => void = () => undefined): Promise<MirrorPair> {
  const made = await makePair({
    failPoint,
    prepare: (root) => {
      writeFileSync(`${root}/file`, text('a'));
    },
  });
  pair = made;
  await made.settle();
  writeFileSync(made.at('file'), text('b'));
  await made.settle();
  return made;
}

/** The contents are those of before, the inode is what it was: that is all that a catalog can tell. */
function losePower(root: string, catalog: Catalog): void {
  const entry = catalog.byPath(name);
  if (entry === null) throw new Error('it is not in the catalog');
  const { mtimeS, mtimeNs } = entry.attributes;
  writeFileSync(`${root}/file`, text('a'));
  const tree = Tree.open(root);
  tree.setAttributes(name, { mtimeS, mtimeNs });
  const stat = tree.stat(name);
  tree.close();
  if (stat !== null) catalog.recordLocal(entry.id, stat);
  // It was read late enough after its change.
  catalog.confirmContents(entry.id, entry.digest, Date.now() + 1_000);
  const note = JSON.parse(catalog.meta.notes['source'] ?? '{}') as object;
  const notes = { ...catalog.meta.notes, source: JSON.stringify({ ...note, boot: 'the life before' }) };
  catalog.setMeta({ notes });
}

test('a source sends again what its disk may never have got', async () => {
  const { sourceRoot, targetRoot } = await written();
  await pair?.restartSource({
    clean: false,
    meanwhile: () => {
      if (pair !== null) losePower(sourceRoot, pair.sourceCatalog);
    },
  });
  await pair?.settle();
  expect(readFileSync(`${targetRoot}/file`, 'utf8').slice(0, 5)).toBe('aaaaa');
  expect(pair?.differences()).toEqual([]);
});

test('a source that is killed while it begins at its next epoch after that sends it again, too', async () => {
  let isKilled = false;
  const made = await written((name) => {
    if (isKilled && name === 'source:history') throw new Error('killed');
  });
  await made.killSource();
  losePower(made.sourceRoot, made.sourceCatalog);
  made.nextEpoch();
  isKilled = true;
  await expect(made.startSource()).rejects.toThrow('killed');
  isKilled = false;
  await made.restartSource({ clean: false });
  await made.settle();
  expect(readFileSync(`${made.targetRoot}/file`, 'utf8').slice(0, 5)).toBe('aaaaa');
  expect(made.differences()).toEqual([]);
});

test('a former owner that lost power gets again what its successor has of it', async () => {
  const made = await written();
  await made.reverse(() => {
    losePower(made.targetRoot, made.targetCatalog);
  });
  await made.settle();
  expect(readFileSync(`${made.targetRoot}/file`, 'utf8').slice(0, 5)).toBe('bbbbb');
  expect(made.differences()).toEqual([]);
  expect(made.target.divergence.list().map(({ path }) => path.toString())).toEqual(['file']);
});

/** The contents are others than its copies have, and times and size are those that the catalog knows. */
function writeUnseen(root: string, catalog: Catalog): void {
  const entry = catalog.byPath(name);
  if (entry === null) throw new Error('it is not in the catalog');
  const { mtimeS, mtimeNs } = entry.attributes;
  writeFileSync(`${root}/file`, text('c'));
  const tree = Tree.open(root);
  tree.setAttributes(name, { mtimeS, mtimeNs });
  const stat = tree.stat(name);
  tree.close();
  if (stat !== null) catalog.recordLocal(entry.id, stat);
}

test('a former owner’s file that may have changed within the tick of its last look is compared', async () => {
  const made = await written();
  // Looked at and read at the moment of its change, as far as the clock tells.
  const clock = jest.spyOn(Date, 'now').mockReturnValue(Date.now());
  writeFileSync(made.at('file'), text('d'));
  await made.settle();
  clock.mockRestore();
  expect(made.sourceCatalog.byPath(name)?.racy).toBe(true);
  await made.reverse(() => {
    writeUnseen(made.targetRoot, made.targetCatalog);
  });
  await made.settle();
  expect(readFileSync(`${made.targetRoot}/file`, 'utf8').slice(0, 5)).toBe('ddddd');
  expect(made.target.divergence.list().map(({ path }) => path.toString())).toEqual(['file']);
});

test('a source that was only killed sends nothing again', async () => {
  const made = await written();
  // What was looked at within 10 ms of its change is looked at again by the next life, and not by the one after that.
  await made.restartSource({ clean: false });
  await made.settle();
  const { lastSequence } = made.sourceCatalog;
  await made.restartSource({ clean: false });
  await made.settle();
  expect(made.sourceCatalog.lastSequence).toBe(lastSequence);
});

test('what was noticed two minutes ago is settled', () => {
  const settled = new Settled(3, 10, 0);
  expect(settled.at(20, 60_000)).toBe(3);
  expect(settled.at(30, 119_000)).toBe(3);
  expect(settled.at(30, 121_000)).toBe(10);
  expect(settled.at(40, 181_000)).toBe(20);
  expect(settled.at(40, 600_000)).toBe(40);
});
