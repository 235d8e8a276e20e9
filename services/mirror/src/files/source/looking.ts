/**
 * Looks at paths of the tree and tells the catalog what is there. Synchronous and short: whoever calls divides the work.
 *
 * V1. What is not part of the mirror is told as not there.
 * V2. A folder is looked at when a name in it came or went, because that changed its times.
 */

import type { Catalog, Observed } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import { folderOf, keyOf } from './path.ts';
import type { SourceSelection } from './types.ts';

export interface LookingOptions {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: SourceSelection;
}

export class Looking {
  readonly #options: LookingOptions;
  /** V2: keys of folders. */
  #folders = new Set<string>();

  constructor(options: LookingOptions) {
    this.#options = options;
  }

  /** Within a write() of the catalog. */
  look(path: Buffer): Observed {
    const { tree, catalog } = this.#options;
    const lookedAtMs = Date.now();
    const stat = this.#selected(path, tree.stat(path));
    let observed = catalog.observe(path, stat, lookedAtMs);
    if (observed.kind === 'no-parent' && stat !== null && path.length > 0) {
      const folder = this.look(folderOf(path));
      if (folder.kind !== 'absent' && folder.kind !== 'gone' && folder.kind !== 'no-parent') {
        observed = catalog.observe(path, stat, lookedAtMs);
      }
    }
    if (path.length > 0) this.#noteFolder(observed, folderOf(path));
    return observed;
  }

  /** V2. Within a write() of the catalog. */
  lookAtFolders(): void {
    const folders = this.#folders;
    this.#folders = new Set();
    const { tree, catalog } = this.#options;
    for (const key of folders) {
      const path = Buffer.from(key, 'latin1');
      const lookedAtMs = Date.now();
      catalog.observe(path, this.#selected(path, tree.stat(path)), lookedAtMs);
    }
  }

  /** V1. */
  #selected(path: Buffer, stat: Stat | null): Stat | null {
    if (stat === null || stat.kind === 'socket') return null;
    return this.#options.selection.includes(path, stat.kind) ? stat : null;
  }

  #noteFolder(observed: Observed, folder: Buffer): void {
    if (observed.kind === 'new' || observed.kind === 'gone' || observed.kind === 'moved')
      this.#folders.add(keyOf(folder));
  }
}
