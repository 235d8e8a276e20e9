/** Where the programs of a member are. Each service's package has its process's program beside its index. */

import { fileURLToPath } from 'node:url';
import { guardEntry, guardNodeFlags } from '@holdfast/guard';
import type { Program } from './child.ts';

export interface Programs {
  readonly guard: Program;
  readonly quorum: Program;
  readonly mirror: Program;
  readonly agent: Program;
}

/** The installed programs, for the member in `dir`; the guard's journal is written to `guardJournal`. */
export function installedPrograms(dir: string, guardJournal: string): Programs {
  const args = ['--dir', dir];
  return {
    guard: { entry: guardEntry, args: ['--journal', guardJournal], nodeFlags: guardNodeFlags },
    quorum: { entry: mainOf('@holdfast/quorum'), args, nodeFlags: [] },
    mirror: { entry: mainOf('@holdfast/mirror', 'process/main.js'), args, nodeFlags: [] },
    agent: { entry: mainOf('@holdfast/agent'), args, nodeFlags: [] },
  };
}

function mainOf(name: string, main = 'main.js'): string {
  return fileURLToPath(new URL(`../dist/${main}`, import.meta.resolve(name)));
}
