/**
 * Runs one argument vector in a process group of its own, with a deadline. At the deadline it is killed together with
 * everything it started: its group, and, on Linux, also what left the group but still carries the mark in its
 * environment (a daemon that called setsid).
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { isErrno } from './errno.ts';
import type { Argv } from './protocol.ts';

const markName = 'HOLDFAST_GUARD_COMMAND';
const outputBytesMax = 1_024;
/** A killed process that has not gone after this long is in the kernel's hands. */
const reapMs = 200;

export type CommandEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly says: string }
  | { readonly kind: 'timed-out'; readonly says: string }
  | { readonly kind: 'not-started'; readonly says: string };

/** Runs `argv` for at most `timeoutMs` and then `reapMs`. Done means exit status 0. Never rejects. */
export async function runCommand(argv: Argv, timeoutMs: number): Promise<CommandEnd> {
  const [program, ...args] = argv;
  if (program === undefined) return { kind: 'not-started', says: 'an empty command' };
  const mark = randomUUID();
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      detached: process.platform !== 'win32',
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, [markName]: mark },
    });
  } catch (error) {
    return { kind: 'not-started', says: `${program}: ${String(error)}` };
  }
  return await supervise(child, { program, mark, timeoutMs });
}

function supervise(
  child: ChildProcess,
  command: { program: string; mark: string; timeoutMs: number },
): Promise<CommandEnd> {
  const { program, mark, timeoutMs } = command;
  let output = '';
  const note = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-outputBytesMax);
  };
  child.stdout?.on('data', note);
  child.stderr?.on('data', note);
  return new Promise((resolve) => {
    let timer: NodeJS.Timeout;
    const end = (outcome: CommandEnd): void => {
      clearTimeout(timer);
      // A child of the command may hold these pipes open for ever.
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve(outcome);
    };
    const timedOut: CommandEnd = {
      kind: 'timed-out',
      says: `${program}: killed after ${Math.round(timeoutMs)} ms`,
    };
    let killed = false;
    timer = setTimeout(() => {
      killed = true;
      timer = setTimeout(() => end(timedOut), reapMs);
      killTree(child, mark);
    }, timeoutMs);
    child.on('error', (error) => {
      if (child.pid === undefined) end({ kind: 'not-started', says: `${program}: ${error.message}` });
    });
    child.on('exit', (status, signal) => {
      if (killed) end(timedOut);
      else if (status === 0) end({ kind: 'done' });
      else {
        const how = signal === null ? `exit status ${String(status)}` : `ended by ${signal}`;
        // A reason is one line.
        const said = output.replace(/[\s\p{Cc}]+/gu, ' ').trim();
        end({ kind: 'failed', says: `${program}: ${how}${said === '' ? '' : `: ${said}`}` });
      }
    });
  });
}

function killTree(child: ChildProcess, mark: string): void {
  if (child.pid === undefined) return;
  if (process.platform === 'win32') {
    const taskkill = spawn('taskkill', ['/pid', String(child.pid), '/t', '/f'], { stdio: 'ignore' });
    taskkill.on('error', () => child.kill('SIGKILL'));
    return;
  }
  kill(-child.pid);
  for (const pid of marked(mark)) kill(pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // Gone already, or it has taken another user's identity: the fence goes on, and its outcome shows.
    if (!isErrno(error, 'ESRCH') && !isErrno(error, 'EPERM')) throw error;
  }
}

/** Processes that carry the mark in their environment (proc(5), /proc/pid/environ). */
function marked(mark: string): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => environOf(name).includes(`${markName}=${mark}`))
    .map(Number);
}

/** Empty for a process that has gone or that is not ours to read. */
function environOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
