/**
 * The divergence store: what a former owner wrote and never replicated, whole, before the source's version goes over it.
 *
 *   DIR/mirror/NAME/kept/index   kept-index.ts
 *   DIR/mirror/NAME/kept/N       contents of entry N
 *
 * Invariants:
 * D1  keep() answers 'kept' only when contents and index are durable.
 * D2  The contents together stay below a bound; what does not fit is answered as 'full', and the caller waits.
 * D3  Nothing leaves the store except by discard(), which a person calls.
 */

import { closeSync, constants, mkdirSync, openSync, readdirSync, statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { syncFileSystem } from '../../os/contents.ts';
import { Tree } from '../../os/tree.ts';
import type { Divergence, Kept, KeptAnswer } from '../target/types.ts';
import { syncPath } from '../target/staging.ts';
import { codeOf, waitingReason } from '../target/trouble.ts';
import { KeptIndex } from './kept-index.ts';
import type { KeptRow } from './kept-index.ts';
import type { OwnVersion } from './own-version.ts';

/** Entries; each has a line in memory. */
const entriesMax = 1_000_000;
const syncSinglyMax = 8;
const keepBytesMin = 1 << 30;

export type Keeping = { readonly kind: 'kept' } | { readonly kind: 'full'; readonly says: string };

/** Whoever asked was closed as well, and does not ask again. */
const closing: Keeping = { kind: 'full', says: 'this copy is being closed' };

export class KeptStore implements Divergence {
  readonly maxBytes: number;
  readonly #folder: string;
  readonly #self: string;
  readonly #failPoint: (name: string) => void;
  readonly #index: KeptIndex;
  #bytes = 0;
  #closed = false;
  /** One after the other: each has to know what the others took of the room. */
  #turn: Promise<void> = Promise.resolve();

  /** `keepMaxBytes` null: 10 % of the file system, at least 1 GiB. Throws what the file system says. */
  constructor(
    folder: string,
    self: string,
    keepMaxBytes: number | null,
    failPoint: (name: string) => void = () => undefined,
  ) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#folder = folder;
    this.#failPoint = failPoint;
    this.#self = self;
    this.#index = new KeptIndex(folder);
    for (const row of this.#index.rows()) this.#bytes += row.kept ? row.size : 0;
    const { bsize, blocks } = statfsSync(folder);
    this.maxBytes = keepMaxBytes ?? Math.max(keepBytesMin, Math.floor((bsize * blocks) / 10));
    this.#sweep();
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#index.size;
  }

  /**
   * Copies all of them aside, or none. A version that is kept already (same path, epoch, size and time) is not kept
   * again, so that doing it once more after a crash adds nothing. Throws errors that are no full disk.
   */
  keep(tree: Tree, versions: readonly OwnVersion[]): Promise<Keeping> {
    const keeping = this.#turn.then(() => this.#keep(tree, versions));
    this.#turn = keeping.then(
      () => undefined,
      () => undefined,
    );
    return keeping;
  }

  /**
   * Nothing is kept any more. Resolves when what was under way has ended, whole or not at all: whoever opens the folder
   * next throws away what is not in the index.
   */
  close(): Promise<void> {
    this.#closed = true;
    return this.#turn;
  }

  async #keep(tree: Tree, versions: readonly OwnVersion[]): Promise<Keeping> {
    if (this.#closed) return closing;
    const rows = versions.filter((version) => !this.#has(version)).map((version) => this.#rowOf(version));
    const more = rows.reduce((sum, row) => sum + (row.kept ? row.size : 0), 0);
    if (this.#bytes + more > this.maxBytes || this.entries + rows.length > entriesMax) {
      return { kind: 'full', says: this.#fullSays(more) };
    }
    const written: number[] = [];
    try {
      for (const row of rows) {
        if (row.attributes?.kind !== 'file') continue;
        written.push(row.number);
        if (!(await this.#copyIn(tree, row))) {
          for (const number of written) this.#drop(number);
          return closing;
        }
        this.#failPoint('keep:copied');
      }
      await this.#sync(written);
      this.#failPoint('keep:durable');
      this.#index.add(rows);
      this.#failPoint('keep:kept');
    } catch (error) {
      for (const number of written) this.#drop(number);
      const reason = waitingReason(error);
      if (reason === null) throw error;
      return { kind: 'full', says: `what only exists here can't be kept aside: ${reason}` };
    }
    this.#bytes += more;
    return { kind: 'kept' };
  }

  list(): readonly Kept[] {
    return this.#index.rows();
  }

  show(path: Buffer): Kept | null {
    return this.#index.of(path).at(-1) ?? null;
  }

  /** Of a folder, everything that was kept beneath it. Of several versions of one path, the last one. */
  restore(path: Buffer, to: string): KeptAnswer {
    const rows = new Map<string, KeptRow>();
    for (const row of this.#index.rows()) {
      if (row.kept && isBeneath(row.path, path)) rows.set(row.path.toString('latin1'), row);
    }
    if (rows.size === 0) return { kind: 'failed', says: `nothing is kept of ${path.toString()}` };
    let tree: Tree;
    try {
      tree = Tree.open(to);
    } catch (error) {
      return { kind: 'failed', says: `${to} can't be opened: ${codeOf(error)}` };
    }
    try {
      const cut = path.lastIndexOf(0x2f) + 1;
      for (const row of rows.values()) this.#copyOut(tree, row, row.path.subarray(cut));
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

  discard(path: Buffer | null): KeptAnswer {
    const rows = this.#index.rows().filter((row) => path === null || isBeneath(row.path, path));
    if (rows.length === 0 && path !== null)
      return { kind: 'failed', says: `nothing is kept of ${path.toString()}` };
    try {
      this.#index.discard(rows.map((row) => row.number));
      for (const row of rows) {
        if (row.kept) this.#bytes -= row.size;
        this.#drop(row.number);
      }
      return { kind: 'done' };
    } catch (error) {
      if (codeOf(error) === '') throw error;
      return { kind: 'failed', says: String(error) };
    }
  }

  #has(version: OwnVersion): boolean {
    return this.#index.of(version.path).some((row) => {
      if (row.epoch !== version.epoch || row.change !== version.change) return false;
      const [a, b] = [row.attributes, version.attributes];
      if (a === null || b === null) return a === b;
      return a.size === b.size && a.mtimeS === b.mtimeS && a.mtimeNs === b.mtimeNs;
    });
  }

  #rowOf(version: OwnVersion): KeptRow {
    const { path, attributes, change, epoch } = version;
    const modifiedMs =
      attributes === null ? Date.now() : attributes.mtimeS * 1_000 + Math.floor(attributes.mtimeNs / 1e6);
    const size = attributes?.kind === 'file' ? attributes.size : 0;
    const number = this.#index.nextNumber();
    const kept = attributes !== null;
    return {
      number,
      path: Buffer.from(path),
      size,
      modifiedMs,
      change,
      from: this.#self,
      epoch,
      kept,
      attributes,
    };
  }

  #fullSays(more: number): string {
    return (
      `what only exists here does not fit into the store of diverged files: ${String(this.#bytes)} of ` +
      `${String(this.maxBytes)} bytes are kept, ${String(more)} more are needed; discard some, or raise keepMax`
    );
  }

  /** False: closed meanwhile. */
  async #copyIn(tree: Tree, row: KeptRow): Promise<boolean> {
    const from = tree.openRead(row.path);
    try {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC;
      const to = openSync(join(this.#folder, String(row.number)), flags, 0o600);
      try {
        const slices = tree.copySlices(from, to);
        while (slices.next().done !== true) {
          if (this.#closed) return false;
          await setImmediate();
        }
        return true;
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  }

  #copyOut(tree: Tree, row: KeptRow, path: Buffer): void {
    const { attributes } = row;
    if (attributes === null) return;
    for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, at + 1)) {
      const folder = path.subarray(0, at);
      if (tree.stat(folder) === null) tree.makeFolder(folder, 0o700);
    }
    if (attributes.kind === 'folder') {
      if (tree.stat(path) === null) tree.makeFolder(path, attributes.mode);
    } else if (attributes.kind === 'link') {
      tree.makeLink(path, attributes.link);
    } else if (attributes.kind === 'fifo') {
      tree.makeFifo(path, attributes.mode);
    } else if (attributes.kind === 'block' || attributes.kind === 'char') {
      const { kind, mode, deviceMajor, deviceMinor } = attributes;
      tree.makeDevice(path, kind, mode, deviceMajor, deviceMinor);
    } else {
      const to = tree.createFile(path, 0o600);
      const from = openSync(join(this.#folder, String(row.number)), 'r');
      try {
        tree.cloneOrCopy(from, to);
        tree.setExtended(to, attributes.extended);
        tree.setAttributes(to, attributes);
      } finally {
        closeSync(from);
        closeSync(to);
      }
    }
  }

  /** D1. Many at once are cheaper with one sync of the file system. */
  async #sync(numbers: readonly number[]): Promise<void> {
    if (numbers.length <= syncSinglyMax) {
      const paths = [...numbers.map((number) => join(this.#folder, String(number))), this.#folder];
      await Promise.all(paths.map((path) => syncPath(path)));
      return;
    }
    const fd = openSync(this.#folder, 'r');
    try {
      await syncFileSystem(fd);
    } finally {
      closeSync(fd);
    }
  }

  #drop(number: number): void {
    try {
      unlinkSync(join(this.#folder, String(number)));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }

  /** Contents without a line: a crash came between the two, and nothing was overwritten yet. */
  #sweep(): void {
    const named = new Set(this.#index.rows().map((row) => String(row.number)));
    for (const name of readdirSync(this.#folder)) {
      if (/^\d+$/.test(name) && !named.has(name)) this.#drop(Number(name));
    }
  }
}

function isBeneath(path: Buffer, folder: Buffer): boolean {
  if (path.equals(folder) || folder.length === 0) return true;
  return (
    path.length > folder.length &&
    path[folder.length] === 0x2f &&
    path.subarray(0, folder.length).equals(folder)
  );
}
