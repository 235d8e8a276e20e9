/** Looks at many paths in transactions that give way: each ends with a sync of the disk, which others wait for, too. */

import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Confirmations } from './confirming.ts';
import type { Pace } from './pace.ts';
import type { Slice } from './slice.ts';

/** Between two looks at the clock. */
const lookEvery = 64;

interface Looks<T> {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly pace: Pace;
  readonly slice: Slice;
  readonly all: readonly T[];
  readonly look: (one: T) => void;
  /** They go with it, before anything is looked at. */
  readonly confirmations: Confirmations;
  /** Within the last one. */
  readonly last: () => void;
}

/** Throws CatalogError. */
export async function inTransactions<T>(looks: Looks<T>): Promise<void> {
  const { tree, catalog, pace, slice, all, look, confirmations, last } = looks;
  for (let at = 0; at < all.length;) {
    const until = performance.now() + pace.workMs;
    const some = (): void => {
      do {
        for (const one of all.slice(at, at + lookEvery)) look(one);
        at += lookEvery;
      } while (at < all.length && !(slice.isOver && performance.now() >= until));
    };
    catalog.write(() => {
      confirmations.write();
      tree.near(some);
      if (at >= all.length) last();
    });
    if (slice.isOver) await slice.turn();
  }
}
