/**
 * Pid files: DIR/run/NAME.pid holds the number alone, for scripts; NAME.start beside it tells that process apart from
 * a later one that was given the same number (boot id and start time, proc(5)). Only a process that matches both is
 * ever signalled by number.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isErrno } from './errno.ts';

const pollMs = 20;

export interface ProcessIdentity {
  readonly pid: number;
  /** Null where the system doesn't tell. */
  readonly start: string | null;
}

/** The identity of a process that runs now; start is null when it has gone, or where there is no /proc. */
export function identify(pid: number): ProcessIdentity {
  return { pid, start: startOf(pid) };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identity.start !== null && startOf(identity.pid) === identity.start;
}

/** Null when written; else what is wrong. A member whose disk is full goes on without pid files. */
export function writePidFile(runDir: string, name: string, pid: number): string | null {
  return attempt(`write the pid file of ${name}`, () => {
    writeFileSync(join(runDir, `${name}.start`), `${identify(pid).start ?? ''}\n`, { mode: 0o600 });
    writeFileSync(join(runDir, `${name}.pid`), `${pid}\n`, { mode: 0o600 });
  });
}

/** Null when it is gone; else what is wrong. */
export function removePidFile(runDir: string, name: string): string | null {
  return attempt(`remove the pid file of ${name}`, () => {
    rmSync(join(runDir, `${name}.pid`), { force: true });
    rmSync(join(runDir, `${name}.start`), { force: true });
  });
}

function attempt(what: string, act: () => void): string | null {
  try {
    act();
    return null;
  } catch (error) {
    return `can't ${what}: ${String(error)}`;
  }
}

/** Null when there is none, or none that can be trusted. */
export function readPidFile(runDir: string, name: string): ProcessIdentity | null {
  const pid = Number.parseInt(readText(join(runDir, `${name}.pid`)) ?? '', 10);
  const start = readText(join(runDir, `${name}.start`))?.trim() ?? '';
  return pid > 1 && start !== '' ? { pid, start } : null;
}

/** Sends a signal to that very process; false when it has gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Waits until the process has gone; false when it is still there after `timeoutMs`. */
export async function waitGone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const endMs = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() >= endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return true;
}

/** What a run that was killed may leave behind: all but the guard, which outlives it on purpose. */
export const leftoverNames = ['agent', 'mirror', 'quorum'] as const;
export const leftoverMs = 3_000;

export type Leftover = 'none' | 'ended' | 'killed' | 'stuck';

/** Sees off what an earlier run left: it is given `waitMs` to end by itself, then it is killed. */
export async function endLeftover(runDir: string, name: string, waitMs: number): Promise<Leftover> {
  const identity = readPidFile(runDir, name);
  if (identity === null || !isAlive(identity)) return 'none';
  if (await waitGone(identity, waitMs)) return 'ended';
  signalProcess(identity, 'SIGKILL');
  return (await waitGone(identity, 2_000)) ? 'killed' : 'stuck';
}

/** Null for a process that has gone (a zombie has) and where there is no /proc. */
function startOf(pid: number): string | null {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name, in parentheses, may contain anything; the fields after it are numbered from 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ticks] = [fields[0], fields[19]];
  if (state === undefined || ticks === undefined || state === 'Z' || state === 'X') return null;
  return `${bootId()}:${ticks}`;
}

function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Not there, or gone while it was read: the same to every caller.
    return null;
  }
}
