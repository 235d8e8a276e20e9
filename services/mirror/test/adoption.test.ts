/** What lies in a target's folder before its first copy, or was put there by others: adopted, or kept aside. */

import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { Tree } from '../src/os/tree.ts';
import { makePair, type MirrorPair, type PairOptions } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;
let out: string;

beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), 'holdfast-restored-'));
});

afterEach(async () => {
  await pair.close();
  rmSync(out, { recursive: true });
});

/** Starts a pair whose target's folder was a copy of the source's, before it was changed. */
async function seeded(change: (target: string) => void, more: PairOptions = {}): Promise<void> {
  pair = await makePair({
    ...more,
    prepare: (source, target) => {
      mkdirSync(`${source}/d`);
      writeFileSync(`${source}/d/same`, 'the same');
      writeFileSync(`${source}/other`, 'what the source has');
      writeFileSync(`${source}/kind`, 'a file at the source');
      execFileSync('cp', ['-a', `${source}/.`, target]);
      change(target);
    },
  });
}

const kept = (): string[] =>
  pair.target.divergence
    .list()
    .map(({ path, change, from }) => `${path.toString()} ${change} ${from}`)
    .sort();

async function restored(path: string): Promise<string> {
  expect(await pair.target.divergence.restore(Buffer.from(path), out)).toEqual({ kind: 'done' });
  return readFileSync(join(out, path.slice(path.lastIndexOf('/') + 1)), 'utf8');
}

test('a copy that was brought by hand is adopted without a flag, and nothing of it is kept aside', async () => {
  await seeded((target) => utimesSync(`${target}/other`, 1_000, 1_000));
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toEqual([]);
});

test('what was there and differs, or is not at the source, is kept aside before it goes', async () => {
  await seeded((target) => {
    writeFileSync(`${target}/other`, 'what only this folder had');
    mkdirSync(`${target}/extra/deep`, { recursive: true });
    writeFileSync(`${target}/extra/deep/file`, 'nobody else has this');
    symlinkSync('anywhere', `${target}/extra/link`);
    rmSync(`${target}/kind`);
    mkdirSync(`${target}/kind`);
    writeFileSync(`${target}/kind/inner`, 'within a folder');
  });
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toEqual([
    'extra created bert',
    'extra/deep created bert',
    'extra/deep/file created bert',
    'extra/link created bert',
    'kind written bert',
    'kind/inner created bert',
    'other written bert',
  ]);
  const told = /7 entries are kept aside: holdfast mirror divergence d3\/data/;
  await pair.until(() => told.test(pair.source.state().targets[0]?.says ?? ''), 'status says so');
  expect(await restored('other')).toBe('what only this folder had');
  expect(await restored('extra/deep/file')).toBe('nobody else has this');
  expect(await restored('kind/inner')).toBe('within a folder');
});

test('status tells that a folder holds files of unknown origin while they are compared', async () => {
  await seeded((target) => {
    for (let n = 0; n < 600; n += 1) writeFileSync(`${target}/extra-${String(n)}`, 'mine');
  });
  const told = (): string => pair.source.state().targets[0]?.says ?? '';
  await pair.until(() => /unknown origin/.test(told()), 'status says so');
  await pair.settle();
  expect(told()).not.toMatch(/unknown origin/);
});

test('what is excluded goes with a folder that the source has not, and is kept aside, too', async () => {
  await seeded(
    (target) => {
      mkdirSync(`${target}/extra/cache.tmp`, { recursive: true });
      writeFileSync(`${target}/extra/a.tmp`, 'excluded');
      writeFileSync(`${target}/extra/cache.tmp/b`, 'beneath what is excluded');
      writeFileSync(`${target}/stays.tmp`, 'excluded, and in nobody’s way');
    },
    { selection: { include: [], exclude: ['**/*.tmp'], devices: true } },
  );
  await pair.settle();
  expect(await restored('extra/a.tmp')).toBe('excluded');
  expect(await restored('extra/cache.tmp/b')).toBe('beneath what is excluded');
  expect(existsSync(join(pair.targetRoot, 'stays.tmp'))).toBe(true);
});

test('attributes that only users set are data, and are kept aside with the file', async () => {
  await seeded((target) => {
    const tree = Tree.open(target);
    tree.setExtended(Buffer.from('other'), [[Buffer.from('user.note'), Buffer.from('mine')]]);
    tree.close();
  });
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toEqual(['other written bert']);
});

test('where there is no room it waits, says so, overwrites nothing, and goes on once there is', async () => {
  await seeded(
    (target) => {
      writeFileSync(`${target}/other`, 'x'.repeat(60));
      writeFileSync(`${target}/extra`, 'y'.repeat(60));
    },
    { keepMaxBytes: 100 },
  );
  await pair.until(() => pair.target.state().phase === 'waiting', 'the target waits');
  expect(pair.target.state().says).toMatch(/does not fit into the store of diverged files/);
  await pair.until(() => pair.source.state().targets[0]?.state === 'waiting', 'status says so');
  expect(readFileSync(join(pair.targetRoot, 'other'), 'utf8')).toBe('x'.repeat(60));
  expect(await restored('extra')).toBe('y'.repeat(60));
  pair.target.divergence.discard(null);
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(await restored('other')).toBe('x'.repeat(60));
});

test('a comparison that a break interrupts keeps the rest aside when it goes on', async () => {
  await seeded((target) => {
    for (let n = 0; n < 50; n += 1) writeFileSync(`${target}/extra-${String(n)}`, `mine ${String(n)}`);
  });
  await pair.until(() => kept().length > 0, 'the first are kept');
  pair.cut();
  await pair.restartTarget();
  pair.heal();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toHaveLength(50);
});

test('what others changed in a copy is kept aside when it is mended, and not when it is only told of', async () => {
  await seeded(() => undefined);
  await pair.settle();
  appendFileSync(join(pair.targetRoot, 'other'), ', and a note of mine');
  writeFileSync(join(pair.targetRoot, 'd/mine'), 'put here by hand');
  const told = await pair.source.verify('bert', false, new AbortController().signal);
  const named = told.kind === 'compared' ? told.differences.map(({ path }) => path.toString()) : [];
  expect(named).toEqual(expect.arrayContaining(['other', 'd/mine']));
  expect(kept()).toEqual([]);
  await pair.settle();
  expect(existsSync(join(pair.targetRoot, 'd/mine'))).toBe(true);
  await pair.source.verify('bert', true, new AbortController().signal);
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toEqual(['d/mine created bert', 'other written bert']);
  expect(await restored('other')).toBe('what the source has, and a note of mine');
});

test('what the source changed since is no file of unknown origin', async () => {
  await seeded(() => undefined);
  await pair.settle();
  pair.cut();
  writeFileSync(pair.at('other'), 'a later version');
  rmSync(pair.at('d'), { recursive: true });
  pair.heal();
  pair.source.resync('bert');
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(kept()).toEqual([]);
});

test('what is gone on both sides, unseen by the copy, is taken off its record', async () => {
  await seeded(() => undefined);
  await pair.settle();
  await pair.stopSource();
  // As after a root that was changed, or a disk that was replaced by one without it.
  for (const root of [pair.sourceRoot, pair.targetRoot]) rmSync(join(root, 'd'), { recursive: true });
  expect((await pair.target.foreignChanges()).count).toBeGreaterThan(0);
  await pair.target.mendForeign();
  await pair.startSource();
  await pair.settle();
  expect((await pair.target.foreignChanges()).count).toBe(0);
  expect(pair.targetCatalog.byPath(Buffer.from('d/same'))).toBeNull();
});
