/** Runs a system's program within a limit, without a shell, and keeps the end of what it says. */

import { execFile } from 'node:child_process';
import { said } from '../said.ts';
import type { Limit } from './ended.ts';

export interface Ran {
  /** Null: it was killed at the limit, or could not be started. */
  readonly status: number | null;
  /** What it printed, to either. */
  readonly output: string;
  /** In one sentence, for a person. */
  readonly says: string;
}

const outputBytesMax = 1_048_576;

/** Administrators' programs are not on every search path. */
export const searchPath = (): string => `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/bin:/sbin:/bin`;

export function run(argv: readonly string[], limit: Limit): Promise<Ran> {
  const [program = '', ...args] = argv;
  const options = {
    timeout: Math.max(1, Math.ceil(limit.leftMs)),
    killSignal: 'SIGKILL' as const,
    maxBuffer: outputBytesMax,
    env: { ...process.env, PATH: searchPath(), LC_ALL: 'C' },
  };
  return new Promise((resolve) => {
    execFile(program, args, options, (error, stdout, stderr) => {
      const output = `${stdout}${stderr}`;
      if (error === null) {
        resolve({ status: 0, output, says: '' });
        return;
      }
      const status = typeof error.code === 'number' ? error.code : null;
      resolve({ status, output, says: explain(argv, error, said(output)) });
    });
  });
}

function explain(
  argv: readonly string[],
  error: { code?: number | string | null | undefined; killed?: boolean | undefined },
  words: string,
): string {
  const what = argv.join(' ');
  if (error.code === 'ENOENT') return `${argv[0] ?? ''} is not installed`;
  const tail = words === '' ? '' : `: ${words}`;
  if (error.killed === true) return `${what} did not end in time and was killed${tail}`;
  return `${what} ended with ${String(error.code ?? 'a signal')}${tail}`;
}
