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
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KeptStore } from '../src/files/divergence/kept-store.ts';
import { attributesAt } from '../src/files/divergence/own-version.ts';
import { Tree } from '../src/os/tree.ts';
import { SmallDisk } from './full-disk.ts';
import { bytes, fileOf } from './target-fixture.ts';
import { turns } from './turns.ts';

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
  expect(await store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
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
  expect(await store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
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
  expect(await store.restore(bytes('file'), join(base, 'out'))).toEqual({ kind: 'done' });
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
  expect(await store.restore(bytes('a'), join(base, 'out'))).toEqual({ kind: 'done' });
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

describe('a restore to another disk', () => {
  const megabytes = 16;
  let disk: SmallDisk;
  let tree: Tree;
  let store: KeptStore;

  beforeEach(async () => {
    disk = new SmallDisk(join(base, 'out'), (2 * megabytes) << 20);
    writeFileSync(join(base, 'big'), Buffer.alloc(megabytes << 20, 7));
    tree = Tree.open(base);
    store = new KeptStore(join(base, 'kept'), 'a', null);
    await keep(store, tree, 'big');
  });
  afterEach(async () => {
    await store.close();
    tree.close();
    disk.unmount();
  });

  test('leaves everything else its turn meanwhile, and tells how far it is', async () => {
    const others = turns();
    const told: number[] = [];
    const { signal } = new AbortController();
    const progress = (done: number, total: number): void => void told.push(done / total);
    const restoring = store.restore(bytes('big'), join(base, 'out'), { signal, progress });
    expect(await restoring.finally(others.stop)).toEqual({ kind: 'done' });
    expect(others.count()).toBeGreaterThanOrEqual(megabytes);
    expect([told.length, told.at(-1)]).toEqual([megabytes, 1]);
    expect(readFileSync(join(base, 'out/big')).equals(readFileSync(join(base, 'big')))).toBe(true);
  });

  test('that nobody wants any more leaves no part of a file behind, and loses nothing', async () => {
    const gone = new AbortController();
    const watched = { signal: gone.signal, progress: () => gone.abort() };
    const out = join(base, 'out');
    expect(await store.restore(bytes('big'), out, watched)).toMatchObject({ kind: 'failed' });
    expect(readdirSync(out)).toEqual([]);
    expect(await store.restore(bytes('big'), out)).toEqual({ kind: 'done' });
  });

  test('that has no room for a file leaves no part of it behind', async () => {
    disk.fill();
    const out = join(base, 'out');
    const restored = await store.restore(bytes('big'), out);
    expect(restored).toMatchObject({ kind: 'failed', says: expect.stringContaining('ENOSPC') });
    expect(readdirSync(out)).toEqual(['filling']);
  });
});

test('many files, with folders within folders, are restored with what they hold', async () => {
  const names = Array.from({ length: 20 }, (_, i) => `a/${String(i % 3)}/${String(i)}`);
  for (const folder of ['0', '1', '2']) mkdirSync(join(base, 'a', folder), { recursive: true });
  for (const name of names) writeFileSync(join(base, name), name);
  const tree = Tree.open(base);
  const store = new KeptStore(join(base, 'kept'), 'a', null);
  for (const name of names) await keep(store, tree, name);
  mkdirSync(join(base, 'out'));
  expect(await store.restore(bytes('a'), join(base, 'out'))).toEqual({ kind: 'done' });
  expect(names.map((name) => readFileSync(join(base, 'out', name), 'utf8'))).toEqual(names);
  await store.close();
  tree.close();
});
