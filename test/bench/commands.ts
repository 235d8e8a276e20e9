/** How long commands take that wait for nothing, from the shell's start of the process to its end. */
import { childrenCpuMs } from './cost.ts';
import { monotonicMs } from './lines.ts';
import { group, type Pair } from './pair.ts';
import { serverNames } from './stage.ts';

const commands = [
  ['status'],
  ['status', '-o', 'json'],
  ['get', 'groups'],
  ['explain', group],
  ['events', '--limit', '20'],
  ['switchover', group, '--dry-run'],
] as const;

export interface CommandTimes {
  /** Milliseconds of each command. */
  readonly wallMs: readonly number[];
  /** Processor time of one, on average: what it does not wait for. */
  readonly cpuMs: number;
}

/** `runs` times in turn, asked on a server. Throws when one fails. */
export async function commandTimes({ cluster }: Pair, runs: number): Promise<CommandTimes> {
  const wallMs: number[] = [];
  const before = childrenCpuMs();
  for (let run = 0; run < runs; run += 1)
    for (const words of commands) {
      const beganMs = monotonicMs();
      await cluster.must(serverNames[0], ...words);
      wallMs.push(monotonicMs() - beganMs);
    }
  return { wallMs, cpuMs: (childrenCpuMs() - before) / wallMs.length };
}
