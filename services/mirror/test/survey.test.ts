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

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-survey-'));
  root = join(dir, 'root');
  mkdirSync(join(root, 'config'), { recursive: true });
  for (const name of ['config/host.conf', 'config/shared.conf', 'file']) writeFileSync(join(root, name), name);
  catalog = openCatalog(join(dir, 'catalog'));
  tree = Tree.open(root);
});

afterEach(async () => {
  tree.close();
  await catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

const select = (...exclude: string[]): Selection => new Selection({ include: [], exclude, devices: false });

async function survey(selection: Selection): Promise<Surveyed> {
  const ground = { tree, catalog, selection };
  const mounts = new MountPoints({ ...ground, root, name: 'd3/data' });
  const surveyed = await new Survey({ ...ground, mounts }).of(everything, new AbortController().signal);
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
