/** A root whose disk is not mounted, or was replaced: an empty folder stands for it here, in the place of the one that was. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { noteRoot } from '../src/files/root-identity.ts';
import { Tree } from '../src/os/tree.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
const refused =
  /is not the folder that was mirrored: .* Is its disk mounted\?.*holdfast mirror resync d3\/data/;
let pair: MirrorPair;

beforeEach(async () => {
  pair = await makePair({
    prepare: (root) => {
      mkdirSync(`${root}/d`);
      for (const name of ['one', 'two', 'd/three']) writeFileSync(`${root}/${name}`, name);
    },
  });
  await pair.settle();
});

afterEach(async () => {
  await pair.close();
});

const away = (root: string): string => `${root}.away`;

function unmount(root: string): void {
  renameSync(root, away(root));
  mkdirSync(root);
}

function mount(root: string): void {
  rmSync(root, { recursive: true });
  renameSync(away(root), root);
}

const copied = (): readonly string[] => readdirSync(pair.targetRoot).sort();

test('a source whose root is empty and another one does not start, and goes on when it is back', async () => {
  await pair.stopSource();
  unmount(pair.sourceRoot);
  await expect(pair.startSource()).rejects.toThrow(refused);
  await pair.stopSource();
  expect(copied()).toEqual(['d', 'one', 'two']);
  mount(pair.sourceRoot);
  writeFileSync(pair.at('four'), 'four');
  await pair.startSource();
  await pair.settle();
  expect(copied()).toEqual(['d', 'four', 'one', 'two']);
});

test('a source notices that its root goes while it runs, and nothing is deleted at its targets', async () => {
  expect(pair.source.lost).toBe('');
  unmount(pair.sourceRoot);
  expect(pair.source.lost).toMatch(/is not the folder any more/);
  await pair.settle();
  expect(copied()).toEqual(['d', 'one', 'two']);
  rmSync(pair.sourceRoot, { recursive: true });
  expect(pair.source.lost).toMatch(/is not the folder any more/);
  renameSync(away(pair.sourceRoot), pair.sourceRoot);
  expect(pair.source.lost).toBe('');
});

test('a person says that an empty root is meant so, and the targets follow', async () => {
  await pair.stopSource();
  unmount(pair.sourceRoot);
  const tree = Tree.open(pair.sourceRoot);
  noteRoot(tree, pair.sourceCatalog);
  tree.close();
  await pair.startSource();
  await pair.settle();
  expect(copied()).toEqual([]);
});

test('a root that was replaced by its like is taken as it is', async () => {
  await pair.stopSource();
  unmount(pair.sourceRoot);
  execFileSync('cp', ['-a', `${away(pair.sourceRoot)}/.`, pair.sourceRoot]);
  rmSync(pair.at('one'));
  await pair.startSource();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});

test('a target whose root is empty and another one is not opened, and nothing is copied into it', async () => {
  await pair.stopTarget();
  unmount(pair.targetRoot);
  await expect(pair.startTarget()).rejects.toThrow(/--target bert/);
  expect(copied()).toEqual([]);
  expect(existsSync(join(away(pair.targetRoot), 'one'))).toBe(true);
  mount(pair.targetRoot);
  await pair.startTarget();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});

test('a target notices that its root goes while it runs', async () => {
  unmount(pair.targetRoot);
  expect(pair.target.lost).toMatch(/is not the folder any more/);
  writeFileSync(pair.at('four'), 'four');
  await pair.settle();
  expect(copied()).toEqual([]);
  mount(pair.targetRoot);
  expect(pair.target.lost).toBe('');
});
