/** One copy of a tree from a to b, from its order to the last file on the target's disk. */
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../lines.ts';
import { copyDurable } from './arrival.ts';
import { compareTrees } from './comparison.ts';
import { syncDisks, type Copy, type Ground } from './ground.ts';
import type { Tree } from './tree.ts';

export interface Copied {
  readonly copy: Copy;
  readonly orderedMs: number;
  /** From the order at the source's mirror process to the last file on the target's disk. */
  readonly seconds: number;
}

const copyMsMax = 600_000;
const settleMsMax = 60_000;
const catchUpMsMax = 10_000;

/** Resolves when the status says so, too: complete and nothing behind. */
export async function copyTree(
  ground: Ground,
  tree: Tree,
  what: string,
  terms: readonly string[] = [],
): Promise<Copied> {
  const copy: Copy = {
    name: ground.freshName(what),
    from: tree.root,
    to: ground.fresh('b', what),
    terms,
  };
  syncDisks();
  const { orderedMs, applied } = await ground.order([copy]);
  const durableMs = await copyDurable(ground.pid('b', 'mirror'), copy.to, copyMsMax);
  await applied;
  await ground.settled(copy, settleMsMax);
  return { copy, orderedMs, seconds: (durableMs - orderedMs) / 1000 };
}

/**
 * Notes whether both sides are the same, now that nothing is written any more. What is under way is waited for, a while.
 * A sentence about what is not the same; empty when nothing is.
 */
export async function compareSides(ground: Ground, what: string, { from, to }: Copy): Promise<string> {
  const endMs = monotonicMs() + catchUpMsMax;
  let compared = compareTrees(from, to);
  while (compared.differing > 0 && monotonicMs() < endMs) {
    await sleep(500);
    compared = compareTrees(from, to);
  }
  const { entries, differing, says } = compared;
  ground.compared.push({ what, differing });
  return differing === 0 ? '' : `${what}: ${differing} of ${entries} entries differ: ${says}`;
}

/** Takes the mirror away, and what it copied. */
export async function dropCopy(ground: Ground, { files }: Tree, { to }: Copy): Promise<void> {
  await ground.order([]);
  ground.discard(files, to);
}
