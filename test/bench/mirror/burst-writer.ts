/**
 * The entry of a thread: small writes into files that are there, over and over, at a rate. In a thread of its own, so that
 * whoever looks for the copies does not wait while it catches up.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { monotonicMs } from '../lines.ts';
import { contents } from './tree.ts';

export interface BurstOptions {
  readonly folder: string;
  readonly names: readonly string[];
  readonly perSecond: number;
  readonly seconds: number;
  /** Of each write. */
  readonly bytes: number;
}

/** What it answers at its end. */
export interface Burst {
  readonly writes: number;
  readonly tookMs: number;
}

const lumpMs = 5;

async function write({ folder, names, perSecond, seconds, bytes }: BurstOptions): Promise<Burst> {
  const total = perSecond * seconds;
  const startMs = monotonicMs();
  for (let writes = 0; writes < total;) {
    await sleep(lumpMs);
    const due = Math.min(total, ((monotonicMs() - startMs) / 1000) * perSecond);
    for (; writes < due; writes += 1) {
      const fd = openSync(join(folder, names[writes % names.length] ?? ''), 'r+');
      writeSync(fd, contents(bytes, (writes % 97) / 97), 0, bytes, 0);
      closeSync(fd);
    }
  }
  return { writes: total, tookMs: monotonicMs() - startMs };
}

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a thread');
port.postMessage(await write(workerData as BurstOptions));
