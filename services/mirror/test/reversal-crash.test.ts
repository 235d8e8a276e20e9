/** SIGKILL at each step of a reversal, of both sides at once; then it is gone on with. */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { program } from './compiled.ts';
import { memoryFolder } from './memory-folder.ts';
import { resumeReversal } from './mirror-pair.ts';
import { goOn, kept } from './reversal-story.ts';

const childLimitMs = 60_000;
const atOnce = 2;
let base = '';
let reversal = '';

beforeAll(() => {
  base = mkdtempSync(join(memoryFolder(), 'holdfast-reversals-'));
  reversal = program(base, 'reversal-child');
});

afterAll(() => {
  rmSync(base, { recursive: true, force: true });
});

/** Answers what it said. */
function run(folder: string, at: string): Promise<string> {
  const child = spawn(process.execPath, [reversal, folder, at], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: childLimitMs,
    killSignal: 'SIGKILL',
  });
  let text = '';
  child.stdout.on('data', (some: Buffer) => {
    text += some.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0 && !text.includes('killed at')) reject(new Error(`ended with ${String(code)}: ${text}`));
      else resolve(text);
    });
  });
}

/** What is wrong after it was gone on with. */
async function judge(folder: string, at: string): Promise<string[]> {
  const pair = await resumeReversal({ folder, settleMs: 100 }, () => {
    goOn(join(folder, 'bert/root'));
  });
  try {
    await pair.settle();
    const wrong = pair.differences();
    const read = (name: string): string => readFileSync(join(pair.sourceRoot, name), 'utf8');
    if (read('both') !== 'of the new owner') wrong.push('the new owner lost what it wrote');
    if (read('acknowledged') !== 'acknowledged') wrong.push('what was acknowledged is lost');
    if (existsSync(join(pair.sourceRoot, 'own'))) wrong.push('what the former owner wrote is not gone');
    for (const { path, holds } of kept) {
      const to = join(folder, 'restored', path);
      mkdirSync(to, { recursive: true });
      const restored = await pair.target.divergence.restore(Buffer.from(path), to);
      const there = restored.kind === 'done' ? readFileSync(join(to, path), 'latin1') : restored.says;
      if (!there.includes(holds)) wrong.push(`${path} is not kept: ${there.slice(0, 200)}`);
    }
    if (pair.targetCatalog.checksum !== pair.targetCatalog.recomputeChecksum())
      wrong.push('the checksum is wrong');
    return wrong.map((one) => pair.story(`${at}: ${one}`));
  } finally {
    await pair.close();
  }
}

/** The first time of each point; with HOLDFAST_ALL_POINTS the last one, too. */
function choice(names: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const all = process.env['HOLDFAST_ALL_POINTS'] !== undefined;
  return [...counts].flatMap(([name, count]) => [
    `${name} 1`,
    ...(count > 1 && all ? [`${name} ${String(count)}`] : []),
  ]);
}

test('a reversal that is killed at any of its steps loses nothing, and comes to its end', async () => {
  const whole = await run(mkdtempSync(join(base, 'pair-')), '');
  const points = choice((/names (.*)/.exec(whole)?.[1] ?? '').split(' '));
  const wrong: string[] = [];
  const reached = new Set<string>();
  const worker = async (): Promise<void> => {
    for (let at = points.shift(); at !== undefined; at = points.shift()) {
      const folder = mkdtempSync(join(base, 'pair-'));
      const said = await run(folder, at);
      reached.add(/killed at (.*)/.exec(said)?.[1] ?? '');
      wrong.push(...(await judge(folder, at)));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  expect(wrong).toEqual([]);
  expect([...reached]).toEqual(
    expect.arrayContaining([
      'promote:applied',
      'promote:durable',
      'promote:cleared',
      'promote:promoted',
      'source:pruned',
      'source:history',
      'source:noted',
      'keep:copied',
      'keep:durable',
      'keep:kept',
      'commit:durable',
      'apply:move',
      'apply:put',
      'apply:recorded',
    ]),
  );
}, 240_000);
