import { execFileSync } from 'node:child_process';
import {
  chmodSync,
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
  writeFileSync,
  writeSync,
} from 'node:fs';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { makePair, type MirrorPair } from './mirror-pair.ts';
import { zoo } from './zoo.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;

afterEach(async () => {
  await pair.close();
});

const MiB = 1 << 20;

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
