/**
 * Ends a command with everything it started. Three ties are followed, as each can be cut: the parent (cut when the
 * parent ends), the session (cut by setsid), and a mark in the environment (cut by `env -i`). Only a process that cut
 * all three before we looked gets away. Used on the timeout path only, as it reads all of /proc.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const PASSES_MAX = 40;
const BETWEEN_PASSES_MS = 5;

interface Running {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
}

/**
 * Sends SIGKILL to `root`, its session, its descendants, and to whatever carries `mark` (`NAME=value`) in its environment, until none
 * is left. Returns the process ids that would not end in time (0.2 s).
 */
export async function killTree(root: number, mark: string): Promise<readonly number[]> {
  for (let pass = 0; ; pass += 1) {
    const alive = tiedTo(root, mark);
    if (alive.length === 0 || pass === PASSES_MAX) return alive;
    for (const pid of alive) kill(pid);
    await sleep(BETWEEN_PASSES_MS);
  }
}

function tiedTo(root: number, mark: string): readonly number[] {
  const running = readRunning();
  const tied = new Set<number>();
  for (const { pid, group, session } of running) {
    if (session === root || group === root || hasMark(pid, mark)) tied.add(pid);
  }
  for (let grew = true; grew;) {
    grew = false;
    for (const { pid, parent } of running) {
      if (tied.has(pid) || !tied.has(parent)) continue;
      tied.add(pid);
      grew = true;
    }
  }
  tied.delete(process.pid);
  return [...tied];
}

/** Every process that is not already dead. */
function readRunning(): readonly Running[] {
  const running: Running[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = readOrEmpty(`/proc/${name}/stat`);
    // The name of the program, in brackets, may hold spaces and brackets itself (proc(5)).
    const [state, parent, group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state === undefined || state === '' || 'ZX'.includes(state)) continue;
    running.push({
      pid: Number(name),
      parent: Number(parent),
      group: Number(group),
      session: Number(session),
    });
  }
  return running;
}

function hasMark(pid: number, mark: string): boolean {
  return readOrEmpty(`/proc/${pid}/environ`).split('\0').includes(mark);
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // it ended while we looked, or is not ours to read
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // it ended by itself
  }
}
