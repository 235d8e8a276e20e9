/**
 * When something is on the target's disk, as its kernel shows it. While it is replicated a target puts a name in place only
 * after its contents were synced, so what is seen is durable. A first copy is written first and synced after, and its folder
 * is protected by a read-only mount when all of it is durable: that mount is what is waited for.
 */
import { lstatSync, readFileSync } from 'node:fs';
import { monotonicMs } from '../lines.ts';
import { until } from '../until.ts';

/** Waits until a process sees a read-only mount over the folder. Resolves to that moment, CLOCK_MONOTONIC. */
export function copyDurable(pid: number, folder: string, limitMs: number): Promise<number> {
  return until(
    `${folder} is complete and protected`,
    () => readFileSync(`/proc/${pid}/mountinfo`, 'utf8').includes(` ${folder} ro,`) && monotonicMs(),
    { limitMs, everyMs: 4 },
  );
}

/** Waits until both files have the same size and time of change, which is set last. Resolves to that moment. */
export function fileArrived(source: string, target: string, limitMs: number): Promise<number> {
  const wanted = lstatSync(source, { bigint: true });
  return until(
    `${target} is as ${source}`,
    () => {
      const found = lstatSync(target, { bigint: true, throwIfNoEntry: false });
      return found?.mtimeNs === wanted.mtimeNs && found.size === wanted.size && monotonicMs();
    },
    { limitMs, everyMs: 2 },
  );
}
