/**
 * A target that lost its power: names are as they were, contents that were written since the last checkpoint are gone, and
 * what was acknowledged comes back from the log.
 */

import { readFileSync, rmSync, statSync, truncateSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import type { FileOperation } from '../src/transport/types.ts';
import {
  folder,
  hardLink,
  move,
  openStage,
  patch,
  placed,
  put,
  removal,
  type Contents,
} from './target-fixture.ts';

interface Sent {
  readonly operations: readonly FileOperation[];
  readonly contents?: readonly Contents[];
}

const text = 'acknowledged'.repeat(50);
const large = Buffer.alloc(60_000, 'o');
const patched = Buffer.concat([large.subarray(0, 4_096), Buffer.alloc(4_096, 'P'), large.subarray(8_192)]);
const piece = { stream: 1, pieces: [{ offset: 4_096, contents: Buffer.alloc(4_096, 'P') }], bytes: 4_096 };
const begin: Sent = {
  operations: [folder('tmp'), folder('new'), put('tmp/x', text), put('tmp/large', large)],
};

interface Case {
  readonly says: string;
  readonly batches: readonly Sent[];
  readonly expected: Readonly<Record<string, string | Buffer>>;
}

const cases: readonly Case[] = [
  {
    says: 'its first name was removed',
    batches: [{ operations: [hardLink('new/x', 'tmp/x')] }, { operations: [removal('tmp/x')] }],
    expected: { 'new/x': text },
  },
  {
    says: 'its first name was replaced',
    batches: [
      { operations: [hardLink('new/x', 'tmp/x')] },
      { operations: [removal('tmp/x'), put('tmp/x', 'other')] },
    ],
    expected: { 'new/x': text, 'tmp/x': 'other' },
  },
  {
    says: 'the folder of its first name was removed, and its other name moved',
    batches: [
      { operations: [hardLink('new/x', 'tmp/x')] },
      { operations: [move('new', 1), removal('tmp'), placed(1, 'moved')] },
    ],
    expected: { 'moved/x': text },
  },
  {
    says: 'a third name was linked to the second',
    batches: [
      { operations: [hardLink('new/x', 'tmp/x')] },
      { operations: [removal('tmp/x'), hardLink('new/y', 'new/x')] },
      { operations: [removal('new/x')] },
    ],
    expected: { 'new/y': text },
  },
  {
    says: 'it was patched by a name that is gone',
    batches: [
      { operations: [hardLink('new/large', 'tmp/large')] },
      { operations: [patch('tmp/large', large.length, 1)], contents: [piece] },
      { operations: [removal('tmp/large')] },
    ],
    expected: { 'new/large': patched },
  },
  {
    says: 'it was patched before it was linked, and both names stay',
    batches: [
      { operations: [patch('tmp/large', large.length, 1)], contents: [piece] },
      { operations: [hardLink('new/large', 'tmp/large')] },
    ],
    expected: { 'new/large': patched, 'tmp/large': patched },
  },
];

/** As a journaling file system leaves a file of which nothing was written out: its name, its times, no contents. */
function loseContents(path: string): void {
  const { atime, mtime } = statSync(path);
  truncateSync(path, 0);
  utimesSync(path, atime, mtime);
}

for (const { says, batches, expected } of cases) {
  test(`contents of a hard link outlive a loss of power when ${says}`, async () => {
    const stage = await openStage();
    const { source } = await stage.dial();
    for (const [i, { operations, contents = [] }] of [begin, ...batches].entries())
      await source.batch(i + 1, operations, { contents });
    await stage.target.foreignChanges();
    const again = await stage.reopen({}, () => {
      for (const path of Object.keys(expected)) loseContents(stage.at(path));
      rmSync(join(stage.dir, 'state', 'boot'));
    });
    for (const [path, contents] of Object.entries(expected))
      expect(readFileSync(again.at(path)).equals(Buffer.from(contents))).toBe(true);
    expect((await again.target.foreignChanges()).named).toEqual([]);
    await again.close();
  });
}
