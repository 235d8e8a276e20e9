/**
 * A target's host loses power: names are as they were, because the file system's journal keeps them, but contents that were
 * written since the last checkpoint are gone, each by itself. What was acknowledged is there again after the next start.
 */

import {
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Tree } from '../src/os/tree.ts';
import { openStage, type Stage } from './target-fixture.ts';
import { snapshot, story } from './target-story.ts';

/** Larger ones were staged, and durable before they were acknowledged. */
const inlineBytesMax = 60_000;
/** Of the patch in the story. */
const patched = { offset: 8_192, bytes: 4_096 };

let stage: Stage;

afterEach(async () => {
  await stage.close();
});

type Loss = (path: string, size: number) => void;

const losses: Readonly<Record<string, Loss>> = {
  'files are empty': (path) => truncateSync(path, 0),
  'files are zeros': (path, size) => overwrite(path, 0, Buffer.alloc(size)),
  'files are longer': (path, size) => overwrite(path, size, Buffer.from('what was there before')),
};

function overwrite(path: string, offset: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, offset);
  closeSync(fd);
}

/** Answers how many files lost something. */
function losePower(lose: Loss): number {
  const { root } = stage;
  const tree = Tree.open(root);
  let count = 0;
  for (const name of readdirSync(root, { recursive: true, encoding: 'utf8' })) {
    const path = Buffer.from(name);
    const before = tree.stat(path);
    if (before?.kind !== 'file') continue;
    count += 1;
    const { size, mtimeS, mtimeNs } = before;
    if (size <= inlineBytesMax) lose(join(root, name), size);
    else if (readFileSync(join(root, name)).includes('P'))
      overwrite(join(root, name), patched.offset, Buffer.alloc(patched.bytes, 'l'));
    tree.setAttributes(path, { mtimeS, mtimeNs });
  }
  tree.close();
  writeFileSync(join(stage.dir, 'state', 'boot'), 'another boot');
  return count;
}

/** As long as the log can't be freed, everything in it counts as not synced. */
const failPoint = (name: string): void => {
  if (name === 'checkpoint:synced') throw Object.assign(new Error('the disk is busy'), { code: 'EBUSY' });
};

async function play(batches: number): Promise<string> {
  stage = await openStage(undefined, { failPoint });
  const { source } = await stage.dial();
  for (const [i, { operations, contents }] of story().slice(0, batches).entries())
    await source.batch(i + 1, operations, contents === undefined ? {} : { contents });
  // It waits for everything to be applied.
  await stage.target.foreignChanges();
  return snapshot(stage.root);
}

describe.each(Object.keys(losses))('after a loss of power in which %s', (kind) => {
  test.each(story().map((_, i) => i + 1))('batch %i and those before it are whole', async (batches) => {
    const expected = await play(batches);
    let lost = 0;
    stage = await stage.reopen({ failPoint: () => undefined }, () => {
      lost = losePower(losses[kind] ?? (() => undefined));
      expect(snapshot(stage.root)).not.toBe(expected);
    });
    expect(lost).toBeGreaterThan(1);
    expect(snapshot(stage.root)).toBe(expected);
    expect((await stage.target.foreignChanges()).named).toEqual([]);
    expect(stage.target.state()).toMatchObject({ position: { sequence: batches }, consistent: true });
  });
});

test('a host that did not lose power is not searched for losses', async () => {
  const expected = await play(1);
  stage = await stage.reopen({}, () => {
    truncateSync(stage.at('a/one'), 0);
  });
  expect(snapshot(stage.root)).not.toBe(expected);
  expect((await stage.target.foreignChanges()).count).toBeGreaterThan(0);
});
