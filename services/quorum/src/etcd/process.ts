/**
 * Processes by identity: a pid alone may have been given to another process, a pid with its start time can't.
 * Linux only (proc(5)); elsewhere nothing is ever found.
 */

import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCode } from './failure.ts';

export interface ProcessId {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTicks: string;
}

export interface Leftover {
  readonly id: ProcessId;
  readonly args: readonly string[];
  /** Whether it lives in our network namespace. */
  readonly sameNetwork: boolean;
}

/** The process that has this pid now; null when there is none or it is a zombie. */
export function processOf(pid: number): ProcessId | null {
  const stat = readOrNull(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name, in brackets, may contain anything; the fields after it start with the state, which is field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, startTicks] = [fields[0], fields[19]];
  if (state === 'Z' || state === 'X' || startTicks === undefined) return null;
  return { pid, startTicks };
}

export function isAlive(id: ProcessId): boolean {
  return processOf(id.pid)?.startTicks === id.startTicks;
}

/** All etcd processes that run on this data directory, by whatever path they know it. */
export function etcdsOn(dataDir: string, binary: string): Leftover[] {
  const ours = inodeOf(dataDir);
  if (ours === null) return [];
  return pids().flatMap((pid) => {
    const args = readOrNull(`/proc/${pid}/cmdline`)?.split('\0').slice(0, -1) ?? [];
    if (basename(args[0] ?? '') !== basename(binary)) return [];
    const theirs = args.find((arg) => arg.startsWith('--data-dir='))?.slice('--data-dir='.length);
    if (theirs === undefined || inodeOf(`/proc/${pid}/root${theirs}`) !== ours) return [];
    const id = processOf(pid);
    return id === null ? [] : [{ id, args: args.slice(1), sameNetwork: network(pid) === network('self') }];
  });
}

/** Asks to end, then ends: SIGTERM, and SIGKILL when it is still there after the deadline. */
export async function endProcess(
  id: ProcessId,
  deadlineMs: number,
): Promise<'ended' | 'killed' | 'still-there'> {
  signal(id, 'SIGTERM');
  if (await gone(id, deadlineMs)) return 'ended';
  signal(id, 'SIGKILL');
  return (await gone(id, 2_000)) ? 'killed' : 'still-there';
}

function signal(id: ProcessId, name: 'SIGTERM' | 'SIGKILL'): void {
  if (!isAlive(id)) return;
  try {
    process.kill(id.pid, name);
  } catch (error) {
    // It ended by itself since the line before.
    if (errorCode(error) !== 'ESRCH') throw error;
  }
}

async function gone(id: ProcessId, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (isAlive(id)) {
    if (performance.now() >= until) return false;
    await sleep(20);
  }
  return true;
}

function pids(): number[] {
  try {
    return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}

function inodeOf(path: string): string | null {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev.toString()}:${ino.toString()}`;
  } catch {
    // Not there, or not ours to see: then it is not ours to take over.
    return null;
  }
}

function network(pid: number | 'self'): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return `unknown of ${pid}`;
  }
}

/** A process may end between any two reads of it. */
function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
