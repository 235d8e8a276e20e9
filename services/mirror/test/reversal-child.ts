/**
 * A reversal that ends itself with SIGKILL at the given point, as `name count`: what a test of crashes starts as a process of
 * its own. Says `names ...` at the end, where it was not killed.
 */

import { writeSync } from 'node:fs';
import { makePair } from './mirror-pair.ts';
import { begin, diverge, goOn } from './reversal-story.ts';

const [, , folder = '', at = ''] = process.argv;
const names: string[] = [];
const counts = new Map<string, number>();
let isReversed = false;

const pair = await makePair({
  folder,
  settleMs: 100,
  prepare: (root) => {
    begin(root);
  },
  failPoint: (name) => {
    if (!isReversed) return;
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    names.push(name);
    if (at !== `${name} ${String(count)}`) return;
    writeSync(1, `killed at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
    for (;;);
  },
});
await pair.settle();
pair.cut();
const { lastSequence } = pair.sourceCatalog;
diverge(pair.sourceRoot);
await pair.until(() => pair.sourceCatalog.lastSequence > lastSequence, 'the last writes are noticed');
isReversed = true;
pair.heal();
await pair.reverse(() => {
  goOn(pair.sourceRoot);
});
await pair.settle();
// What is durable is checkpointed then, too.
await pair.stopTarget();
writeSync(1, `names ${names.join(' ')}\n`);
process.exit(0);
