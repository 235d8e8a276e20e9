/** Random lives of a mirror that end with SIGKILL, again and again, and go on. HOLDFAST_SEED is the first seed. */

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, test } from '@jest/globals';
import { program } from './compiled.ts';
import { memoryFolder } from './memory-folder.ts';
import { makePair } from './mirror-pair.ts';
import { Chance } from './random-files.ts';

const first = Number(process.env['HOLDFAST_SEED'] ?? 1);
const count = Number(process.env['HOLDFAST_CRASHES'] ?? 15);
const atOnce = 3;
const killAfterMsMax = 400;
const childLimitMs = 30_000;
const limitMs = 120_000 + count * 3_000;

let base = '';
let life = '';

beforeAll(() => {
  base = mkdtempSync(join(memoryFolder(), 'holdfast-crashes-'));
  life = program(base, 'random-child');
});

afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

/** Until it was killed, a while after it began. Answers what it said. */
function killed(folder: string, seed: number, afterMs: number): Promise<string> {
  const child = spawn(process.execPath, [life, folder, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: childLimitMs,
    killSignal: 'SIGKILL',
  });
  let text = '';
  let timer: NodeJS.Timeout | null = null;
  child.stdout.on('data', (some: Buffer) => {
    text += some.toString('latin1');
    timer ??= setTimeout(() => child.kill('SIGKILL'), afterMs);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (_, signal) => {
      if (timer !== null) clearTimeout(timer);
      if (signal === 'SIGKILL' && text !== '') resolve(text);
      else reject(new Error(`the child ended by itself: ${text}`));
    });
  });
}

async function crashes(seed: number): Promise<string | null> {
  const chance = new Chance(seed);
  const folder = mkdtempSync(join(base, 'pair-'));
  const said: string[] = [];
  try {
    for (let left = 1 + chance.below(2); left > 0; left -= 1)
      said.push(await killed(folder, seed * 10 + left, chance.below(killAfterMsMax)));
    const pair = await makePair({ folder, settleMs: 100 });
    try {
      await pair.settle();
      const differences = pair.differences();
      if (differences.length > 0) throw new Error(pair.story(differences.join('\n')));
    } finally {
      await pair.close();
    }
    return null;
  } catch (error) {
    const says = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return `HOLDFAST_SEED=${String(seed)} HOLDFAST_CRASHES=1: ${says}\n${said.join('killed\n')}`;
  }
}

test(
  'whenever both sides are killed, they go on from there, and the copy comes to be equal',
  async () => {
    const failures: string[] = [];
    let next = first;
    const worker = async (): Promise<void> => {
      while (next < first + count) {
        const failure = await crashes(next++);
        if (failure !== null) failures.push(failure);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    if (failures.length > 0) throw new Error(failures.join('\n\n'));
  },
  limitMs,
);
