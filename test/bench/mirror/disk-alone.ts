/** The same tree copied on one host and synced: nothing that is durable at the target can take less on this disk. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../lines.ts';
import type { Peer } from '../figure.ts';
import type { Say } from '../series.ts';
import { syncDisks, targetName, type Ground } from './ground.ts';
import { niceAsWe } from './rsync.ts';
import type { Tree } from './tree.ts';

const name = 'cp -a on one host, then sync';
const copyMsMax = 300_000;

export async function copiesByCp(ground: Ground, tree: Tree, runs: number, say: Say): Promise<Peer> {
  const root = ground.fresh('b', 'cp');
  mkdirSync(root, { recursive: true });
  const values: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    const to = join(root, `copy-${run}`);
    syncDisks();
    const startMs = monotonicMs();
    const script = 'cp -a "$1" "$2" && sync -f "$2"';
    const ended = await ground.lab
      .host(targetName)
      .exec([...niceAsWe, 'sh', '-c', script, 'sh', tree.root, to], { timeoutMs: copyMsMax });
    if (ended.status !== 0) return { name, values, note: `it failed: ${ended.stderr.trim()}` };
    values.push((monotonicMs() - startMs) / 1000);
    say(`${name}: ${values.at(-1)?.toFixed(2) ?? ''} s`);
    ground.discard(tree.files, to);
  }
  return { name, values };
}
