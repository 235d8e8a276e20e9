/**
 * Threads for the sources of volumes. To load what one needs takes longer than all else between the death of a process and
 * the first answer of the next: as many as there were such sources here are begun before the process loads the rest of itself.
 *
 *   T1  one that nobody takes within `spareMs` is ended
 *   T2  what can't be read here begins none: whoever needs it says so, in words
 */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { codeOf } from '../files/target/trouble.ts';

const sparesMax = 8;
const spareMs = 20_000;

export class SourceThreads {
  #spares: Worker[] = [];

  /** `mirrors`: the folder of all mirrors, DIR/mirror. */
  static prepared(mirrors: string): SourceThreads {
    const threads = new SourceThreads();
    const count = Math.min(sparesMax, sourcesIn(mirrors));
    threads.#spares = Array.from({ length: count }, () => begun());
    // T1.
    setTimeout(() => {
      for (const spare of threads.#spares.splice(0)) void spare.terminate();
    }, spareMs).unref();
    return threads;
  }

  take(): Worker {
    return this.#spares.shift() ?? begun();
  }
}

/** It waits for its first message (threaded-source.ts). */
const begun = (): Worker => new Worker(new URL('./source-thread.js', import.meta.url), { execArgv: [] });

/** Of which a source was open here last (role-record.ts), of mirrors with and without a group. */
function sourcesIn(mirrors: string): number {
  const all = foldersOf(mirrors).flatMap((folder) => [folder, ...foldersOf(folder)]);
  return all.filter(isSource).length;
}

function isSource(folder: string): boolean {
  if (!existsSync(join(folder, 'volume'))) return false;
  return readable(() => readFileSync(join(folder, 'role.json'), 'utf8'), '').includes('source');
}

function foldersOf(folder: string): string[] {
  return readable(() => readdirSync(folder, { withFileTypes: true }), [])
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(folder, entry.name));
}

/** T2. */
function readable<Read>(read: () => Read, otherwise: Read): Read {
  try {
    return read();
  } catch (error) {
    if (codeOf(error) === '') throw error;
    return otherwise;
  }
}
