/**
 * When something is on the target's disk, as its file system shows it. A target puts a name in place only after its
 * contents were synced, so what is seen here is durable; the moment is the same or later.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../lines.ts';
import { until } from '../until.ts';
import type { Tree } from './tree.ts';

/** Waits until the target has as many names in every folder as the source. Resolves to that moment, CLOCK_MONOTONIC. */
export async function treeArrived(tree: Tree, target: string, limitMs: number): Promise<number> {
  let missing = 0;
  return until(
    `${tree.files} files are in ${target}`,
    () => {
      // Complete folders are not looked at again, so that looking costs next to nothing.
      for (;;) {
        const folder = tree.folders[missing];
        if (folder === undefined) return monotonicMs();
        if (namesIn(join(target, folder.path)) < folder.files) return false;
        missing += 1;
      }
    },
    {
      limitMs,
      everyMs: 4,
      seen: () => Promise.resolve(`${missing} of ${tree.folders.length} folders are complete`),
    },
  );
}

function namesIn(folder: string): number {
  try {
    return readdirSync(folder).filter((name) => !name.startsWith('.holdfast-')).length;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
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
