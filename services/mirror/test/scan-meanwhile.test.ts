/** A folder is listed, and what is in it compared later: what was looked at between, of what happened between, stays. */

import { linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { openCatalog } from '../src/catalog/catalog.ts';
import { scan } from '../src/catalog/scan.ts';
import type { Catalog } from '../src/catalog/types.ts';
import { Tree } from '../src/os/tree.ts';

const sliceMs = 2;
let dir: string;
let root: string;
let catalog: Catalog;
let tree: Tree;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-scan-'));
  root = join(dir, 'root');
  mkdirSync(join(root, 'inner'), { recursive: true });
  catalog = openCatalog(join(dir, 'catalog'));
  tree = Tree.open(root);
});

afterEach(async () => {
  tree.close();
  await catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

/** As a change feed has it looked at. */
function look(...paths: string[]): void {
  for (const path of paths.map((text) => Buffer.from(text)))
    catalog.observe(path, tree.stat(path), Date.now());
}

/** `meanwhile` comes after a folder was listed, before anything in it is compared; empty: the root. */
async function scanned(folder: string, meanwhile: () => void): Promise<string[]> {
  const slow = {
    root: tree.root,
    stat: tree.stat.bind(tree),
    readFolder: tree.readFolder.bind(tree),
    statChildren: (path: Buffer) => {
      const children = tree.statChildren(path);
      if (path.toString() !== folder) return children;
      setImmediate(meanwhile);
      const end = performance.now() + sliceMs + 1;
      while (performance.now() < end);
      return children;
    },
  };
  expect((await scan({ tree: slow, catalog, includes: () => true, sliceMs })).complete).toBe(true);
  expect(catalog.sweep(Infinity)).toBe(true);
  return pathsIn(1, '');
}

function pathsIn(id: number, prefix: string): string[] {
  return catalog.children(id).flatMap(({ id: child, name, attributes }) => {
    const path = `${prefix}${name.toString()}`;
    return attributes.kind === 'folder' ? [path, ...pathsIn(child, `${path}/`)] : [path];
  });
}

test('a second name of what had one when it was listed', async () => {
  symlinkSync('where', join(root, 'link'));
  const found = await scanned('', () => {
    linkSync(join(root, 'link'), join(root, 'again'));
    look('again');
  });
  expect(found).toEqual(['again', 'inner', 'link']);
});

test('what got another name after it was listed', async () => {
  writeFileSync(join(root, 'a'), 'a');
  const found = await scanned('', () => {
    renameSync(join(root, 'a'), join(root, 'b'));
    look('a', 'b');
  });
  expect(found).toEqual(['b', 'inner']);
});

test('a folder that got another name after it was listed, with what is in it', async () => {
  writeFileSync(join(root, 'inner/file'), 'file');
  const found = await scanned('', () => {
    renameSync(join(root, 'inner'), join(root, 'outer'));
    look('inner', 'outer', 'outer/file');
  });
  expect(found).toEqual(['outer', 'outer/file']);
});

test('what went after it was listed, and what went before', async () => {
  writeFileSync(join(root, 'inner/long-gone'), 'a');
  await scanned('nowhere', () => undefined);
  rmSync(join(root, 'inner/long-gone'));
  writeFileSync(join(root, 'inner/b'), 'b');
  const found = await scanned('inner', () => {
    rmSync(join(root, 'inner/b'));
    look('inner/b');
  });
  expect(found).toEqual(['inner']);
});

test('what left its folder after it was listed, before that moved', async () => {
  writeFileSync(join(root, 'inner/a'), 'a');
  const found = await scanned('inner', () => {
    renameSync(join(root, 'inner/a'), join(root, 'a'));
    renameSync(join(root, 'inner'), join(root, 'outer'));
    look('inner/a', 'a', 'inner', 'outer');
  });
  expect(found).toEqual(['a', 'outer']);
});

test('what somebody else looked at first is looked through all the same', async () => {
  writeFileSync(join(root, 'inner/file'), 'file');
  const found = await scanned('', () => {
    writeFileSync(join(root, 'inner/more'), 'more');
    look('inner');
  });
  expect(found).toEqual(['inner', 'inner/file', 'inner/more']);
});
