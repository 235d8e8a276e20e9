/** The disk that a mirror keeps its catalog on is full, or has damaged it: that is said, and waited for. */

import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { openSync, closeSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { openCatalog } from '../src/catalog/catalog.ts';
import { beginAnew } from '../src/files/source/lost-catalog.ts';
import { attributesOf, statOf } from './catalog-fixture.ts';
import { SmallDisk } from './full-disk.ts';
import { MirrorPair } from './mirror-pair.ts';

jest.setTimeout(60_000);

const withDisk = process.getuid?.() === 0 ? describe : describe.skip;
let base: string;
let disk: SmallDisk | null;
let pair: MirrorPair | null;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-state-'));
  [disk, pair] = [null, null];
});

afterEach(async () => {
  disk?.makeRoom();
  if (pair === null) disk?.unmount();
  await pair?.close();
  rmSync(base, { recursive: true, force: true });
});

/** More than fits into the pages that a catalog has free. */
function write(to: MirrorPair, name: string): void {
  mkdirSync(to.at(name));
  for (let i = 0; i < 500; i += 1)
    writeFileSync(to.at(`${name}/${name}-${String(i).padStart(200, '0')}`), name);
}

async function begin(member: 'anna' | 'bert', more: { feed?: 'none' } = {}): Promise<MirrorPair> {
  disk = new SmallDisk(join(base, member, 'state', 'catalog'), 1 << 20);
  pair = new MirrorPair({ folder: base, closed: () => disk?.unmount(), ...more });
  await pair.start();
  writeFileSync(pair.at('before'), 'before');
  await pair.settle();
  return pair;
}

withDisk('a catalog without room', () => {
  test('a target waits, says why, and goes on when there is room', async () => {
    const mirror = await begin('bert');
    disk?.fill();
    write(mirror, 'while');
    await mirror.until(() => mirror.target.state().phase === 'waiting', 'it waits');
    expect(mirror.target.state().says).toMatch(/no space left on device/);
    expect(mirror.target.lost).toBe('');
    disk?.makeRoom();
    await mirror.settle();
    expect(mirror.differences()).toEqual([]);
    expect(mirror.target.state()).toMatchObject({ phase: 'replicating', consistent: true });
    expect(mirror.target.state().position?.sequence).toBe(mirror.sourceCatalog.lastSequence);
    expect(mirror.targetCatalog.checksum).toBe(mirror.sourceCatalog.checksum);
  });

  test('a target that starts then is not open, says why, and can be opened when there is room', async () => {
    const mirror = await begin('bert');
    disk?.fill();
    write(mirror, 'while');
    await mirror.until(() => mirror.target.state().phase === 'waiting', 'it waits');
    await mirror.stopTarget();
    await expect(mirror.startTarget()).rejects.toThrow(/no space left on device/);
    disk?.makeRoom();
    await mirror.startTarget();
    await mirror.settle();
    expect(mirror.differences()).toEqual([]);
    expect(mirror.targetCatalog.checksum).toBe(mirror.sourceCatalog.checksum);
  });

  test.each(['here', 'none'] as const)(
    'a source says so, and brings everything when there is room (%s)',
    async (feed) => {
      const mirror = await begin('anna', feed === 'none' ? { feed } : {});
      disk?.fill();
      write(mirror, 'while');
      await mirror.until(() => /no space left on device/i.test(mirror.source.state().says), 'it says so');
      const [drained] = await mirror.source.drain(null, 500);
      expect(drained?.kind).toBe('behind');
      rmSync(mirror.at('before'));
      disk?.makeRoom();
      await mirror.settle();
      expect(mirror.differences()).toEqual([]);
      await mirror.until(() => mirror.source.state().says === '', 'all is well');
    },
  );

  test('a source that ends then goes on from what is on disk', async () => {
    const mirror = await begin('anna');
    disk?.fill();
    write(mirror, 'while');
    await mirror.until(() => mirror.source.state().says !== '', 'it says so');
    await mirror.stopSource();
    disk?.makeRoom();
    await mirror.startSource();
    await mirror.settle();
    expect(mirror.differences()).toEqual([]);
  });

  test('a catalog that can not be made yet is an error like any other', () => {
    disk = new SmallDisk(join(base, 'anna'), 1 << 20);
    disk.fill();
    const open = (): unknown => openCatalog(join(base, 'anna', 'catalog'));
    expect(open).toThrow(expect.objectContaining({ code: 'ENOSPC' }));
  });
});

describe('a damaged catalog', () => {
  const dir = (): string => join(base, 'catalog');
  const file = (): string => join(dir(), 'data.mdb');

  beforeEach(async () => {
    const catalog = openCatalog(dir());
    const root = statOf('folder', 2);
    catalog.recordPut(Buffer.alloc(0), attributesOf(root), root, 0, false);
    catalog.write(() => {
      for (let i = 1; i <= 3_000; i += 1) {
        const stat = statOf('file', i + 10);
        catalog.recordPut(Buffer.from(`file-${String(i)}`), attributesOf(stat), stat, i, true);
      }
    });
    await catalog.close();
  });

  function spoil(offset: number, bytes: number): void {
    const fd = openSync(file(), 'r+');
    writeSync(fd, Buffer.alloc(bytes, 0x55), 0, bytes, offset);
    closeSync(fd);
  }

  const damages: Readonly<Record<string, () => void>> = {
    'its beginning is something else': () => spoil(0, 8_192),
    'it is another kind of file': () => writeFileSync(file(), 'hello'),
    'it was cut off': () => truncateSync(file(), Math.floor(statSync(file()).size / 2)),
  };

  test.each(Object.keys(damages))('says so, and what to do, when %s', (damage) => {
    damages[damage]?.();
    const open = (): unknown => openCatalog(dir());
    expect(open).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(open).toThrow(/catalog is damaged .*docs\/operations\.md/);
  });

  test.each(['anna', 'bert'] as const)(
    'that was moved away is made anew, and everything compared (%s)',
    async (member) => {
      pair = new MirrorPair({ folder: base });
      await pair.start();
      for (let i = 0; i < 20; i += 1) {
        writeFileSync(pair.at(`one-${String(i)}`), 'one');
        await pair.settle();
      }
      const state = join(base, member, 'state');
      if (member === 'anna') await pair.stopSource();
      else await pair.stopTarget();
      const catalog = member === 'anna' ? pair.sourceCatalog : pair.targetCatalog;
      await catalog.close();
      for (const part of ['catalog', 'blocks', 'log'])
        rmSync(join(state, part), { recursive: true, force: true });
      pair.reopen(member);
      // What the new numbers would hide, if they meant the same.
      rmSync(pair.at('one-0'));
      writeFileSync(join(pair.sourceRoot, 'one-1'), 'two');
      if (member === 'anna') {
        beginAnew(pair.sourceCatalog, Date.now());
        await pair.startSource();
      } else await pair.startTarget();
      await pair.settle();
      expect(pair.differences()).toEqual([]);
      expect(pair.target.state()).toMatchObject({ phase: 'replicating', consistent: true });
    },
  );

  test('what is as long as it has to be is opened as before', async () => {
    const catalog = openCatalog(dir());
    expect(catalog.entries).toBeGreaterThan(2_000);
    await catalog.close();
  });
});
