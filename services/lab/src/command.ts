// Runs one program to its end: bounded in time and in output, killed with its whole process group when it exceeds either.
import { spawn } from 'node:child_process';
import { accessSync, constants as fsConstants } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { LabError } from './error.ts';

export interface ExecOptions {
  /** Milliseconds until SIGKILL; default 30 s. */
  readonly timeoutMs?: number;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to standard input; without it standard input is empty. */
  readonly input?: string | Buffer;
  /** Working directory; default the one of this process. */
  readonly cwd?: string;
}

export interface ExecResult {
  /** Exit status; 128 + signal number when a signal ended it, as a shell says it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** True when the time limit ended it. */
  readonly timedOut: boolean;
}

const outputBytesMax = 64 * 1024 * 1024;
const drainMsMax = 250;

/** PATH with the folders of system programs, which ordinary users often lack. */
export function systemPath(): string {
  const wanted = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  const have = (process.env['PATH'] ?? '').split(':').filter((part) => part !== '');
  return [...have, ...wanted.filter((part) => !have.includes(part))].join(':');
}

/** Environment for programs of the lab: this process's, a complete PATH, and the caller's additions. */
export function environment(extra: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return { ...process.env, PATH: systemPath(), ...extra };
}

export function isInstalled(program: string): boolean {
  return systemPath()
    .split(':')
    .some((folder) => {
      try {
        accessSync(join(folder, program), fsConstants.X_OK);
        return true;
      } catch {
        return false; // not in this folder
      }
    });
}

/**
 * Runs `argv` and resolves when it has ended, whatever its status.
 * Throws LabError when the program cannot be started or writes more than 64 MiB.
 * A grandchild that keeps the output open is not waited for longer than 250 ms after the end of the program.
 */
export function run(argv: readonly [string, ...string[]], options: ExecOptions = {}): Promise<ExecResult> {
  const [program, ...args] = argv;
  const { promise, resolve, reject } = deferred<ExecResult>();
  // A process group of its own, so that the limit also ends what the program started.
  const child = spawn(program, args, {
    detached: true,
    env: environment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let bytes = 0;
  let timedOut = false;
  let overflow = false;
  const killGroup = (): void => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch (error) {
      if (!isErrno(error, 'ESRCH')) reject(error as Error);
    }
  };
  const collect =
    (chunks: Buffer[]) =>
    (chunk: Buffer): void => {
      bytes += chunk.length;
      if (bytes <= outputBytesMax) {
        chunks.push(chunk);
        return;
      }
      overflow = true;
      killGroup();
    };
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', collect(out));
  child.stderr.on('data', collect(err));
  // A program that ends without reading its input breaks the pipe; its status tells the story.
  child.stdin.on('error', (error) => {
    if (!isErrno(error, 'EPIPE') && !isErrno(error, 'ECONNRESET')) reject(error);
  });
  child.stdin.end(options.input ?? '');
  const limit = setTimeout(() => {
    timedOut = true;
    killGroup();
  }, options.timeoutMs ?? 30_000);
  child.on('error', (error) => {
    clearTimeout(limit);
    reject(
      new LabError({
        what: `cannot run ${program}`,
        says: error.message,
        fix: `Install ${program} or correct PATH.`,
      }),
    );
  });
  child.on('exit', () => {
    clearTimeout(limit);
    const drained = setTimeout(() => {
      child.stdout.destroy();
      child.stderr.destroy();
    }, drainMsMax);
    child.on('close', () => clearTimeout(drained));
  });
  child.on('close', (code, signal) => {
    if (overflow) {
      reject(
        new LabError({
          what: `${argv.join(' ')} was ended`,
          says: `it wrote more than ${outputBytesMax} bytes`,
          fix: 'Send its output to a file.',
        }),
      );
      return;
    }
    resolve({
      status: code ?? (signal === null ? 255 : 128 + osConstants.signals[signal]),
      stdout: Buffer.concat(out).toString('utf8'),
      stderr: Buffer.concat(err).toString('utf8'),
      timedOut,
    });
  });
  return promise;
}

/** Runs a program of the lab itself, whose failure is an error of the lab. Returns its standard output. */
export async function mustRun(
  argv: readonly [string, ...string[]],
  what: string,
  options: ExecOptions = {},
): Promise<string> {
  const done = await run(argv, { timeoutMs: 10_000, ...options });
  if (done.status === 0) return done.stdout;
  const says = done.timedOut
    ? 'no answer within its time limit'
    : done.stderr.trim() || `status ${done.status}`;
  throw new LabError({
    what,
    says,
    fix: 'If the lab was damaged, remove it (lab down) and make it again (lab up).',
  });
}

export function isErrno(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: Error) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (reason: Error) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
