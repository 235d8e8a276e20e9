/** More changes than one batch may hold in names and attributes: everything is compared, and sent in smaller ones. */

import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { batchLimits } from '../src/files/batch-limits.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(240_000);

const count = 1_300;
const limitMs = 100_000;
const { redoBytes } = batchLimits;
const names = Array.from({ length: count }, (_, i) => `d/file-${String(i)}`);
let pair: MirrorPair;

beforeEach(async () => {
  pair = await makePair({
    prepare: (root) => {
      mkdirSync(join(root, 'd'));
      for (const name of names) writeFileSync(join(root, name), '');
    },
  });
  await pair.settle(limitMs);
  // One that takes a slice of a copy, and not all of these.
  batchLimits.redoBytes = 105_000;
});

afterEach(async () => {
  batchLimits.redoBytes = redoBytes;
  await pair.close();
});

const isCompared = (): boolean => pair.said.concat(told).join('\n').includes('than one batch can hold');
let told: string[] = [];

/** The reasons that were shown meanwhile. */
async function settled(): Promise<void> {
  told = [];
  const timer = setInterval(() => told.push(pair.source.state().targets[0]?.says ?? ''), 2);
  await pair.settle(limitMs).finally(() => clearInterval(timer));
  expect(pair.differences()).toEqual([]);
  expect(isCompared()).toBe(true);
}

test('what changed while a target was paused', async () => {
  pair.pause('for the night');
  for (const name of names) chmodSync(pair.at(name), 0o600);
  pair.pause(null);
  await settled();
});

test('a folder that moved at the new owner, and in which the former one wrote', async () => {
  await pair.reverse(() => {
    renameSync(join(pair.sourceRoot, 'd'), join(pair.sourceRoot, 'e'));
    writeFileSync(join(pair.targetRoot, 'd/file-7'), 'written by the former owner');
  });
  await settled();
  expect(pair.target.divergence.list().map(({ path }) => path.toString())).toContain('d/file-7');
});
