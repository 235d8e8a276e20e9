/** The divergence store by itself. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KeptStore } from '../src/files/divergence/kept-store.ts';
import { Tree } from '../src/os/tree.ts';
import { bytes, fileOf } from './target-fixture.ts';

let base: string;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-kept-'));
});

afterEach(() => rmSync(base, { recursive: true, force: true }));

test('what is being kept when it is closed is kept whole or not at all, before anybody else opens the folder', async () => {
  const contents = Buffer.alloc(48 << 20, 7);
  writeFileSync(join(base, 'big'), contents);
  const tree = Tree.open(base);
  const folder = join(base, 'kept');
  const store = new KeptStore(folder, 'a', null);
  const attributes = fileOf(contents.length);
  const keeping = store.keep(tree, [{ path: bytes('big'), attributes, change: 'written', epoch: 3n }]);
  await store.close();
  const next = new KeptStore(folder, 'a', null);
  const kept = await keeping;
  expect(next.list()).toHaveLength(kept.kind === 'kept' ? 1 : 0);
  const files = readdirSync(folder).filter((name) => /^\d+$/.test(name));
  expect(files).toHaveLength(next.list().length);
  tree.close();
});
