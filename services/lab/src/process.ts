// Processes as /proc tells them: who runs in which network namespace, who carries the mark of a lab, and how to end them all.
// Source: proc(5).
//
// Invariants
// K1: a process is named by pid and start time, never by pid alone, when the name is kept for later.
// K2: this process is never signalled, even when it runs inside a lab.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from './command.ts';
import { LabError } from './error.ts';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks after the boot of the real machine (field 22 of /proc/PID/stat). */
  readonly start: string;
}

export interface ProcessView {
  readonly pid: number;
  /** The command line, its words joined by spaces. */
  readonly command: string;
  readonly state: 'running' | 'frozen';
}

/** Reads a /proc entry; undefined when the process is gone or is not ours to look at. */
function entry(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'EINVAL'].some((code) => isErrno(error, code)))
      return undefined;
    throw error;
  }
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** The fields of /proc/PID/stat from the third (state) on; the second may hold spaces and brackets. */
function statFields(pid: number): string[] | undefined {
  const stat = entry(() => readFileSync(`/proc/${pid}/stat`, 'utf8'));
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

export function identityOf(pid: number): ProcessIdentity | undefined {
  const start = statFields(pid)?.[19];
  return start === undefined ? undefined : { pid, start };
}

/** True while that very process runs; a zombie does not. */
export function isAlive(who: ProcessIdentity): boolean {
  const fields = statFields(who.pid);
  return fields?.[19] === who.start && fields[0] !== 'Z' && fields[0] !== 'X';
}

export function networkNamespaceOf(pid: number): string | undefined {
  return entry(() => readlinkSync(`/proc/${pid}/ns/net`));
}

/** Every living process in a network namespace, such as "net:[4026532281]". */
export function inNetworkNamespace(namespace: string): number[] {
  return pids().filter((pid) => networkNamespaceOf(pid) === namespace);
}

/**
 * Every living process that carries a mark among its mounts, or shares a network namespace with one that does
 * (a program may have entered only the network of a host).
 */
export function marked(mark: string): number[] {
  const all = pids().map((pid) => ({ pid, namespace: networkNamespaceOf(pid) }));
  const carries = all.filter(
    ({ pid }) => entry(() => readFileSync(`/proc/${pid}/mountinfo`, 'utf8'))?.includes(mark) ?? false,
  );
  const own = networkNamespaceOf(process.pid);
  const spaces = new Set(carries.map(({ namespace }) => namespace));
  spaces.delete(undefined);
  // A marked process may have come back into our own network; that does not make its neighbours part of the lab.
  if (own !== undefined) spaces.delete(own);
  const found = new Set(carries.map(({ pid }) => pid));
  for (const { pid, namespace } of all) if (namespace !== undefined && spaces.has(namespace)) found.add(pid);
  return [...found].filter((pid) => statFields(pid)?.[0] !== 'Z');
}

/** Processes whose command line has exactly these words at its end. */
export function withLastWords(words: readonly string[]): number[] {
  const tail = words.join('\0');
  return pids().filter((pid) => {
    const line = entry(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
    return line?.endsWith(`\0${tail}\0`) ?? false;
  });
}

export function view(pid: number): ProcessView | undefined {
  const state = statFields(pid)?.[0];
  const line = entry(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'));
  if (state === undefined || line === undefined || state === 'Z' || state === 'X') return undefined;
  const command = line.replace(/\0$/, '').replaceAll('\0', ' ');
  return { pid, command, state: state === 'T' || state === 't' ? 'frozen' : 'running' };
}

/** Sends a signal; false when the process is already gone. K2. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false;
    throw error;
  }
}

/** Repeats a signal until `remaining` finds nobody (processes fork while they are being signalled). */
export async function signalUntilNone(
  name: NodeJS.Signals,
  remaining: () => readonly number[],
  what: string,
  limitMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const left = remaining().filter((pid) => pid !== process.pid);
    if (left.length === 0) return;
    if (performance.now() > deadline) {
      const who = left.map((pid) => `${pid} (${view(pid)?.command ?? 'gone'})`).join(', ');
      throw new LabError({
        what,
        says: `still there after ${limitMs} ms of ${name}: ${who}`,
        fix: 'Look at these processes: they may wait for a disk.',
      });
    }
    for (const pid of left) signal(pid, name);
    await sleep(3);
  }
}
