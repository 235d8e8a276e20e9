/** A file system beneath the root that is not mounted any more, or is another one: a bind of a small disk stands for it. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { SmallDisk } from './full-disk.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(60_000);

const withDisk = process.getuid?.() === 0 ? describe : describe.skip;
const notMounted = /what was mounted at "big" is not mounted there now.*holdfast mirror resync d3\/data/;
const names = ['one', 'two', 'three'];

let base: string;
let disks: SmallDisk[];
/** Where something is mounted now. */
let mounted: Set<string>;
let pair: MirrorPair;
/** The folder in the root in which a disk is mounted; empty: the root. */
let place: string;

function mount(disk: string, at: string): void {
  execFileSync('mount', ['--bind', join(base, disk), at]);
  mounted.add(at);
}

function unmount(at: string): void {
  execFileSync('umount', ['--lazy', at]);
  mounted.delete(at);
}

const big = (root = pair.sourceRoot): string => join(root, place, 'big');
const copied = (): readonly string[] => readdirSync(big(pair.targetRoot)).sort();

/** A source with three files on a disk of their own. */
async function begin(within = ''): Promise<void> {
  place = within;
  pair = await makePair({
    prepare: (sourceRoot) => {
      mkdirSync(big(sourceRoot), { recursive: true });
      mount('disk', big(sourceRoot));
      for (const name of names) writeFileSync(join(big(sourceRoot), name), name);
      writeFileSync(join(sourceRoot, 'beside'), 'beside');
    },
  });
  await pair.settle();
  expect(pair.differences()).toEqual([]);
}

async function isInDoubt(why: RegExp): Promise<void> {
  await pair.until(() => why.test(pair.source.state().says), 'it is told');
  writeFileSync(pair.at('meanwhile'), 'meanwhile');
  await pair.until(() => existsSync(join(pair.targetRoot, 'meanwhile')), 'the rest goes on');
  const [drained] = await pair.source.drain(null, 2_000);
  expect(drained).toMatchObject({ kind: 'behind' });
  expect(copied()).toEqual([...names].sort());
}

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-mounts-'));
  mounted = new Set();
  place = '';
  disks = ['disk', 'other', 'third'].map((name) => new SmallDisk(join(base, name), 1 << 20));
});

afterEach(async () => {
  for (const at of mounted) unmount(at);
  await pair.close();
  for (const disk of disks) disk.unmount();
  rmSync(base, { recursive: true, force: true });
});

withDisk('a file system beneath the root', () => {
  test('that goes while the source runs is not taken for deleted, and is gone on with when it is back', async () => {
    await begin();
    unmount(big());
    expect(readdirSync(big())).toEqual([]);
    await isInDoubt(notMounted);
    mount('disk', big());
    writeFileSync(join(big(), 'four'), 'four');
    rmSync(join(big(), 'one'));
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(pair.source.state().says).toBe('');
  });

  test('that is not there after a start is not taken for deleted', async () => {
    await begin();
    await pair.restartSource({ clean: true, meanwhile: () => unmount(big()) });
    await isInDoubt(notMounted);
    mount('disk', big());
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('that an earlier version did not note is not taken for deleted', async () => {
    await begin();
    await pair.restartSource({
      clean: true,
      meanwhile: () => {
        unmount(big());
        const { mounts, ...notes } = pair.sourceCatalog.meta.notes;
        expect(mounts).toMatch(/"big"/);
        pair.sourceCatalog.setMeta({ notes });
      },
    });
    await isInDoubt(notMounted);
  });

  test('in the place of which another one is mounted is not taken for changed', async () => {
    await begin();
    unmount(big());
    mount('other', big());
    writeFileSync(join(big(), 'else'), 'else');
    await isInDoubt(/what is mounted at "big" is not what was there: of 3 entries .* 3 are missing or other/);
  });

  test('of which a person says that it is meant so is gone at the targets', async () => {
    await begin();
    unmount(big());
    await isInDoubt(notMounted);
    expect(await pair.source.accept()).toEqual({ kind: 'done' });
    await pair.settle();
    expect(copied()).toEqual([]);
    await pair.restartSource({ clean: true });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('in a folder that gets another name while it is not mounted is not taken for deleted', async () => {
    await begin('within');
    unmount(big());
    renameSync(pair.at('within'), pair.at('other'));
    place = 'other';
    await isInDoubt(/what was mounted at "other\/big" is not mounted there now/);
    mount('disk', big());
    writeFileSync(join(big(), 'four'), 'four');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(copied()).toHaveLength(4);
  });

  test('in a folder that got another name while nobody looked is not taken for deleted', async () => {
    await begin('within');
    await pair.restartSource({
      clean: true,
      meanwhile: () => {
        unmount(big());
        renameSync(pair.at('within'), pair.at('other'));
      },
    });
    place = 'other';
    await isInDoubt(/what was mounted at "other\/big" is not mounted there now/);
    await pair.restartSource({ clean: true });
    await isInDoubt(/what was mounted at "other\/big" is not mounted there now/);
  });

  test('in a folder that gets another name with it is mirrored on', async () => {
    await begin('within');
    renameSync(pair.at('within'), pair.at('other'));
    mounted.delete(big());
    place = 'other';
    mounted.add(big());
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    unmount(big());
    await isInDoubt(/what was mounted at "other\/big" is not mounted there now/);
  });

  test('at a name that is no UTF-8 is not taken for deleted', async () => {
    const odd = (root: string): string => `"${root}/$(printf '\\377\\374')"`;
    const shell = (command: string): string => execFileSync('sh', ['-c', command], { encoding: 'latin1' });
    pair = await makePair({
      prepare: (root) => {
        shell(
          `mkdir ${odd(root)} && mount --bind ${join(base, 'disk')} ${odd(root)} && touch ${odd(root)}/one`,
        );
      },
    });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    shell(`umount --lazy ${odd(pair.sourceRoot)}`);
    await pair.until(() => /is not mounted there now/.test(pair.source.state().says), 'it is told');
    expect(shell(`ls ${odd(pair.targetRoot)}`)).toBe('one\n');
  });

  test('that is mounted while the source runs is mirrored, and noted', async () => {
    await begin();
    mkdirSync(pair.at('later'));
    await pair.settle();
    mount('third', pair.at('later'));
    writeFileSync(pair.at('later/in'), 'in');
    await pair.until(() => existsSync(join(pair.targetRoot, 'later/in')), 'it is found');
    await pair.until(
      () => pair.sourceCatalog.meta.notes['mounts']?.includes('later') === true,
      'it is noted',
    );
    unmount(pair.at('later'));
    await pair.until(() => pair.source.state().says.includes('later'), 'it is told');
    expect(existsSync(join(pair.targetRoot, 'later/in'))).toBe(true);
  });

  test('that a target lacks when it takes over is not deleted at the others', async () => {
    await begin();
    await pair.stopTarget();
    rmSync(big(pair.targetRoot), { recursive: true });
    mkdirSync(big(pair.targetRoot));
    mount('third', big(pair.targetRoot));
    await pair.startTarget();
    await pair.target.mendForeign();
    await pair.until(() => existsSync(join(big(pair.targetRoot), 'one')), 'it is copied there');
    await pair.settle();
    const before = pair.sourceRoot;
    unmount(big(pair.targetRoot));
    await pair.reverse();
    await pair.until(() => notMounted.test(pair.source.state().says), 'it is told');
    const [drained] = await pair.source.drain(null, 2_000);
    expect(drained).toMatchObject({ kind: 'behind' });
    expect(readdirSync(big(before)).sort()).toEqual([...names].sort());
  });

  test('nothing is copied as a whole while it is not there', async () => {
    await begin();
    unmount(big());
    await isInDoubt(notMounted);
    await pair.target.mendForeign();
    const why = (): string => pair.source.state().targets[0]?.says ?? '';
    await pair.until(() => notMounted.test(why()), 'it waits');
    expect(copied()).toEqual([...names].sort());
    mount('disk', big());
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });
});
