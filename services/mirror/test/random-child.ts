/**
 * A mirror that works on a random tree until it is killed: what a test of crashes starts as a process of its own. Source and
 * target die at once. Says `begun` when both are there, and a line for each operation.
 */

import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { makePair } from './mirror-pair.ts';
import { Chance, RandomFiles } from './random-files.ts';

const [, , folder = '', seed = '0'] = process.argv;
const chance = new Chance(Number(seed));
const files = new RandomFiles(chance, chance.below(3) === 0);
const pair = await makePair({ folder, settleMs: 100 });
writeSync(1, 'begun\n');
for (let step = 0; step < 10_000; step += 1) {
  const kind = chance.below(20);
  if (kind === 0) pair.cut();
  else if (kind < 3) pair.heal();
  else if (kind === 3) await pair.restartTarget();
  else if (kind < 10) await delay(chance.below(12));
  else writeSync(1, `${files.step(pair.sourceRoot)}\n`);
}
