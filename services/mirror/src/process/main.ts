/**
 * The mirror process of one member: `main.js --dir DIR`, started by `holdfast run`.
 *
 * SIGTERM, SIGINT and the death of the parent end every mirror in order, with a clean mark on disk. Once it has started, it
 * runs at a lower priority than the agent. Exit status: 0 ended in order; 1 a failure that a restart may mend; 2 the directory is wrong.
 */

import { join } from 'node:path';
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { SourceThreads } from './source-threads.ts';

const niceness = 5;

const { values } = parseArgs({ options: { dir: { type: 'string', default: '/var/lib/holdfast' } } });
const threads = SourceThreads.prepared(join(values.dir, 'mirror'));

async function main(): Promise<void> {
  // Loaded only now, beside the threads.
  const { live } = await import('./life.ts');
  await live(values.dir, threads);
  // Only now: a client may have waited for it to start.
  try {
    setPriority(niceness);
  } catch (error) {
    process.stderr.write(`holdfast mirror: its priority stays as it is: ${String(error)}\n`);
  }
}

void main();
