/**
 * The divergence store: what a former owner wrote and never replicated, whole, before the source's version goes over it.
 *
 *   DIR/mirror/NAME/kept/index   kept-index.ts
 *   DIR/mirror/NAME/kept/N       contents of entry N
 *
 * Invariants:
 * D1  keep() answers 'kept' only when contents and index are durable.
 * D2  The contents together stay below a bound; what does not fit is answered as 'full', and the caller waits. Only a takeover
 *     does not wait.
 * D3  Nothing leaves the store except by discard(), which a person calls.
 * D4  One at a time keeps, discards and tidies. Others may open the folder meanwhile, to read: contents without a line may be about
 *     to get theirs.
 */

import { closeSync, constants, mkdirSync, openSync, readdirSync, statfsSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { syncFileSystem, syncPath } from '../../os/contents.ts';
import type { Tree } from '../../os/tree.ts';
import { isBeneath } from '../source/path.ts';
import type { Divergence, Kept, KeptAnswer, Watched } from '../target/types.ts';
import { codeOf, waitingReason } from '../target/trouble.ts';
import { isSame, sameContents } from './kept-entry.ts';
import { KeptIndex } from './kept-index.ts';
import type { KeptRow } from './kept-index.ts';
import type { OwnVersion } from './own-version.ts';
import { Restoration, syncSinglyMax, unwatched } from './restoration.ts';

/** Entries; each has a line in memory. */
const entriesMax = 1_000_000;
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
  }

  /** D4: what a former life left half done is thrown away: contents without a line, of which nothing was overwritten yet. */
  tidy(): void {
    this.#index.tidy();
    const named = new Set(this.#index.rows().map((row) => String(row.number)));
    for (const name of readdirSync(this.#folder)) {
      if (/^\d+$/.test(name) && !named.has(name)) this.#drop(Number(name));
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  get entries(): number {
    return this.#index.size;
  }

  /**
   * Copies all of them aside, or none. A version that is kept already (path, epoch, attributes and contents are the same) is
   * not kept again, so that doing it once more after a crash adds nothing. `beyond`: whatever the bound (D2), because nobody
   * may wait. Throws errors that are no full disk.
   */
  keep(tree: Tree, versions: readonly OwnVersion[], beyond = false): Promise<Keeping> {
    const keeping = this.#turn.then(() => this.#keep(tree, versions, beyond));
    this.#turn = keeping.then(
      () => undefined,
      () => undefined,
    );
    return keeping;
  }

  /**
   * Nothing is kept any more. Resolves when what was under way has ended, whole or not at all: whoever opens the folder
   * next may throw away what is not in the index (D4).
   */
  close(): Promise<void> {
    this.#closed = true;
    return this.#turn;
  }

  async #keep(tree: Tree, versions: readonly OwnVersion[], beyond: boolean): Promise<Keeping> {
    const rows: KeptRow[] = [];
    for (const version of versions) if (!(await this.#has(tree, version))) rows.push(this.#rowOf(version));
    if (this.#closed) return closing;
    const more = rows.reduce((sum, row) => sum + (row.kept ? row.size : 0), 0);
    if ((!beyond && this.#bytes + more > this.maxBytes) || this.entries + rows.length > entriesMax) {
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
    } catch (error) {
      for (const number of written) this.#drop(number);
      const reason = waitingReason(error);
      if (reason === null) throw error;
      return { kind: 'full', says: `what only exists here can't be kept aside: ${reason}` };
    }
    this.#bytes += more;
    this.#failPoint('keep:kept');
    return { kind: 'kept' };
  }

  list(): readonly Kept[] {
    return this.#index.rows();
  }

  show(path: Buffer): Kept | null {
    return this.#index.of(path).at(-1) ?? null;
  }

  /** Of a folder, everything that was kept beneath it. Of several versions of one path, the last one. */
  async restore(path: Buffer, to: string, watched: Watched = unwatched): Promise<KeptAnswer> {
    const rows = new Map<string, KeptRow>();
    for (const row of this.#index.rows()) {
      if (row.kept && isBeneath(row.path, path)) rows.set(row.path.toString('latin1'), row);
    }
    if (rows.size === 0) return { kind: 'failed', says: `nothing is kept of ${path.toString()}` };
    const cut = path.lastIndexOf(0x2f) + 1;
    return new Restoration([...rows.values()], cut, this.#folder, watched).run(to);
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

  async #has(tree: Tree, version: OwnVersion): Promise<boolean> {
    for (const row of this.#index.of(version.path)) {
      if (row.epoch !== version.epoch || row.change !== version.change) continue;
      const [a, b] = [row.attributes, version.attributes];
      if (a === null || b === null) {
        if (a === b) return true;
      } else if (isSame(a, b) && (a.kind !== 'file' || (await this.#holds(tree, row)))) return true;
    }
    return false;
  }

  /** Size and time are those of another edit as well, where a program set them back. */
  async #holds(tree: Tree, row: KeptRow): Promise<boolean> {
    const kept = this.#openKept(row.number);
    if (kept === null) return false;
    try {
      const from = tree.openRead(row.path);
      try {
        return await sameContents(from, kept, () => this.#closed);
      } finally {
        closeSync(from);
      }
    } finally {
      closeSync(kept);
    }
  }

  /** Null: its contents are not there, whoever took them. */
  #openKept(number: number): number | null {
    try {
      return openSync(join(this.#folder, String(number)), 'r');
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return null;
    }
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

  /** D1. Many at once are cheaper with one sync of the file system. */
  async #sync(numbers: readonly number[]): Promise<void> {
    if (numbers.length <= syncSinglyMax) {
      const paths = [...numbers.map((number) => join(this.#folder, String(number))), this.#folder];
      await Promise.all(paths.map((path) => syncPath(path)));
      return;
    }
    await syncPath(this.#folder, syncFileSystem);
  }

  #drop(number: number): void {
    try {
      unlinkSync(join(this.#folder, String(number)));
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
  }
}
