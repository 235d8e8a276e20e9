import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  linkSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { unprotect } from '../src/os/read-only.ts';
import { Tree } from '../src/os/tree.ts';
import type { Stage } from './target-fixture.ts';
import {
  big,
  fileOf,
  folder,
  folderOf,
  hardLink,
  link,
  move,
  openStage,
  patch,
  placed,
  put,
  removal,
  set,
} from './target-fixture.ts';

let stage: Stage;

afterEach(async () => {
  await stage.close();
});

describe('a target of a file mirror', () => {
  test('is an exact copy after each batch', async () => {
    stage = await openStage();
    const { source, hello } = await stage.dial();
    expect(hello).toMatchObject({ role: 'target', position: null, consistent: false, foreign: false });
    await source.batch(10, [
      folder('a'),
      put('a/one', 'first', { mode: 0o640 }),
      link('a/pointer', '../nowhere'),
      hardLink('a/two', 'a/one'),
      set('a', folderOf({ mtimeS: 1_600_000_000, mtimeNs: 5 })),
    ]);
    await source.batch(20, [
      move('a', 1),
      removal('gone-already'),
      placed(1, 'b'),
      put('b/one', 'second'),
      folder('b/deep'),
      put('b/deep/er', ''),
    ]);
    expect(
      (await stage.target.foreignChanges()).named.map(({ path, kind }) => `${path.toString()} ${kind}`),
    ).toEqual([]);
    expect(readFileSync(stage.at('b/one'), 'utf8')).toBe('second');
    expect(readFileSync(stage.at('b/two'), 'utf8')).toBe('first');
    expect(readlinkSync(stage.at('b/pointer'))).toBe('../nowhere');
    expect(existsSync(stage.at('a'))).toBe(false);
    expect(statSync(stage.at('b/two')).mode & 0o7777).toBe(0o640);
    expect(statSync(stage.at('b/two'), { bigint: true }).mtimeNs).toBe(1_700_000_000_123_456_789n);
    expect(stage.target.state()).toMatchObject({
      phase: 'replicating',
      consistent: true,
      position: { epoch: 7n, sequence: 20 },
      foreignChanges: 0,
    });
    expect(stage.catalog.checksum).toBe(stage.catalog.recomputeChecksum());
  });

  test('swaps names, and replaces files by folders and folders by files', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(1, [
      folder('x'),
      put('x/in', 'x'),
      folder('y'),
      put('y/in', 'y'),
      put('f', 'file'),
      folder('d'),
    ]);
    await source.batch(2, [
      move('x', 1),
      move('y', 2),
      placed(1, 'y'),
      placed(2, 'x'),
      put('d', 'now a file'),
    ]);
    await source.batch(3, [removal('f'), folder('f'), put('f/in', 'now a folder')]);
    expect((await stage.target.foreignChanges()).named).toEqual([]);
    expect(readFileSync(stage.at('x/in'), 'utf8')).toBe('y');
    expect(readFileSync(stage.at('y/in'), 'utf8')).toBe('x');
    expect(readFileSync(stage.at('d'), 'utf8')).toBe('now a file');
    expect(readFileSync(stage.at('f/in'), 'utf8')).toBe('now a folder');
  });

  test('gives many files a second name without looking at all of them for each', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    const names = Array.from({ length: 400 }, (_, i) => `file-${String(i)}`);
    await source.batch(1, [...names.map((name) => put(name, name)), folder('copy')]);
    await stage.target.foreignChanges();
    const outside = join(stage.dir, 'outside');
    linkSync(stage.at('file-7'), outside);
    const look = jest.spyOn(Tree.prototype, 'stat');
    const later = { mtimeS: 1_700_000_001 };
    await source.batch(2, [
      ...names.map((name) => hardLink(`copy/${name}`, name)),
      ...names.map((name) => set(name, fileOf(name.length, later))),
    ]);
    await stage.target.foreignChanges();
    expect(look.mock.calls.length).toBeLessThan(20_000);
    look.mockRestore();
    expect(statSync(stage.at('copy/file-0')).ino).toBe(statSync(stage.at('file-0')).ino);
    expect(Math.floor(statSync(stage.at('file-0')).mtimeMs)).toBe(1_700_000_001_123);
    // What has a name elsewhere is never written in place.
    expect(statSync(stage.at('file-7')).ino).not.toBe(statSync(outside).ino);
    expect(Math.floor(statSync(outside).mtimeMs)).toBe(1_700_000_000_123);
  });

  test('takes big files as streams, and changed blocks into the file that stays', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    const size = 3 << 20;
    const pieces = [0, 1, 2].map((i) => ({ offset: i << 20, contents: Buffer.alloc(1 << 20, 65 + i) }));
    await source.batch(1, [big('large', size, 1, 'v1')], { contents: [{ stream: 1, pieces, bytes: size }] });
    await stage.target.foreignChanges();
    const { ino } = statSync(stage.at('large'));
    const changed = [{ offset: 4_096, contents: Buffer.alloc(4_096, 'z') }];
    await source.batch(2, [patch('large', size - 1, 2)], {
      contents: [{ stream: 2, pieces: changed, bytes: 4_096 }],
    });
    expect((await stage.target.foreignChanges()).named).toEqual([]);
    const expected = Buffer.concat(pieces.map(({ contents }) => contents)).subarray(0, size - 1);
    expected.fill('z', 4_096, 8_192);
    expect(readFileSync(stage.at('large')).equals(expected)).toBe(true);
    expect(statSync(stage.at('large')).ino).toBe(ino);
  });

  test('goes on with the beginning of a big file after a break', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    const size = 12 << 20;
    const contents = Buffer.alloc(1 << 20, 'p');
    source.connection.send({ kind: 'begin', number: 1, consistent: false });
    source.connection.send({ kind: 'operations', operations: [big('large', size, 1, 'v1')] });
    for (let i = 0; i < 8; i += 1) {
      if (
        !source.connection.send({ kind: 'data', stream: 1, offset: i << 20, contents: Buffer.from(contents) })
      ) {
        await source.connection.writable();
      }
    }
    while (stage.target.state().receivedBytes < 8 << 20) await new Promise(setImmediate);
    source.connection.close('break');
    while (stage.target.state().phase !== 'disconnected') await new Promise(setImmediate);
    const again = await stage.dial();
    expect(again.hello.parts).toMatchObject([{ bytes: 8 << 20 }]);
    const pieces = [8, 9, 10, 11].map((i) => ({ offset: i << 20, contents: Buffer.from(contents) }));
    await again.source.batch(1, [big('large', size, 1, 'v1')], {
      contents: [{ stream: 1, pieces, bytes: 4 << 20 }],
    });
    await stage.target.foreignChanges();
    expect(readFileSync(stage.at('large')).equals(Buffer.alloc(size, 'p'))).toBe(true);
  });

  test('remembers where it is, and the highest epoch, across a restart', async () => {
    stage = await openStage();
    const { source } = await stage.dial(7n);
    await source.batch(33, [put('kept', 'yes')]);
    stage = await stage.reopen();
    const { hello } = await stage.dial(8n);
    expect(hello).toMatchObject({
      epoch: 8n,
      consistent: true,
      position: { epoch: 7n, sequence: 33 },
      history: [{ epoch: 7n, sequence: 33 }],
    });
    stage = await stage.reopen();
    await expect(stage.dial(7n)).rejects.toThrow('refused: epoch: its epoch 7 is over: 8 was seen here');
  });

  test('becomes an owner’s copy at once, with everything acknowledged and nothing of ours', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    for (let i = 1; i <= 50; i += 1) await source.send(i, [put(`file-${String(i)}`, String(i))]);
    await source.batch(51, [put('last', 'last')]);
    const before = performance.now();
    const promoted = await stage.target.promote();
    const ms = performance.now() - before;
    expect(promoted).toMatchObject({ consistent: true, position: { sequence: 51 } });
    expect(readdirSync(stage.root)).toHaveLength(51);
    expect(ms).toBeLessThan(20_000);
    await expect(stage.dial(9n)).rejects.toThrow('refused: shutdown');
  });

  test('names what others changed in it, and mends it by comparing', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(5, [folder('a'), put('a/one', 'one'), put('two', 'two'), put('three', 'three')]);
    await stage.target.foreignChanges();
    writeFileSync(stage.at('a/one'), 'ONE!');
    writeFileSync(stage.at('extra'), 'extra');
    chmodSync(stage.at('two'), 0o600);
    const { named } = await stage.target.foreignChanges();
    const found = new Map(named.map(({ path, kind }) => [path.toString(), kind]));
    expect(found.get('a/one')).toBe('contents');
    expect(found.get('extra')).toBe('extra');
    expect(found.get('two')).toBe('metadata');
    expect(stage.target.state().foreignChanges).toBeGreaterThanOrEqual(3);
    await stage.target.mendForeign();
    const again = await stage.dial(7n, null, 5);
    expect(again.hello).toMatchObject({ consistent: false, history: [] });
    again.source.plan(0, 'compare');
    const candidates = await again.source.next('candidates');
    expect(candidates.paths.map(String).sort()).toEqual(['a', 'a/one', 'extra', 'three', 'two']);
    again.source.connection.send({
      kind: 'offer',
      number: 1,
      entries: [
        { path: Buffer.from('extra'), attributes: null, blockBytes: 0, hashes: Buffer.alloc(0) },
        { path: Buffer.from('two'), attributes: fileOf(3), blockBytes: 4_096, hashes: Buffer.alloc(16) },
      ],
    });
    const { entries } = await again.source.next('wants');
    expect(entries.map(({ path, whole }) => [path.toString(), whole])).toEqual([
      ['extra', true],
      ['two', false],
    ]);
  });

  test('says that its cover was taken away, and sets it anew with the next change', async () => {
    stage = await openStage();
    stage = await stage.reopen({ covered: true });
    const { source } = await stage.dial();
    await source.batch(1, [put('one', 'one')]);
    await stage.target.foreignChanges();
    const { protection } = stage.target.state();
    if (protection.kind === 'unprotected') return; // Not permitted on this host.
    unprotect(stage.root);
    expect(stage.target.state().protection).toMatchObject({
      kind: 'unprotected',
      says: expect.stringContaining('took its read-only mount away'),
    });
    await source.batch(2, [put('two', 'two')]);
    await stage.target.foreignChanges();
    expect(stage.target.state().protection.kind).toBe('read-only');
    expect(() => {
      writeFileSync(stage.at('foreign'), 'foreign');
    }).toThrow(/EROFS/);
  });

  test('keeps others from writing in it while it is a target', async () => {
    stage = await openStage();
    stage = await stage.reopen({ covered: true });
    const { source } = await stage.dial();
    await source.batch(1, [folder('a'), put('a/one', 'one')]);
    await stage.target.foreignChanges();
    const { protection } = stage.target.state();
    if (protection.kind === 'unprotected') {
      // Not permitted on this host: it says so, and works all the same.
      expect(protection.says).not.toBe('');
      return;
    }
    const write = (): void => {
      writeFileSync(stage.at('foreign'), 'foreign');
    };
    expect(write).toThrow(/EROFS/);
    await source.batch(2, [removal('a/one'), put('a/two', 'two')]);
    expect(readdirSync(stage.root)).toEqual(['a']);
    stage = await stage.reopen();
    expect(stage.target.state().protection.kind).toBe('read-only');
    expect(write).toThrow(/EROFS/);
    const { source: again } = await stage.dial(7n, 2);
    await again.batch(3, [put('a/three', 'three')]);
    expect(readdirSync(stage.dir).filter((name) => name.startsWith('.holdfast-'))).toHaveLength(1);
    expect(readdirSync(stage.root)).toEqual(['a']);
    await stage.target.promote();
    expect(readdirSync(stage.at('a')).sort()).toEqual(['three', 'two']);
    expect(readdirSync(stage.root)).toEqual(['a']);
    write();
  });

  test('has no second name in the state directory, so that removing that removes no data', async () => {
    stage = await openStage();
    stage = await stage.reopen({ covered: true });
    const { source } = await stage.dial();
    await source.batch(1, [folder('a'), put('a/one', 'one')]);
    await stage.target.foreignChanges();
    execFileSync('cp', ['-a', join(stage.dir, 'state'), join(stage.dir, 'saved')]);
    execFileSync('rm', ['-rf', join(stage.dir, 'state')]);
    expect(readFileSync(stage.at('a/one'), 'utf8')).toBe('one');
    execFileSync('mv', [join(stage.dir, 'saved'), join(stage.dir, 'state')]);
  });
});
