/** Where the programs of a member are: beside ours, as scripts/bundle.js makes them. */

import { fileURLToPath } from 'node:url';
import { guardNodeFlags } from '@holdfast/guard';
import type { Program } from './child.ts';

export interface Programs {
  readonly guard: Program;
  readonly quorum: Program;
  readonly mirror: Program;
  readonly agent: Program;
}

const mirrorEnv = {
  /** Large buffers go back to the system when they are free, and not to a heap that keeps them (docs/adr/0066, mallopt(3)). */
  MALLOC_MMAP_THRESHOLD_: '262144',
  /** libuv has 4 threads unless said, and a mirror whose disk hangs holds up to three of them: the others need some, too. */
  UV_THREADPOOL_SIZE: '32',
};

/** The installed programs, for the member in `dir`; the guard's journal is written to `guardJournal`. */
export function installedPrograms(dir: string, guardJournal: string): Programs {
  const args = ['--dir', dir];
  return {
    guard: { entry: entryOf('guard'), args: ['--journal', guardJournal], nodeFlags: guardNodeFlags },
    quorum: { entry: entryOf('quorum'), args, nodeFlags: [] },
    mirror: { entry: entryOf('mirror'), args, nodeFlags: [], env: mirrorEnv },
    agent: { entry: entryOf('agent'), args, nodeFlags: [] },
  };
}

/** The same folder from the sources, from what the compiler makes of them, and from within it. */
const entryOf = (name: string): string =>
  fileURLToPath(new URL(`../../dist/bundle/${name}.js`, import.meta.url));
