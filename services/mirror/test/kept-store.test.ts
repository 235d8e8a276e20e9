/** The divergence store by itself. */
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KeptStore } from '../src/files/divergence/kept-store.ts';
import { attributesAt } from '../src/files/divergence/own-version.ts';
import { Tree } from '../src/os/tree.ts';
import { SmallDisk } from './full-disk.ts';
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

const keep = async (store: KeptStore, tree: Tree, path: string): Promise<void> => {
  const name = bytes(path);
  const stat = tree.stat(name);
  if (stat === null) throw new Error(`${path} is not there`);
  const attributes = attributesAt(tree, name, stat);
  const kept = await store.keep(tree, [{ path: name, attributes, change: 'written', epoch: 3n }]);
  expect(kept).toEqual({ kind: 'kept' });
};

test('a second edit of the same size and time is kept, and the same one is not kept twice', async () => {
  const tree = Tree.open(base);
  const store = new KeptStore(join(base, 'kept'), 'a', null);
  for (const text of ['one', 'two', 'two']) {
    writeFileSync(join(base, 'file'), text);
    utimesSync(join(base, 'file'), 1_000, 1_000);
    await keep(store, tree, 'file');
  }
  expect(store.entries).toBe(2);
  mkdirSync(join(base, 'out'));
  expect(store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
  expect(readFileSync(join(base, 'out/file'), 'utf8')).toBe('two');
  await store.close();
  tree.close();
});

test('whoever opens the folder to read takes nothing away that is being kept', async () => {
  writeFileSync(join(base, 'file'), 'text');
  const folder = join(base, 'kept');
  const tree = Tree.open(base);
  let readers = 0;
  const store = new KeptStore(folder, 'a', null, (point) => {
    if (point !== 'keep:copied') return;
    readers += 1;
    expect(new KeptStore(folder, 'a', null).list()).toEqual([]);
  });
  await keep(store, tree, 'file');
  expect(readers).toBe(1);
  mkdirSync(join(base, 'out'));
  expect(store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
  await store.close();
  tree.close();
});

test('what a former life left half done goes when the store is opened to write', async () => {
  writeFileSync(join(base, 'file'), 'text');
  const folder = join(base, 'kept');
  const tree = Tree.open(base);
  const store = new KeptStore(folder, 'a', null);
  await keep(store, tree, 'file');
  writeFileSync(join(folder, '77'), 'half');
  await store.close();
  const next = new KeptStore(folder, 'a', null);
  next.tidy();
  expect(readdirSync(folder).sort()).toEqual(['1', 'index']);
  tree.close();
});

test('a version is kept again when its contents are gone', async () => {
  writeFileSync(join(base, 'file'), 'text');
  const folder = join(base, 'kept');
  const tree = Tree.open(base);
  const store = new KeptStore(folder, 'a', null);
  await keep(store, tree, 'file');
  rmSync(join(folder, '1'));
  await keep(store, tree, 'file');
  mkdirSync(join(base, 'out'));
  expect(store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
  await store.close();
  tree.close();
});

test('what is restored is what it was: folders, links and pipes too', async () => {
  mkdirSync(join(base, 'a/b'), { recursive: true });
  writeFileSync(join(base, 'a/b/file'), 'text');
  symlinkSync('b/file', join(base, 'a/link'));
  execFileSync('mkfifo', [join(base, 'a/pipe')]);
  const tree = Tree.open(base);
  const owner = process.getuid?.() === 0 ? { uid: 1_234, gid: 4_321 } : {};
  const names = ['a/b/file', 'a/b', 'a/link', 'a/pipe', 'a'];
  for (const [i, name] of names.entries()) {
    const mode = name.endsWith('link') ? {} : { mode: 0o2710 + i };
    tree.setAttributes(bytes(name), { ...owner, ...mode, mtimeS: 1_000 + i, mtimeNs: 7 });
  }
  tree.setExtended(bytes('a/b'), [[bytes('user.colour'), bytes('red')]]);
  const store = new KeptStore(join(base, 'kept'), 'a', null);
  const before = names.map((name) => told(tree, name));
  for (const name of [...names].reverse()) await keep(store, tree, name);
  mkdirSync(join(base, 'out'));
  expect(store.restore(bytes('a'), join(base, 'out'))).toEqual({ kind: 'done' });
  expect(names.map((name) => told(tree, `out/${name}`))).toEqual(before);
  await store.close();
  tree.close();
});

function told(tree: Tree, name: string): unknown {
  const stat = tree.stat(bytes(name));
  return stat === null || stat.kind === 'socket'
    ? null
    : attributesAt(tree, bytes(name), { ...stat, size: 0 });
}

test('what a disk took only a part of is not kept, and what is kept is still there afterwards', async () => {
  const folder = join(base, 'kept');
  const disk = new SmallDisk(folder, 64 << 10);
  const tree = Tree.open(base);
  try {
    const store = new KeptStore(folder, 'a', null);
    const keepDeletion = (path: string): ReturnType<KeptStore['keep']> =>
      store.keep(tree, [{ path: bytes(path), attributes: null, change: 'deleted', epoch: 3n }]);
    await keepDeletion('first');
    disk.fill();
    let count = 1;
    // The end of a page of the index comes within a line.
    for (; count < 100; count += 1)
      if ((await keepDeletion(`deleted-${String(count)}`)).kind === 'full') break;
    expect(count).toBeLessThan(100);
    await store.close();
    disk.makeRoom();
    expect(new KeptStore(folder, 'a', null).list()).toHaveLength(count);
  } finally {
    tree.close();
    disk.unmount();
  }
});
