/**
 * Random lives of a mirror (random-sequence.ts). HOLDFAST_SEED is the first seed, HOLDFAST_SEQUENCES how many there are;
 * without them the seeds that once failed are lived through as well.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from '@jest/globals';
import { memoryFolder } from './memory-folder.ts';
import { onceFailed, randomSequence } from './random-sequence.ts';

const asked = process.env['HOLDFAST_SEED'] !== undefined;
const first = Number(process.env['HOLDFAST_SEED'] ?? 1);
const count = Number(process.env['HOLDFAST_SEQUENCES'] ?? 500);
/** Most of a sequence's time is spent waiting for others. */
const atOnce = Number(process.env['HOLDFAST_AT_ONCE'] ?? 6);
const failuresMax = 5;
const limitMs = 120_000 + count * 1_000;

let bases: string[] = [];

/** Memory for most: it does not wait. A disk for the others: it uses the numbers of removed files again. */
beforeAll(() => {
  const folders = [tmpdir(), memoryFolder(), memoryFolder(), memoryFolder()];
  bases = folders.map((folder) => mkdtempSync(join(folder, 'holdfast-random-')));
});

afterAll(() => {
  for (const base of bases) rmSync(base, { recursive: true, force: true });
});

const replay = (seed: number): string =>
  `HOLDFAST_SEED=${String(seed)} HOLDFAST_SEQUENCES=1 node --experimental-vm-modules node_modules/jest/bin/jest.js ` +
  '--selectProjects unit --testPathPatterns mirror-random';

test(
  'whatever happens to its tree and its line, a copy comes to be equal, and what was overwritten is kept',
  async () => {
    const failures: string[] = [];
    const seeds = Array.from({ length: count }, (_, n) => first + n);
    if (!asked) seeds.unshift(...onceFailed);
    const worker = async (): Promise<void> => {
      for (let seed = seeds.shift(); seed !== undefined; seed = seeds.shift()) {
        if (failures.length >= failuresMax) return;
        const failure = await randomSequence(seed, bases[seed % bases.length] ?? tmpdir());
        if (failure !== null) failures.push(`${failure}\n  again: ${replay(seed)}`);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    if (failures.length > 0) throw new Error(failures.join('\n\n'));
  },
  limitMs,
);
