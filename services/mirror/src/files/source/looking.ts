/**
 * Looks at paths of the tree and tells the catalog what is there. Synchronous and short: whoever calls divides the work.
 *
 * V1. What is not part of the mirror is told as not there.
 * V2. A folder is looked at when a name in it came or went, because that changed its times.
 */

import type { Catalog, Observed } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Told } from './dirty.ts';
import { folderOf, keyOf, pathOfKey } from './path.ts';
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

  /**
   * Other names of files that were told by a name that may be gone by now: the feed tells a change by the name that was
   * used (feed/types.ts, F5).
   */
  *otherNames(told: ReadonlyMap<string, Told>): Generator<[string, Told]> {
    const { catalog } = this.#options;
    for (const [key, { atMs }] of told) {
      const entry = catalog.byPath(pathOfKey(key));
      if (entry === null || entry.nlink < 2 || entry.attributes.kind === 'folder') continue;
      for (const name of catalog.linked(entry.inode)) {
        const path = catalog.pathOf(name.id);
        if (path !== null && !told.has(keyOf(path))) yield [keyOf(path), { whole: false, atMs }];
      }
    }
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
    // What is neither there nor known came and went; that it did changed its folder.
    if (observed.kind !== 'same' && observed.kind !== 'changed') this.#folders.add(keyOf(folder));
  }
}
