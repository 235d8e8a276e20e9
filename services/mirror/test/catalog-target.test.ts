/** A catalog's record of what was applied, of links and real trees, and what is left of it when its process is killed. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openCatalog } from '../src/catalog/catalog.ts';
import { scan } from '../src/catalog/scan.ts';
import { type Catalog, type Change, rootId } from '../src/catalog/types.ts';
import { Tree } from '../src/os/tree.ts';
import { attributesOf, statOf } from './catalog-fixture.ts';
import { program } from './compiled.ts';

let dir: string;
let catalog: Catalog;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-catalog-'));
  catalog = openCatalog(join(dir, 'catalog'));
});

afterEach(async () => {
  await catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

function put(name: string, kind: 'file' | 'folder', inode: number, sequence: number): number {
  const stat = statOf(kind, inode);
  return catalog.recordPut(Buffer.from(name), attributesOf(stat), stat, sequence, true);
}

function named(changes: readonly Change[]): string[] {
  return changes.map((change) =>
    change.kind === 'gone'
      ? `-${change.tombstone.name.toString()}`
      : (catalog.pathOf(change.id)?.toString() ?? '?'),
  );
}

describe('what a target recorded', () => {
  test('says where everything was at the end of each batch', () => {
    put('', 'folder', 1, 10);
    const folder = put('a', 'folder', 2, 10);
    const file = put('a/f', 'file', 3, 10);
    put('b', 'folder', 4, 10);
    catalog.write(() => {
      const id = catalog.recordTaken(Buffer.from('a'), 20) ?? 0;
      catalog.recordPlaced(id, Buffer.from('b/c'), 20);
    });
    catalog.write(() => {
      catalog.recordRemoved(Buffer.from('b/c/f'), 30);
    });
    expect(catalog.sweep(Infinity)).toBe(true);

    const where = [10, 20, 30].map((at) => [folder, file].map((id) => catalog.pathAt(id, at)?.toString()));
    expect(where).toEqual([
      ['a', 'a/f'],
      ['b/c', 'b/c/f'],
      ['b/c', undefined],
    ]);
    expect(named(catalog.changesSince(10, 10))).toEqual(['b/c', '-f']);
    expect(catalog.exactSince).toBe(30);
    expect(catalog.checksum).toBe(catalog.recomputeChecksum());
  });

  test('has the same checksum as the source, whatever the inodes', async () => {
    const source = openCatalog(join(dir, 'source'));
    source.observe(Buffer.alloc(0), statOf('folder', 91), 0);
    source.observe(Buffer.from('a'), statOf('file', 92, { ctimeS: 77 }), 0);
    put('', 'folder', 1, 5);
    put('a', 'file', 2, 5);
    expect(catalog.checksum).toBe(source.checksum);
    await source.close();
  });

  test('is all or nothing when a write fails', () => {
    put('', 'folder', 1, 1);
    const { checksum, entries, lastSequence } = catalog;
    expect(() => {
      catalog.write(() => {
        put('a', 'file', 2, 9);
        throw new Error('the disk is full');
      });
    }).toThrow('the disk is full');
    expect([catalog.checksum, catalog.entries, catalog.lastSequence]).toEqual([
      checksum,
      entries,
      lastSequence,
    ]);
    expect(catalog.byPath(Buffer.from('a'))).toBeNull();
  });

  test('forgets tombstones up to a number, and those beyond its bound', async () => {
    const own = openCatalog(join(dir, 'bounded'), { tombstonesMax: 10 });
    own.observe(Buffer.alloc(0), statOf('folder', 1), 0);
    for (let i = 0; i < 30; i += 1) {
      own.observe(Buffer.from('f'), statOf('file', 2), 0);
      own.observe(Buffer.from('f'), null, 0);
      own.sweep(Infinity);
    }
    const { horizon } = own;
    expect(horizon).toBeGreaterThan(0);
    expect(own.changesSince(horizon, 100).filter(({ kind }) => kind === 'gone').length).toBeLessThanOrEqual(
      11,
    );
    expect(own.collect(own.lastSequence)).toBe(true);
    expect([own.horizon, named(own.changesSince(0, 100)).length]).toEqual([own.lastSequence, 1]);
    await own.close();
  });
});

test('a scan finds what was made, moved, linked and removed in a real tree', async () => {
  const root = join(dir, 'root');
  mkdirSync(join(root, 'one/two'), { recursive: true });
  writeFileSync(join(root, 'one/two/file'), 'x');
  writeFileSync(join(root, 'gone'), 'x');
  const tree = Tree.open(root);
  const includes = (path: Buffer): boolean => !path.toString().endsWith('.tmp');
  const run = async (): Promise<number> => {
    const scanned = await scan({ tree, catalog, includes });
    expect(catalog.sweep(Infinity)).toBe(true);
    expect([scanned.complete, catalog.checksum]).toEqual([true, catalog.recomputeChecksum()]);
    return scanned.different;
  };
  try {
    await run();
    const file = catalog.byPath(Buffer.from('one/two/file'));
    const since = catalog.lastSequence;
    renameSync(join(root, 'one/two'), join(root, 'moved'));
    linkSync(join(root, 'moved/file'), join(root, 'link'));
    rmSync(join(root, 'gone'));
    writeFileSync(join(root, 'not.tmp'), 'x');
    await run();

    expect(catalog.byPath(Buffer.from('moved/file'))?.id).toBe(file?.id);
    expect(catalog.linked(file?.inode ?? 0).length).toBe(2);
    expect(catalog.byPath(Buffer.from('not.tmp'))).toBeNull();
    expect(catalog.pathAt(file?.id ?? 0, since)?.toString()).toBe('one/two/file');
    expect(named(catalog.changesSince(since, 20)).sort()).toEqual([
      '',
      '-gone',
      'link',
      'moved',
      'moved/file',
      'one',
    ]);
    expect(catalog.children(rootId).length).toBe(3);
  } finally {
    tree.close();
  }
});

test('a killed process leaves the catalog as its last write left it', async () => {
  const child = spawn(process.execPath, [
    program(join(dir, 'programs'), 'catalog-child'),
    join(dir, 'killed'),
  ]);
  let told = '';
  let trouble = '';
  child.stderr.on('data', (data: Buffer) => (trouble += data.toString()));
  child.stdout.on('data', (data: Buffer) => {
    told += data.toString();
    if (told.split('\n').length > 60) child.kill('SIGKILL');
  });
  await once(child, 'exit');
  expect(trouble).toBe('');
  const last = told.split('\n').at(-2)?.split(' ') ?? [];

  const left = openCatalog(join(dir, 'killed'));
  left.sweep(Infinity);
  expect(left.checksum).toBe(left.recomputeChecksum());
  expect(left.lastSequence).toBeGreaterThanOrEqual(Number(last[0]));
  if (left.lastSequence === Number(last[0])) expect(left.checksum).toBe(last[1]);
  for (const { id } of left.changesSince(0, 1_000).filter(({ kind }) => kind === 'entry')) {
    expect(left.pathOf(id)).not.toBeNull();
  }
  await left.close();
}, 30_000);
