/**
 * What is kept aside, copied out again into a folder of a person's choice.
 *
 *   R1  nothing that is there is overwritten
 *   R2  others have their turn after every entry, and while contents are copied and synced: all mirrors share this event loop
 *   R3  done means durable, contents and names: a person discards next what was restored
 *   R4  no file stays that only looks whole
 *   R5  it ends when nobody wants it any more
 */

import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { copyAside, syncFileSystem, syncOpen, syncPath } from '../../os/contents.ts';
import { Tree } from '../../os/tree.ts';
import type { Attributes } from '../../transport/types.ts';
import type { KeptAnswer, Watched } from '../target/types.ts';
import { codeOf } from '../target/trouble.ts';
import { makeFolder, settle } from './kept-entry.ts';
import type { KeptRow } from './kept-index.ts';

/** More at once are cheaper with one sync of the file system. */
export const syncSinglyMax = 8;

export const unwatched: Watched = { signal: new AbortController().signal, progress: () => undefined };

export class Restoration {
  readonly #rows: readonly KeptRow[];
  readonly #cut: number;
  readonly #store: string;
  readonly #watched: Watched;
  readonly #totalBytes: number;
  /** Those that were made so far, with what they are to be at the end. */
  readonly #folders = new Map<string, Attributes | null>();
  #doneBytes = 0;

  /** `rows`: of different paths. `cut`: what is left out at the beginning of each path. `store`: the folder with their contents. */
  constructor(rows: readonly KeptRow[], cut: number, store: string, watched: Watched) {
    this.#rows = rows;
    this.#cut = cut;
    this.#store = store;
    this.#watched = watched;
    this.#totalBytes = rows.reduce((sum, { size }) => sum + size, 0);
  }

  /** Into the folder `to`; once. */
  async run(to: string): Promise<KeptAnswer> {
    let tree: Tree;
    try {
      tree = Tree.open(to);
    } catch (error) {
      return { kind: 'failed', says: `${to} can't be opened: ${codeOf(error)}` };
    }
    try {
      for (const row of this.#rows) {
        if (!(await this.#copyOut(tree, row))) return { kind: 'failed', says: 'whoever asked went away' }; // R5
        await setImmediate(); // R2
      }
      // Those within others first: what is made in a folder changes its times.
      for (const [name, attributes] of [...this.#folders].sort(([a], [b]) => b.length - a.length))
        if (attributes !== null) settle(tree, Buffer.from(name, 'latin1'), attributes);
      await this.#sync(tree);
      return { kind: 'done' };
    } catch (error) {
      const code = codeOf(error);
      if (code === '') throw error;
      return {
        kind: 'failed',
        says: code === 'EEXIST' ? `${to} has an entry of that name already` : String(error),
      };
    } finally {
      tree.close();
    }
  }

  /** False: nobody wants it any more. */
  async #copyOut(tree: Tree, row: KeptRow): Promise<boolean> {
    const { attributes } = row;
    const path = row.path.subarray(this.#cut);
    if (this.#watched.signal.aborted) return false;
    if (attributes === null) return true;
    for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, at + 1))
      makeFolder(tree, path.subarray(0, at), this.#folders);
    switch (attributes.kind) {
      case 'folder': {
        const name = path.toString('latin1');
        makeFolder(tree, path, this.#folders);
        if (this.#folders.has(name)) this.#folders.set(name, attributes);
        return true;
      }
      case 'file':
        return this.#copyFile(tree, row, path, attributes);
      case 'link':
        tree.makeLink(path, attributes.link);
        break;
      case 'fifo':
        tree.makeFifo(path, 0o600);
        break;
      case 'block':
      case 'char':
        tree.makeDevice(path, attributes.kind, 0o600, attributes.deviceMajor, attributes.deviceMinor);
    }
    settle(tree, path, attributes);
    return true;
  }

  async #copyFile(tree: Tree, row: KeptRow, path: Buffer, attributes: Attributes): Promise<boolean> {
    const to = tree.createFile(path, 0o600);
    let isWhole = false;
    try {
      const from = openSync(join(this.#store, String(row.number)), 'r');
      try {
        if (!(await copyAside(from, to, (bytes) => this.#copied(bytes)))) return false;
      } finally {
        closeSync(from);
      }
      settle(tree, to, attributes);
      if (this.#isSingly) await syncOpen(to);
      isWhole = true;
      return true;
    } finally {
      closeSync(to);
      if (!isWhole) tree.remove(path); // R4
    }
  }

  #copied(bytes: number): boolean {
    this.#doneBytes += bytes;
    this.#watched.progress(this.#doneBytes, this.#totalBytes);
    return !this.#watched.signal.aborted;
  }

  get #isSingly(): boolean {
    return this.#rows.length <= syncSinglyMax;
  }

  /** R3. Singly the files are durable already. */
  async #sync(tree: Tree): Promise<void> {
    if (!this.#isSingly) return syncPath(tree.reached, syncFileSystem);
    const paths = this.#rows.map(({ path }) => path.subarray(this.#cut).toString('latin1'));
    const made = [...this.#folders.keys()];
    const changed = new Set([...made, ...[...made, ...paths].map(folderOf)]);
    for (const name of changed) {
      if (name === '') continue;
      const folder = tree.within(Buffer.from(name, 'latin1'));
      try {
        await syncPath(folder.reached);
      } finally {
        folder.close();
      }
    }
    await syncPath(tree.reached);
  }
}

const folderOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));
