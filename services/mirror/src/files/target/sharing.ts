/**
 * Whether a file has names that are no part of the mirror, so that what is written to it would show there (Applying, A4).
 *
 * S1  The names that a batch gives, and that the catalog does not know yet, are looked at once, when that is asked first. From then
 *     on whoever gives a file a name or takes one tells.
 */

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
  /** S1: by path (latin1), the file that has this new name; null: nobody asked yet. */
  #files: Map<string, string> | null = null;
  /** How many such names a file has. */
  readonly #counts = new Map<string, number>();

  constructor(names: Names, batch: Batch) {
    this.#names = names;
    this.#batch = batch;
  }

  isShared(stat: Stat): boolean {
    if (stat.kind !== 'file' || stat.nlink <= 1) return false;
    const names = this.#names.namesOf(stat.inode);
    if (stat.nlink <= names) return false;
    this.#look();
    return stat.nlink > names + (this.#counts.get(fileOf(stat)) ?? 0);
  }

  /** S1: the batch gave this name to the file. */
  named(path: Buffer, file: Stat): void {
    if (this.#files === null) return;
    this.left(path);
    this.#note(this.#files, path, file);
  }

  /** S1: the name is of another file now. */
  left(path: Buffer): void {
    const name = path.toString('latin1');
    const file = this.#files?.get(name);
    if (file === undefined) return;
    this.#files?.delete(name);
    this.#counts.set(file, (this.#counts.get(file) ?? 1) - 1);
  }

  #look(): void {
    if (this.#files !== null) return;
    const files = new Map<string, string>();
    for (const operation of this.#batch.operations) {
      const stat = operation.kind === 'hard-link' ? this.#names.tree.stat(operation.path) : null;
      if (operation.kind === 'hard-link' && stat !== null) this.#note(files, operation.path, stat);
    }
    this.#files = files;
  }

  #note(files: Map<string, string>, path: Buffer, stat: Stat): void {
    if (this.#names.isName(path, stat.inode)) return;
    const file = fileOf(stat);
    files.set(path.toString('latin1'), file);
    this.#counts.set(file, (this.#counts.get(file) ?? 0) + 1);
  }
}

const fileOf = ({ dev, inode }: Stat): string => `${String(dev)}:${String(inode)}`;
