/**
 * Runs a program, for a bounded time, with a bounded output, and without a shell.
 *
 * C1. The program leads a session of its own; at the deadline it is killed with all its children (process-tree.ts).
 * C2. It is over when the program itself ends. A daemon that it left behind with our pipe in its hands is not waited
 *     for; the pipe is then read to nowhere, so that the daemon does not die of writing to it.
 * C3. The end of the output is kept, at most 4 KiB.
 * C4. What people configured runs with the usual priority, not with that of this process.
 */
import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { Socket } from 'node:net';
import { goAsUsual } from '@holdfast/wire/process';
import type { CommandResult, Commands } from '../platform.ts';
import { said } from '../../said.ts';
import { within } from '../../within.ts';
import { codeOf, messageOf } from './failure.ts';
import { killTree } from './process-tree.ts';

const OUTPUT_MAX_BYTES = 4096;
/** How long to read on after the program ended, while somebody else still holds its pipe. */
const DRAIN_MS = 20;
/** How long to wait for a killed program to be gone; longer only if it is stuck in the kernel. */
const REAP_MS = 1000;

export interface RunOptions {
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
  /** What to write to its standard input. */
  readonly input?: string;
  /** Asks it to finish (SIGINT) after so long; for programs that report when interrupted. */
  readonly interruptAfterMs?: number;
  /** How much of the end of its output is kept; default 4 KiB. */
  readonly outputMaxBytes?: number;
  /** Not with our own priority but with the usual one (C4). */
  readonly asUsual?: boolean;
  /** Answers as soon as the output satisfies this, with no status; the program may end by itself until the deadline. */
  readonly enough?: (output: string) => boolean;
}

export function createCommands(): Commands {
  return {
    run: (argv, timeoutMs, env = {}) => runProgram(argv, { timeoutMs, env, asUsual: true }),
  };
}

/** Never rejects: every failure is a result. */
export async function runProgram(argv: readonly string[], options: RunOptions): Promise<CommandResult> {
  const began = performance.now();
  const result = (kind: CommandResult['kind'], said: string, ending: Exit = NO_EXIT): CommandResult => ({
    kind,
    status: ending.status,
    signal: ending.signal,
    output: said,
    ms: performance.now() - began,
  });
  const mark = randomUUID();
  const [program = '', ...args] = argv;
  if (program === '') return result('not-started', 'the command is empty');

  let child: ChildProcessWithoutNullStreams;
  try {
    child = spawn(program, args, {
      cwd: '/',
      detached: true,
      stdio: 'pipe',
      env: { ...process.env, ...options.env, HOLDFAST_RUN: mark },
    });
  } catch (error) {
    return result('not-started', reasonNotStarted(program, error)); // such as an argument with a NUL in it
  }
  if (options.asUsual === true) goAsUsual(child.pid);
  const output = new Tail(options.outputMaxBytes ?? OUTPUT_MAX_BYTES);
  const early = new Promise<CommandResult>((resolve) => {
    const keep = (chunk: Buffer): void => {
      output.push(chunk);
      if (options.enough?.(output.text()) === true) resolve(result('exited', output.text()));
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
  });
  // A program that does not read its input is not an error.
  child.stdin.on('error', () => child.stdin.destroy());
  child.stdin.end(options.input ?? '');
  const finished = finish(child, options, mark, output).then(({ timedOut, ending }) => {
    if (ending?.kind === 'error') return result('not-started', reasonNotStarted(program, ending.error));
    return result(timedOut ? 'timed-out' : 'exited', output.text(), ending ?? NO_EXIT);
  });
  return Promise.race([finished, early]);
}

interface Finish {
  readonly timedOut: boolean;
  /** Null when it would not go even after SIGKILL. */
  readonly ending: Ending | null;
}

/** Waits for the end, makes one at the deadline (C1), and lets go of the pipes (C2). */
async function finish(
  child: ChildProcessWithoutNullStreams,
  options: RunOptions,
  mark: string,
  output: Tail,
): Promise<Finish> {
  const closed = new Promise<true>((resolve) => child.once('close', () => resolve(true)));
  const ended = new Promise<Ending>((resolve) => {
    child.once('error', (error) => resolve({ kind: 'error', error }));
    child.once('exit', (status, signal) => resolve({ kind: 'exit', status, signal }));
  });
  const interrupt =
    options.interruptAfterMs === undefined
      ? undefined
      : setTimeout(() => child.kill('SIGINT'), options.interruptAfterMs);
  let ending = await within(ended, options.timeoutMs);
  clearTimeout(interrupt);
  const timedOut = ending === null;
  if (timedOut && child.pid !== undefined) {
    const left = await killTree(child.pid, `HOLDFAST_RUN=${mark}`);
    if (left.length > 0) output.push(Buffer.from(`\n[still there after SIGKILL: ${left.join(', ')}]`));
    ending = await within(ended, REAP_MS);
  }
  if ((await within(closed, DRAIN_MS)) === null) leaveToDaemon(child);
  return { timedOut, ending };
}

/** One line of a result for people: what ran, how it ended, what it said. */
export function explainResult(argv: readonly string[], result: CommandResult): string {
  const words = said(result.output);
  const tail = words === '' ? '' : `: ${words}`;
  switch (result.kind) {
    case 'not-started':
      return words;
    case 'timed-out':
      return `${argv.join(' ')} did not finish in ${Math.round(result.ms)} ms and was killed${tail}`;
    case 'exited':
      return `${argv.join(' ')} ended with ${result.signal ?? `status ${String(result.status)}`}${tail}`;
  }
}

interface Exit {
  readonly status: number | null;
  readonly signal: string | null;
}

const NO_EXIT: Exit = { status: null, signal: null };

type Ending = { readonly kind: 'error'; readonly error: Error } | ({ readonly kind: 'exit' } & Exit);

/** C2: reads on without keeping anything and without keeping us alive. */
function leaveToDaemon(child: ChildProcessWithoutNullStreams): void {
  for (const stream of [child.stdout, child.stderr]) {
    stream.removeAllListeners('data');
    stream.resume();
    if (stream instanceof Socket) stream.unref();
  }
  child.unref();
}

function reasonNotStarted(program: string, error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return `${program} does not exist, or its first line names an interpreter that does not`;
    case 'EACCES':
      return `${program} may not be run: check that it is a file with execute permission`;
    default:
      return `${program} could not be started: ${messageOf(error)}`;
  }
}

/** The last bytes of a stream. */
class Tail {
  readonly #most: number;
  #kept: Buffer = Buffer.alloc(0);
  constructor(most: number) {
    this.#most = most;
  }
  push(chunk: Buffer): void {
    const all = Buffer.concat([this.#kept, chunk.subarray(-this.#most)]);
    this.#kept = all.subarray(-this.#most);
  }
  text(): string {
    return this.#kept.toString('utf8');
  }
}
