/**
 * Looks at paths of the tree and tells the catalog what is there. Synchronous and short: whoever calls divides the work.
 *
 * V1. What is not part of the mirror is told as not there.
 * V2. A folder is looked at when something was told of a name in it: a name that came or went changed its times, and may be
 *     back as it was.
 * V3. The other names of a file are looked at when one of them went: what was told of the one may never be understood, and
 *     concerns them all.
 * V4. What is seen where a file system is not mounted any more is not believed (mount-points.ts, M3): Doubted is thrown.
 */

import type { Catalog, Observed } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Told } from './dirty.ts';
import type { MountPoints } from './mount-points.ts';
import { folderOf, keyOf, pathOfKey } from './path.ts';
import type { SourceSelection } from './types.ts';

export interface LookingOptions {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: SourceSelection;
  readonly mounts: MountPoints;
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
    this.#options.mounts.check(path);
    let observed = catalog.observe(path, stat, lookedAtMs);
    if (observed.kind === 'no-parent' && stat !== null && path.length > 0) {
      const folder = this.look(folderOf(path));
      if (folder.kind !== 'absent' && folder.kind !== 'gone' && folder.kind !== 'no-parent') {
        observed = catalog.observe(path, stat, lookedAtMs);
      }
    }
    if (path.length > 0) this.#folders.add(keyOf(folderOf(path)));
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

  /** V2. Within a write() of the catalog. `tried`: gets over what the disk refuses. */
  lookAtFolders(tried: (path: Buffer, look: () => void) => void): void {
    const folders = this.#folders;
    this.#folders = new Set();
    const { tree, catalog } = this.#options;
    for (const key of folders) {
      const path = Buffer.from(key, 'latin1');
      const lookedAtMs = Date.now();
      tried(path, () => {
        const stat = this.#selected(path, tree.stat(path));
        this.#options.mounts.check(path);
        catalog.observe(path, stat, lookedAtMs);
      });
    }
  }

  /** V3. Paths of all names of these files. */
  namesOf(inodes: Iterable<number>): Buffer[] {
    const { catalog } = this.#options;
    const paths: Buffer[] = [];
    for (const inode of inodes) {
      for (const { id } of catalog.linked(inode)) {
        const path = catalog.pathOf(id);
        if (path !== null) paths.push(path);
      }
    }
    return paths;
  }

  /** V1. */
  #selected(path: Buffer, stat: Stat | null): Stat | null {
    if (stat === null || stat.kind === 'socket') return null;
    return this.#options.selection.includes(path, stat.kind) ? stat : null;
  }
}
