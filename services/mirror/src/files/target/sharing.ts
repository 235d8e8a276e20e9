/** Whether a file has names that are no part of the mirror, so that what is written to it would show there (Applying, A4). */

import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Batch } from './redo.ts';

export interface Names {
  /** Of the root. */
  readonly tree: Tree;
  /** Names within the mirror of a file of this number, as the catalog knows them. */
  readonly namesOf: (inode: number) => number;
  /** Whether this path is one of them. */
  readonly isName: (path: Buffer, inode: number) => boolean;
}

export class Sharing {
  readonly #names: Names;
  readonly #batch: Batch;

  constructor(names: Names, batch: Batch) {
    this.#names = names;
    this.#batch = batch;
  }

  isShared(stat: Stat): boolean {
    if (stat.kind !== 'file' || stat.nlink <= 1) return false;
    const names = this.#names.namesOf(stat.inode);
    return stat.nlink > names && stat.nlink > names + this.#newNames(stat);
  }

  /** Names that the batch gave to a file, and that the catalog does not know yet. */
  #newNames({ inode, dev }: Stat): number {
    const { tree, isName } = this.#names;
    let names = 0;
    for (const operation of this.#batch.operations) {
      if (operation.kind !== 'hard-link' || isName(operation.path, inode)) continue;
      const stat = tree.stat(operation.path);
      if (stat?.inode === inode && stat.dev === dev) names += 1;
    }
    return names;
  }
}
