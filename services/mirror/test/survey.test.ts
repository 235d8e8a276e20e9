/** A source looks through its tree: with which selection it did so last, and what it leaves out. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { openCatalog } from '../src/catalog/catalog.ts';
import type { Catalog } from '../src/catalog/types.ts';
import { Selection } from '../src/files/selection.ts';
import { MountPoints } from '../src/files/source/mount-points.ts';
import { isSeenWith } from '../src/files/source/seen-selection.ts';
import { Survey, type Surveyed } from '../src/files/source/survey.ts';
import { Tree } from '../src/os/tree.ts';
import { makePair } from './mirror-pair.ts';

jest.setTimeout(30_000);

const everything = Buffer.alloc(0);
let dir: string;
let root: string;
let catalog: Catalog;
let tree: Tree;
const said: string[] = [];

beforeEach(() => {
  said.length = 0;
  dir = mkdtempSync(join(tmpdir(), 'holdfast-survey-'));
  root = join(dir, 'root');
  mkdirSync(join(root, 'config'), { recursive: true });
  for (const name of ['config/host.conf', 'config/shared.conf', 'file'])
    writeFileSync(join(root, name), name);
  catalog = openCatalog(join(dir, 'catalog'));
  tree = Tree.open(root);
});

afterEach(async () => {
  tree.removeAll(Buffer.from('d'));
  tree.close();
  await catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

const select = (...exclude: string[]): Selection => new Selection({ include: [], exclude, devices: false });

async function survey(selection: Selection): Promise<Surveyed> {
  const ground = { tree, catalog, selection };
  const mounts = new MountPoints({ ...ground, root, name: 'd3/data' });
  const surveyed = await new Survey({ ...ground, mounts, says: (text) => said.push(text) }).of(
    everything,
    new AbortController().signal,
  );
  expect(catalog.sweep(Infinity)).toBe(true);
  return surveyed;
}

test('what is excluded later is gone, however many entries there are', async () => {
  expect(await survey(select())).toEqual({ seen: 'all', trouble: '' });
  expect(catalog.byPath(Buffer.from('config/host.conf'))).not.toBeNull();
  // Threads would be made for so many, and see no difference.
  Object.defineProperty(catalog, 'entries', { value: 20_000 });
  const narrower = select('config/host.conf');
  expect(isSeenWith(catalog, narrower)).toBe(false);
  expect(await survey(narrower)).toEqual({ seen: 'all', trouble: '' });
  expect(catalog.byPath(Buffer.from('config/host.conf'))).toBeNull();
  expect(catalog.byPath(Buffer.from('config/shared.conf'))).not.toBeNull();
  expect(isSeenWith(catalog, narrower)).toBe(true);
});

/** Folders in each other. */
function nest(name: string, count: number): void {
  let path = name;
  tree.makeFolder(Buffer.from(path), 0o755);
  for (let i = 1; i < count; i += 1) {
    path = `${path}/${name}`;
    tree.makeFolder(Buffer.from(path), 0o755);
  }
}

test('a path that is too long is left out, told, and holds up nothing', async () => {
  nest('d', 2_100);
  expect(await survey(select())).toEqual({ seen: 'all', trouble: '' });
  expect(said.join()).toMatch(/^one entry is not mirrored, because .* a path more than 4,096/);
  expect(catalog.byPath(Buffer.from(Array(2_048).fill('d').join('/')))).not.toBeNull();
  expect(catalog.entries).toBe(2_048 + 5);
});

test('what a move of its folder made too long is gone', async () => {
  const name = 'd'.repeat(100);
  nest(name, 30);
  const long = 'd'.repeat(250);
  await survey(select());
  const before = catalog.entries;
  let to = 'd';
  tree.makeFolder(Buffer.from(to), 0o755);
  for (let i = 0; i < 10; i += 1) {
    to = `${to}/${long}`;
    tree.makeFolder(Buffer.from(to), 0o755);
  }
  tree.rename(Buffer.from(name), Buffer.from(`${to}/moved`));
  expect((await survey(select())).seen).toBe('all');
  expect(catalog.entries).toBeLessThan(before + 11);
  expect(catalog.checksum).toBe(catalog.recomputeChecksum());
});

test('a copy that is a target knows of no selection, for its source may have another one', async () => {
  const pair = await makePair();
  try {
    await pair.settle();
    expect(pair.sourceCatalog.meta.notes['selection']).toMatch(/^[0-9a-f]{64}$/);
    await pair.reverse();
    await pair.settle();
    expect(pair.targetCatalog.meta.notes['selection']).toBeUndefined();
  } finally {
    await pair.close();
  }
});
