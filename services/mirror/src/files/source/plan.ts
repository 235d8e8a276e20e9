/**
 * What a batch does, before any contents are read: the operations in the order of the wire contract.
 *
 * P1. What leaves its name (moved or removed) does so deepest first, in the names from before the batch: a child leaves a
 *     folder before the folder does. What gets a name does so folders first, in the names from after the batch.
 * P2. A name is made once. A whole file wins over changed blocks of it.
 * P3. Folders in which a name was made or taken away get their attributes at last, because that changed their times.
 * P4. Names of one file are sent once and then linked.
 */

import type { Catalog, Entry } from '../../catalog/types.ts';
import type { Segment } from '../../os/types.ts';
import type { Move, Remove } from '../../transport/types.ts';
import { depthOf, folderOf, keyOf } from './path.ts';

export type Made =
  | { readonly kind: 'place'; readonly path: Buffer; readonly slot: number; readonly entry: Entry }
  /** A whole entry. */
  | { readonly kind: 'put'; readonly path: Buffer; readonly entry: Entry }
  /** Blocks that changed since a sequence number. */
  | { readonly kind: 'patch'; readonly path: Buffer; readonly entry: Entry; readonly since: number }
  /** What the target asked for, in bytes. */
  | {
      readonly kind: 'ranges';
      readonly path: Buffer;
      readonly entry: Entry;
      readonly ranges: readonly Segment[];
    }
  | { readonly kind: 'hard-link'; readonly path: Buffer; readonly entry: Entry; readonly to: Buffer }
  /** A folder that is there no more, and is needed as a place until the copy is complete. */
  | { readonly kind: 'stand-in'; readonly path: Buffer };

export interface SetFolder {
  readonly path: Buffer;
  readonly entry: Entry;
}

export interface BatchPlan {
  readonly taken: readonly (Move | Remove)[];
  readonly made: readonly Made[];
  readonly set: readonly SetFolder[];
}

/** Slots of one batch; the target's limit is 65,536. */
const slotsMax = 60_000;

/** There is more to do than fits into one batch. */
export class PlanTooLarge extends Error {}

/** What is gone since then, or was elsewhere, may be forgotten meanwhile: a target would keep it. Throws PlanTooLarge. */
export function checkRemembered({ horizon }: Pick<Catalog, 'horizon'>, since: number): void {
  if (since < horizon) throw new PlanTooLarge('more was removed or moved meanwhile than is remembered');
}

interface Leaving {
  readonly operation: Move | Remove;
  readonly depth: number;
  /** Of a removed entry that is no folder: the id of its folder. */
  readonly replaceableIn: number | null;
}

export class PlanBuilder {
  readonly catalog: Catalog;
  readonly #taken = new Map<string, Leaving>();
  readonly #made = new Map<string, Made>();
  readonly #sets = new Map<string, SetFolder>();
  readonly #touched = new Set<number>();
  #slots = 0;

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  /** `entry` at its new place. */
  move(from: Buffer, to: Buffer, entry: Entry): void {
    if (this.#slots >= slotsMax) throw new PlanTooLarge('more entries moved than one batch can hold');
    this.#slots += 1;
    const operation: Move = { kind: 'move', from, slot: this.#slots };
    this.#taken.set(keyOf(from), { operation, depth: depthOf(from), replaceableIn: null });
    this.#made.set(keyOf(to), { kind: 'place', path: to, slot: this.#slots, entry });
    this.#touched.add(entry.parent);
  }

  /** `replaceableIn`: the id of the folder of what is no folder itself, if what comes in its place may just replace it. */
  remove(path: Buffer, replaceableIn: number | null = null): void {
    const key = keyOf(path);
    if (this.#taken.has(key)) return;
    this.#taken.set(key, { operation: { kind: 'remove', path }, depth: depthOf(path), replaceableIn });
    if (replaceableIn !== null) this.#touched.add(replaceableIn);
  }

  /** P2. */
  make(made: Made): void {
    const there = this.#made.get(keyOf(made.path));
    // What changed of a file that moved comes right after its place.
    const mends = there?.kind === 'place' && made.kind === 'patch';
    const key = mends ? `${keyOf(made.path)}\0` : keyOf(made.path);
    if (
      !mends &&
      there !== undefined &&
      (made.kind !== 'put' || there.kind === 'place' || there.kind === 'hard-link')
    ) {
      return;
    }
    this.#made.set(key, made);
    if (made.kind !== 'stand-in') this.#touched.add(made.entry.parent);
    if (made.kind === 'put' && made.entry.attributes.kind === 'folder') this.set(made.path, made.entry);
  }

  has(path: Buffer): Made | undefined {
    return this.#made.get(keyOf(path));
  }

  set(path: Buffer, entry: Entry): void {
    this.#sets.set(keyOf(path), { path, entry });
  }

  /** `pathOf`: where a folder is for the target after this batch; null: nowhere. */
  finish(pathOf: (id: number) => Buffer | null): BatchPlan {
    for (const id of this.#touched) {
      const entry = this.catalog.byId(id);
      const path = entry?.attributes.kind === 'folder' ? pathOf(id) : null;
      if (entry !== null && path !== null && !this.#sets.has(keyOf(path))) this.set(path, entry);
    }
    const made = [...this.#made.entries()].sort(([a, x], [b, y]) => rank(x) - rank(y) || (a < b ? -1 : 1));
    return {
      taken: this.#leaving(),
      made: made.map(([, one]) => one),
      set: [...this.#sets.values()].sort((a, b) => depthOf(b.path) - depthOf(a.path)),
    };
  }

  /** P1. Nothing is removed that goes with its folder, or that something else replaces. */
  #leaving(): (Move | Remove)[] {
    const all = [...this.#taken.entries()].sort(([, a], [, b]) => b.depth - a.depth);
    return all
      .filter(([key, one]) => one.operation.kind === 'move' || !this.#isCovered(key, one))
      .map(([, o]) => o.operation);
  }

  #isCovered(key: string, one: Leaving): boolean {
    const made = this.#made.get(key);
    const replaces =
      made !== undefined &&
      made.kind !== 'stand-in' &&
      made.entry.attributes.kind !== 'folder' &&
      made.entry.parent === one.replaceableIn;
    if (replaces) return true;
    for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
      const above = this.#taken.get(key.slice(0, at));
      if (above !== undefined) return above.operation.kind === 'remove';
    }
    return false;
  }
}

/** Links come when everything that they lead to is there. */
function rank(made: Made): number {
  return made.kind === 'hard-link' ? 1 : 0;
}

/** The folder of a name that gets one, where it is not known to be there. */
export function standIn(builder: PlanBuilder, path: Buffer, known: Set<string>): void {
  if (path.length === 0 || known.has(keyOf(path))) return;
  known.add(keyOf(path));
  standIn(builder, folderOf(path), known);
  if (builder.has(path) !== undefined) return;
  const entry = builder.catalog.byPath(path);
  if (entry?.attributes.kind === 'folder') builder.make({ kind: 'put', path, entry });
  else builder.make({ kind: 'stand-in', path });
}
