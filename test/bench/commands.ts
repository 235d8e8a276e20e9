/** How long commands take that wait for nothing, from the shell's start of the process to its end. */
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

/** Milliseconds of each command, `runs` times in turn, asked on a server. Throws when one fails. */
export async function commandTimes({ cluster }: Pair, runs: number): Promise<readonly number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1)
    for (const words of commands) {
      const beganMs = monotonicMs();
      await cluster.must(serverNames[0], ...words);
      times.push(monotonicMs() - beganMs);
    }
  return times;
}
