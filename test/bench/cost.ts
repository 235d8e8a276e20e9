/**
 * What processes cost: CPU time from /proc/PID/stat, memory from /proc/PID/smaps. Sources: proc(5), Linux
 * Documentation/filesystems/proc.rst.
 *
 * The proportional set size divides a shared page among all who map it, and in a lab the other hosts' processes map the
 * same programs. That would flatter us, so memory is counted as on a host of its own: shared file pages in full, once.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from './lines.ts';

/** USER_HZ, which is 100 on all Linux that we run on (time(7)). */
const ticksPerSecond = 100;

export interface Cost {
  readonly cpuPercent: number;
  /** As if nobody else on the machine ran the same programs. */
  readonly aloneMiB: number;
  readonly proportionalMiB: number;
  readonly processes: number;
  /** By program, the dearest first. */
  readonly shares: readonly { readonly program: string; readonly cpuPercent: number }[];
}

/** Undefined when the process has ended. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

/** utime, stime, cutime and cstime in /proc/PID/stat, counted from after the name. */
const own = [11, 12];
const children = [13, 14];

/** By default its own time and that of the children that it has waited for. */
function ticksOf(pid: number, of = [...own, ...children]): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return of.reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
}

/** CPU time of all children that this process has waited for, in milliseconds; in steps of 10. */
export const childrenCpuMs = (): number => (1000 * ticksOf(process.pid, children)) / ticksPerSecond;

/** Nanoseconds on a processor, of all threads: finer than ticks, and without children. */
function threadsNs(pid: number): number {
  return threadsOf(pid).reduce(
    (sum, thread) => sum + Number(read(`/proc/${pid}/task/${thread}/schedstat`)?.split(' ')[0] ?? 0),
    0,
  );
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** The script that Node runs, or the program. */
function programOf(pid: number): string {
  const words = read(`/proc/${pid}/cmdline`)?.split('\0') ?? [];
  return basename(words.find((word) => word.endsWith('.js')) ?? words[0] ?? '', '.js');
}

const totalTicks = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + ticksOf(pid), 0);

interface Memory {
  proportional: number;
  own: number;
  /** Largest resident shared part of each mapping of a file. */
  readonly shared: Map<string, number>;
}

/** Adds up the mappings of one process, in KiB. */
export function addMappings(memory: Memory, smaps: string): void {
  let mapping = '';
  let isFile = false;
  let proportional = 0;
  let own = 0;
  let shared = 0;
  const close = (): void => {
    memory.proportional += proportional;
    memory.own += isFile || shared === 0 ? own : proportional;
    if (isFile) memory.shared.set(mapping, Math.max(memory.shared.get(mapping) ?? 0, shared));
    proportional = own = shared = 0;
  };
  for (const line of smaps.split('\n')) {
    // address perms offset device inode path
    const head = /^[0-9a-f]+-[0-9a-f]+ \S+ (\S+) (\S+) (\d+)/.exec(line);
    if (head !== null) {
      close();
      mapping = head.slice(1).join(' ');
      isFile = head[3] !== '0';
      continue;
    }
    const [key, value] = line.split(/:\s+/);
    const kib = Number.parseInt(value ?? '', 10);
    if (key === 'Pss') proportional = kib;
    if (key === 'Private_Clean' || key === 'Private_Dirty') own += kib;
    if (key === 'Shared_Clean' || key === 'Shared_Dirty') shared += kib;
  }
  close();
}

/** Watches the processes that `pids` names for some time. Processes that come and go are counted by their parents. */
export async function costOf(pids: () => readonly number[], durationMs: number): Promise<Cost> {
  const before = pids();
  const startTicks = totalTicks(before);
  const startNs = new Map(before.map((pid) => [pid, threadsNs(pid)]));
  const startMs = monotonicMs();
  await sleep(durationMs);
  const after = pids();
  const seconds = (monotonicMs() - startMs) / 1000;
  const ticks = totalTicks(after) - startTicks;
  const shares = after.map((pid) => ({
    program: programOf(pid),
    cpuPercent: (threadsNs(pid) - (startNs.get(pid) ?? 0)) / 1e7 / seconds,
  }));
  const memory: Memory = { proportional: 0, own: 0, shared: new Map() };
  for (const pid of after) {
    const smaps = read(`/proc/${pid}/smaps`);
    if (smaps !== undefined) addMappings(memory, smaps);
  }
  const sharedKib = [...memory.shared.values()].reduce((sum, kib) => sum + kib, 0);
  return {
    cpuPercent: (100 * ticks) / ticksPerSecond / seconds,
    aloneMiB: (memory.own + sharedKib) / 1024,
    proportionalMiB: memory.proportional / 1024,
    processes: after.length,
    shares: shares.sort((a, b) => b.cpuPercent - a.cpuPercent),
  };
}
