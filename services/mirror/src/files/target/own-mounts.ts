/**
 * What is mounted beneath a target's root is noted in its catalog, so that this copy, once it is the source, takes nothing for
 * deleted that is only not mounted (../source/mount-points.ts).
 *
 * O1  What was noted stays so while it is not mounted, until the copy is made complete without it: then all of it is here.
 */

import { CatalogError } from '../../catalog/trouble.ts';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import { OsError } from '../../os/types.ts';
import { identityAt, mountedNow, noteMounts, readMounts } from '../mounts-noted.ts';
import type { Identity } from '../root-identity.ts';
import type { TargetSelection } from './types.ts';

export interface OwnMountsGround {
  /** Absolute, without links. */
  readonly root: string;
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: TargetSelection;
}

export class OwnMounts {
  readonly #ground: OwnMountsGround;
  #isAnew = false;

  constructor(ground: OwnMountsGround) {
    this.#ground = ground;
  }

  /** What was not noted before. Throws CatalogError. */
  add(): void {
    const { catalog } = this.#ground;
    if (catalog.meta.consistent)
      noteMounts(catalog, new Map([...this.#now(), ...(readMounts(catalog) ?? [])]));
  }

  /** O1: the copy is made complete now. */
  anew(): void {
    this.#isAnew = true;
  }

  /** A batch was applied after which it is complete. What the disk refuses to note is noted after the next one. */
  whole(): void {
    if (!this.#isAnew) return;
    try {
      noteMounts(this.#ground.catalog, this.#now());
      this.#isAnew = false;
    } catch (error) {
      if (!(error instanceof CatalogError)) throw error;
    }
  }

  #now(): Map<string, Identity> {
    const { root, tree, catalog, selection } = this.#ground;
    const found = new Map<string, Identity>();
    for (const [key, { path }] of mountedNow(root, catalog, (one) => selection.includes(one))) {
      try {
        found.set(key, identityAt(tree, path));
      } catch (error) {
        // It went, or can't be reached by us: the next look tells.
        if (!(error instanceof OsError)) throw error;
      }
    }
    return found;
  }
}
