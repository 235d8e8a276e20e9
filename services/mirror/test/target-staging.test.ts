import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, test } from '@jest/globals';
import { big, folder, newFolder, openStage, put, removal, type Stage } from './target-fixture.ts';

let stage: Stage;
afterEach(async () => {
  await stage.close();
});

const inside = '.holdfast-d3-data';
const isStaging = (name: string): boolean => name.startsWith('.holdfast-');
const besides = (): string[] => readdirSync(stage.dir).filter(isStaging);
const insides = (): string[] => readdirSync(stage.root).filter(isStaging);
const large = { stream: 1, pieces: [{ offset: 0, contents: Buffer.alloc(70_000, 'l') }], bytes: 70_000 };

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 12_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('it did not come true');
    await delay(20);
  }
}

/** The staging folder of a target that has to keep it inside, because others may write beside the root. */
async function openInside(): Promise<Stage> {
  const dir = newFolder();
  chmodSync(dir, 0o777);
  return openStage(dir, { unusedMs: 50 });
}

describe('the staging folder beside the root', () => {
  test('leaves nothing in the root, and goes with a promotion', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(1, [folder('a'), put('a/one', 'one'), big('large', 70_000, 1)], { contents: [large] });
    await source.batch(2, [removal('a/one')]);
    await stage.target.foreignChanges();
    expect(readdirSync(stage.root).sort()).toEqual(['a', 'large']);
    expect(besides()).toHaveLength(1);
    expect(statSync(join(stage.dir, besides()[0] ?? '')).mode & 0o777).toBe(0o700);
    stage = await stage.reopen();
    expect(besides()).toHaveLength(1);
    await stage.target.promote();
    expect(besides()).toEqual([]);
    expect(readdirSync(stage.root).sort()).toEqual(['a', 'large']);
  });

  test('takes over what was staged inside once it can be beside, with the times of the root as they were', async () => {
    stage = await openInside();
    const { source } = await stage.dial();
    await source.batch(1, [put('one', 'one')]);
    await stage.target.foreignChanges();
    expect(insides()).toEqual([inside]);
    const marker = readdirSync(stage.at(inside)).filter((name) => name.startsWith('at-'));
    const { mtimeMs } = statSync(stage.root);
    chmodSync(stage.dir, 0o700);
    stage = await stage.reopen();
    expect(insides()).toEqual([]);
    expect(readdirSync(join(stage.dir, besides()[0] ?? ''))).toEqual(expect.arrayContaining(marker));
    expect(statSync(stage.root).mtimeMs).toBe(mtimeMs);
    expect((await stage.target.foreignChanges()).count).toBe(0);
  });

  test('of two, the one that got further is used and the other goes', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(1, [put('one', 'one')]);
    await stage.target.foreignChanges();
    const beside = join(stage.dir, besides()[0] ?? '');
    const reopened = async (insideMarker: string): Promise<string[]> => {
      await stage.target.close();
      mkdirSync(stage.at(`${inside}/slots`), { recursive: true });
      writeFileSync(stage.at(`${inside}/${insideMarker}`), '');
      stage = await stage.reopen();
      expect(insides()).toEqual([]);
      return readdirSync(beside).filter((name) => name.startsWith('at-'));
    };
    expect(await reopened('at-0-1')).toEqual(['at-1-0']);
    expect(await reopened('at-1-1')).toEqual(['at-1-1']);
  });

  test('is another one for each root that a folder holds', async () => {
    stage = await openStage();
    const root = join(stage.dir, 'other');
    mkdirSync(root);
    const other = await openStage(newFolder(), { root });
    expect(besides()).toHaveLength(2);
    await other.target.promote();
    await other.close();
    expect(besides()).toHaveLength(1);
  });
});

describe('where it may not be beside the root', () => {
  test('it is inside, and away while nothing is staged', async () => {
    stage = await openInside();
    expect(besides()).toEqual([]);
    const { source } = await stage.dial();
    await source.batch(1, [put('one', 'one'), big('large', 70_000, 1)], { contents: [large] });
    await stage.target.foreignChanges();
    const { mtimeMs } = statSync(stage.root);
    await until(() => insides().length === 0);
    expect(statSync(stage.root).mtimeMs).toBe(mtimeMs);
    await source.batch(2, [removal('one'), big('two', 70_000, 2)], { contents: [{ ...large, stream: 2 }] });
    expect((await stage.target.foreignChanges()).count).toBe(0);
    stage = await stage.reopen();
    const again = await stage.dial(7n, 2);
    expect(again.hello.position?.sequence).toBe(2);
    await again.source.batch(3, [put('three', 'three')]);
    expect((await stage.target.foreignChanges()).count).toBe(0);
    await stage.target.promote();
    expect(readdirSync(stage.root).sort()).toEqual(['large', 'three', 'two']);
  }, 20_000);

  test('what was beside the root before is taken inside', async () => {
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(1, [put('one', 'one')]);
    await stage.target.foreignChanges();
    chmodSync(stage.dir, 0o777);
    stage = await stage.reopen();
    expect(besides()).toEqual([]);
    expect(readdirSync(stage.at(inside))).toContain('at-1-0');
  });

  test('nobody’s link or folder beside the root is taken for ours', async () => {
    stage = await openStage();
    const [name = ''] = besides();
    await stage.target.close();
    const elsewhere = join(stage.dir, 'elsewhere');
    renameSync(join(stage.dir, name), elsewhere);
    symlinkSync(elsewhere, join(stage.dir, name));
    stage = await stage.reopen();
    expect(insides()).toEqual([inside]);
    await stage.target.close();
    rmSync(join(stage.dir, name));
    mkdirSync(join(stage.dir, name));
    chmodSync(join(stage.dir, name), 0o755);
    stage = await stage.reopen();
    expect(insides()).toEqual([inside]);
    expect(readdirSync(join(stage.dir, name))).toEqual([]);
  });
});

test('a root that is a mount of its own keeps it inside', async () => {
  const dir = newFolder();
  mkdirSync(join(dir, 'root'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', 'none', join(dir, 'root')]).status === 0;
  stage = await openStage(dir);
  try {
    expect(mounted ? insides() : besides()).toHaveLength(1);
    expect(existsSync(stage.at(inside))).toBe(mounted);
  } finally {
    await stage.target.close();
    if (mounted) spawnSync('umount', ['-l', stage.root]);
  }
});
