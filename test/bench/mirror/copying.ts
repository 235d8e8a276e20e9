/** One copy of a tree from a to b, from its order to the last file on the target's disk. */
import { treeArrived } from './arrival.ts';
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
  const arrivedMs = await treeArrived(tree, copy.to, copyMsMax);
  await applied;
  await ground.settled(copy, settleMsMax);
  return { copy, orderedMs, seconds: (arrivedMs - orderedMs) / 1000 };
}

/** Notes whether both sides are the same now. A sentence about what is not; empty when they are. */
export function compareSides(ground: Ground, what: string, { from, to }: Copy): string {
  const { entries, differing, says } = compareTrees(from, to);
  ground.compared.push({ what, differing });
  return differing === 0 ? '' : `${what}: ${differing} of ${entries} entries differ: ${says}`;
}

/** Takes the mirror away, and what it copied. */
export async function dropCopy(ground: Ground, { to }: Copy): Promise<void> {
  await ground.order([]);
  ground.discard(to);
}
