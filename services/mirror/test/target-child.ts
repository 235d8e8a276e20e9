/**
 * Replays a story into a target, and ends itself with SIGKILL at the given point of the given count: what a test of
 * crashes starts as a process of its own. Says `ack N` for every batch that was acknowledged, and `points N` at the end.
 */

import { writeSync } from 'node:fs';
import { openStage } from './target-fixture.ts';
import { copyStory, story } from './target-story.ts';

const [, , dir = '', at = '0', which = 'story'] = process.argv;
const batches = which === 'copy' ? copyStory() : story();
const names: string[] = [];
const counts = new Map<string, number>();

const stage = await openStage(dir, {
  failPoint: (name) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    names.push(name);
    // Batches are received while others are applied: which point comes when is not always the same, how often it comes is.
    if (at !== `${name} ${String(count)}` && names.length !== Number(at)) return;
    writeSync(1, `killed at ${name}\n`);
    process.kill(process.pid, 'SIGKILL');
    for (;;);
  },
});
const from = stage.target.state().position?.sequence ?? 0;
const { source } = await stage.dial(7n, from);
for (const [i, { operations, contents = [] }] of batches.entries()) {
  if (i + 1 <= from) continue;
  const consistent = which === 'story' || i + 1 === batches.length;
  await source.batch(i + 1, operations, { contents, consistent });
  writeSync(1, `ack ${String(i + 1)}\n`);
}
await stage.target.promote();
writeSync(1, `points ${String(names.length)}\nnames ${names.join(' ')}\n`);
for (const end of [stage.target, stage.catalog]) await end.close();
process.exit(0);
