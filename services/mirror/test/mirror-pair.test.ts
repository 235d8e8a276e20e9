import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { Tree } from '../src/os/tree.ts';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { runResync, runVerify } from '../src/process/comparison-runs.ts';
import { portsTo } from './run-ports.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;

afterEach(async () => {
  await pair.close();
});

const isRoot = process.getuid?.() === 0;
const MiB = 1 << 20;

/** Everything that a file can be, in a folder. */
function zoo(root: string): void {
  mkdirSync(`${root}/a/b/c`, { recursive: true });
  mkdirSync(`${root}/empty`, { mode: 0o1770 });
  writeFileSync(`${root}/a/one`, 'one', { mode: 0o4750 });
  writeFileSync(`${root}/a/nothing`, '');
  writeFileSync(`${root}/a/b/middle`, Buffer.alloc(200_000, 7));
  writeFileSync(`${root}/a/b/large`, Buffer.alloc(3 * MiB, 9));
  linkSync(`${root}/a/one`, `${root}/a/b/same`);
  linkSync(`${root}/a/b/large`, `${root}/a/b/c/large too`);
  symlinkSync('../no/where', `${root}/a/pointer`);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/odd `), Buffer.from([0xff, 0x0a, 0x27])]), 'bytes');
  const hollow = openSync(`${root}/hollow`, 'w');
  writeSync(hollow, Buffer.alloc(4096, 1), 0, 4096, 64 * MiB);
  closeSync(hollow);
  truncateSync(`${root}/hollow`, 80 * MiB);
  execFileSync('mkfifo', [`${root}/pipe`]);
  const tree = Tree.open(root);
  tree.setExtended(Buffer.from('a/one'), [[Buffer.from('user.colour'), Buffer.from([0, 1, 255])]]);
  if (isRoot) {
    // A POSIX access list: owner, one user more, group, mask, others.
    const access = [
      '02000000',
      '01000700ffffffff',
      '020006002a000000',
      '04000500ffffffff',
      '10000700ffffffff',
      '20000000ffffffff',
    ].join('');
    tree.setExtended(Buffer.from('a/b/middle'), [
      [Buffer.from('system.posix_acl_access'), Buffer.from(access, 'hex')],
    ]);
    chownSync(`${root}/a/b/c`, 42, 43);
    tree.makeDevice(Buffer.from('null'), 'char', 0o666, 1, 3);
  }
  tree.setAttributes(Buffer.from('a/b'), { mtimeS: -5, mtimeNs: 123_456_789 });
  tree.close();
  lutimesSync(`${root}/a/pointer`, 1_000, 2_000.5);
}

describe('a source and a target', () => {
  test('carry everything that a file can be, holes as holes', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(statSync(`${pair.targetRoot}/hollow`).blocks).toBeLessThan(1_000);
    expect(pair.wireBytes).toBeLessThan(5 * MiB);
    expect(pair.source.state().targets[0]).toMatchObject({
      state: 'replicating',
      consistent: true,
      behindBytes: 0,
    });
    expect((await pair.target.foreignChanges()).count).toBe(0);
  });

  test('carry each change as it happens, and renamed trees without their contents', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const before = pair.wireBytes;
    renameSync(pair.at('a/b'), pair.at('moved'));
    renameSync(pair.at('a'), pair.at('moved/within'));
    mkdirSync(pair.at('a'));
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(pair.wireBytes - before).toBeLessThan(20_000);
    chmodSync(pair.at('moved/large'), 0o600);
    writeFileSync(pair.at('a/new'), 'new');
    rmSync(pair.at('moved/within'), { recursive: true });
    rmSync(pair.at('pipe'));
    mkdirSync(pair.at('pipe'));
    writeFileSync(pair.at('pipe/inside'), 'a folder now');
    rmSync(pair.at('empty'), { recursive: true });
    writeFileSync(pair.at('empty'), 'a file now');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('swap two folders, and send only the changed blocks of a large file', async () => {
    pair = await makePair({
      prepare: (root) => {
        for (const name of ['x', 'y']) {
          mkdirSync(`${root}/${name}`);
          writeFileSync(`${root}/${name}/in`, name);
        }
        writeFileSync(`${root}/large`, Buffer.alloc(8 * MiB, 3));
      },
    });
    await pair.settle();
    const before = pair.wireBytes;
    renameSync(pair.at('x'), pair.at('z'));
    renameSync(pair.at('y'), pair.at('x'));
    renameSync(pair.at('z'), pair.at('y'));
    const fd = openSync(pair.at('large'), 'r+');
    writeSync(fd, Buffer.alloc(4096, 4), 0, 4096, 5 * MiB);
    closeSync(fd);
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(readFileSync(`${pair.targetRoot}/x/in`, 'utf8')).toBe('y');
    expect(pair.wireBytes - before).toBeLessThan(20_000);
  });

  test('go on after the line broke in the middle of the first copy', async () => {
    pair = await makePair({
      prepare: (root) => {
        for (let i = 0; i < 20; i += 1) writeFileSync(`${root}/f${String(i)}`, Buffer.alloc(MiB, i));
        writeFileSync(`${root}/large`, Buffer.alloc(48 * MiB, 5));
      },
    });
    await pair.until(
      () => (pair.source.state().targets[0]?.doneBytes ?? 0) > 30 * MiB,
      'half of it is on its way',
    );
    pair.cut();
    writeFileSync(pair.at('meanwhile'), 'written while the line was cut');
    rmSync(pair.at('f3'));
    await pair.until(() => pair.source.state().targets[0]?.state === 'disconnected', 'the source knows');
    pair.heal();
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    // 68 MiB, and not twice of it.
    expect(pair.wireBytes).toBeLessThan(110 * MiB);
  });

  test('send nothing but a greeting when nothing changed while the line was cut', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    pair.cut();
    await pair.until(() => pair.source.state().targets[0]?.state === 'disconnected', 'the source knows');
    const before = pair.wireBytes;
    pair.heal();
    await pair.settle();
    expect(pair.wireBytes - before).toBeLessThan(3_000);
  });

  test('find what happened while there was no source', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    await pair.restartSource({
      clean: false,
      meanwhile: () => {
        renameSync(pair.at('a'), pair.at('renamed'));
        writeFileSync(pair.at('renamed/new'), 'new');
        rmSync(pair.at('hollow'));
      },
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('reverse: what the old source wrote last is kept aside, and then overwritten', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    pair.cut();
    writeFileSync(pair.at('a/one'), 'never replicated');
    writeFileSync(pair.at('a/only here'), 'nor this');
    await pair.source.drain(null, 1);
    await pair.reverse(() => {
      writeFileSync(pair.at('after'), 'written by the new owner');
      pair.heal();
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(existsSync(`${pair.targetRoot}/a/only here`)).toBe(false);
    const kept = pair.target.divergence
      .list()
      .map(({ path, change, from }) => [path.toString(), change, from]);
    expect(kept).toContainEqual(['a/one', 'written', 'anna']);
    expect(kept).toContainEqual(['a/only here', 'created', 'anna']);
  });

  test('adopt a copy that was brought by hand, by comparing', async () => {
    pair = await makePair({
      prepare: (source, target) => {
        zoo(source);
        execFileSync('cp', ['-a', `${source}/.`, target]);
        writeFileSync(`${target}/a/one`, 'two');
        writeFileSync(`${target}/too much`, 'extra');
        rmSync(`${target}/a/nothing`);
      },
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    // Hashes of a hollow file of 80 MiB are the most of it.
    expect(pair.wireBytes).toBeLessThan(250_000);
  });

  test('keep in step without a change feed', async () => {
    pair = await makePair({ feed: 'none', prepare: zoo });
    await pair.settle();
    writeFileSync(pair.at('a/found'), 'by looking at everything');
    await pair.until(() => existsSync(`${pair.targetRoot}/a/found`), 'the target has it');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('say what differs, when asked to', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/a/nothing`, 'by somebody else');
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const verified = await pair.source.verify('bert', true, new AbortController().signal);
    if (verified.kind === 'failed') throw new Error(verified.says);
    const found = verified.differences.map(({ path, kind }) => `${path.toString()} ${kind}`).sort();
    expect(found).toContain('a/nothing contents');
    expect(found).toContain('stray extra');
    await pair.until(() => pair.source.state().targets[0]?.consistent === true, 'it is mended');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('stay in step while everything is compared, and after it', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const states = new Set<string>();
    const note = (): void => {
      const row = pair.source.state().targets[0];
      states.add(`${String(row?.consistent)} ${String(row?.behindBytes)} ${pair.target.state().phase}`);
    };
    const timer = setInterval(note, 1);
    const verified = await pair.source.verify('bert', false, new AbortController().signal);
    note();
    clearInterval(timer);
    expect(verified).toMatchObject({ kind: 'compared', differences: [] });
    await pair.settle();
    note();
    expect(pair.target.state().phase).toBe('replicating');
    expect([...states].filter((state) => state.endsWith(' resync'))).toEqual([]);
  });

  test('call nothing a difference that was only not sent yet', async () => {
    pair = await makePair({ prepare: zoo });
    mkdirSync(pair.at('tree/below'), { recursive: true });
    writeFileSync(pair.at('tree/below/leaf'), 'a leaf');
    writeFileSync(pair.at('tree/goes'), 'goes');
    await pair.settle();
    pair.pause('backup');
    renameSync(pair.at('tree'), pair.at('moved'));
    rmSync(pair.at('moved/goes'));
    writeFileSync(pair.at('moved/comes'), 'comes');
    writeFileSync(pair.at('a/nothing'), 'something');
    await pair.until(() => (pair.source.state().targets[0]?.behindBytes ?? 0) > 5, 'it is behind');
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    pair.pause(null);
    const verified = await pair.source.verify('bert', false, new AbortController().signal);
    if (verified.kind === 'failed') throw new Error(verified.says);
    const found = verified.differences.map(({ path, kind }) => `${path.toString()} ${kind}`);
    // The stray name gave the root another time.
    expect(found.filter((one) => one !== ' metadata')).toEqual(['stray extra']);
    rmSync(`${pair.targetRoot}/stray`);
    await pair.source.verify('bert', true, new AbortController().signal);
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('name a file that never holds still, until it does', async () => {
    pair = await makePair({ prepare: zoo, settleMs: 20 });
    await pair.settle();
    const busy = setInterval(() => {
      writeFileSync(pair.at('a/busy'), String(performance.now()));
    }, 1);
    const hot = (): unknown => pair.source.state().targets[0]?.hot;
    await pair.until(() => hot() !== undefined, 'it is named');
    expect(hot()).toEqual({ count: 1, named: ['a/busy'] });
    clearInterval(busy);
    await pair.settle();
    expect(hot()).toBeUndefined();
    expect(pair.differences()).toEqual([]);
  });

  test('say at once why nothing can be compared: it is paused, or away', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const { signal } = new AbortController();
    pair.pause('backup');
    expect(await pair.source.verify('bert', true, signal)).toEqual({
      kind: 'failed',
      says: 'it is paused: backup',
    });
    expect(pair.source.resync('bert')).toMatchObject({ kind: 'failed', says: 'it is paused: backup' });
    pair.pause(null);
    await pair.settle();
    pair.cut();
    const away = await pair.source.verify('bert', false, signal);
    expect(away).toMatchObject({ kind: 'failed', says: expect.stringMatching(/^it is disconnected: /) });
    pair.heal();
    await pair.settle();
    expect(await pair.source.verify('bert', false, signal)).toMatchObject({ kind: 'compared' });
  });

  test('give a comparison up when whoever asked goes away', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const asked = new AbortController();
    const gone = pair.source.verify('bert', false, asked.signal);
    asked.abort();
    expect(await gone).toMatchObject({ kind: 'failed' });
    expect(await pair.source.verify('bert', false, new AbortController().signal)).toMatchObject({
      kind: 'compared',
    });
  });

  test('tell a repair that is done from one that found more', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const rows: MirrorRunRow[] = [];
    const ports = portsTo(rows);
    await runVerify(pair.source, ['bert'], true, ports);
    expect(rows.filter(({ kind }) => kind !== 'progress')).toMatchObject([
      { kind: 'difference', path: 'stray', what: 'extra', mended: true },
      { kind: 'difference', path: '.', what: 'metadata', mended: true },
      { kind: 'verified', target: 'bert', differing: 0, mended: 2, says: '' },
    ]);
    expect(pair.differences()).toEqual([]);
  });

  test('end a resync when everything is there', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const ports = portsTo();
    expect(await runResync(pair.source, 'd3/data', ['bert'], ports)).toMatchObject({ kind: 'done' });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('find what went away with the folder of another name', async () => {
    pair = await makePair({
      prepare: (root) => {
        mkdirSync(`${root}/B`);
        symlinkSync('no/where', `${root}/a`);
        linkSync(`${root}/a`, `${root}/B/c`);
      },
    });
    await pair.settle();
    lutimesSync(pair.at('B/c'), 1_000, 2_000.5);
    rmSync(pair.at('B'), { recursive: true });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('give a folder that was brought by hand what it lacks', async () => {
    pair = await makePair({
      prepare: (source, target) => {
        for (const root of [source, target]) mkdirSync(`${root}/there`);
        chmodSync(`${target}/there`, 0o700);
        writeFileSync(`${source}/there/one`, 'one');
      },
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('keep aside what lies in a folder that was a file', async () => {
    pair = await makePair({
      prepare: (root) => {
        writeFileSync(`${root}/one`, 'a file');
      },
    });
    await pair.settle();
    pair.cut();
    await pair.reverse(() => {
      rmSync(`${pair.targetRoot}/one`);
      mkdirSync(`${pair.targetRoot}/one`);
      writeFileSync(`${pair.targetRoot}/one/within`, 'only here');
      pair.heal();
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(pair.target.divergence.list().map(({ path }) => path.toString())).toContain('one/within');
  });
});

describe('what may be lost', () => {
  test('counts from the last complete look at everything, where no feed tells of changes', async () => {
    pair = await makePair({ feed: 'none', scanEveryMs: 2_000 });
    await pair.settle();
    const behind = (): number => pair.source.state().targets[0]?.behindMs ?? 0;
    await pair.until(() => behind() > 500, 'time passes in which nobody looked');
    expect(pair.source.state().targets[0]).toMatchObject({ state: 'replicating', behindBytes: 0 });
    await pair.until(() => behind() < 500, 'everything was looked at again');
  });

  test('counts nothing while the feed tells everything', async () => {
    pair = await makePair();
    await pair.settle();
    expect(pair.source.state().targets[0]?.behindMs).toBe(0);
  });

  test('counts the time in which there was no source, until everything was looked at', async () => {
    pair = await makePair({ feed: 'none', scanEveryMs: 60_000, prepare: zoo });
    await pair.settle();
    await pair.stopSource();
    const stopped = Date.now();
    await pair.until(() => Date.now() - stopped > 300, 'the source is away');
    await pair.startSource();
    expect(pair.source.state().targets[0]?.behindMs).toBeGreaterThanOrEqual(300);
  });
});

describe('a reversal', () => {
  test('gives the root of the former owner its attributes back, also when nothing else differs', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    pair.cut();
    chmodSync(pair.sourceRoot, 0o751);
    await pair.reverse();
    pair.heal();
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });
});
