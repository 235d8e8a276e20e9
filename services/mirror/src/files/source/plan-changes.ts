/**
 * What a batch does to bring a target from one state of the source to the present one (plan.ts has the order).
 *
 * H1. What is certain: the target holds the state at `from`, but for what is doubtful (own changes of the target; files
 *     that changed while the first copy was made). What is doubtful is never moved, patched or linked to: it is removed
 *     at its former place and sent whole.
 * H2. A changed entry is sent once: new or doubtful whole, moved as a move, a big file as the blocks that changed, and
 *     what only got other attributes as these.
 * H3. Below the catalog's exactSince a number tells less than the target may hold: what this copy got as a target is
 *     recorded at a later number than its source had for it. So what is not known to have been there at `from` goes from
 *     the place that it had at exactSince.
 */

import { contentsDiffer } from '../../catalog/catalog.ts';
import type { Catalog, Change, Entry } from '../../catalog/types.ts';
import type { Segment } from '../../os/types.ts';
import { PlanBuilder, type BatchPlan } from './plan.ts';
import { joined } from './path.ts';

/** From this size on, files are sent as changed blocks. */
export const patchBytesMin = 1 << 20;
const yieldEvery = 256;

export interface ChangesOptions {
  readonly catalog: Catalog;
  /** The state that the target holds. */
  readonly from: number;
  readonly changes: readonly Change[];
  /** Whether what was at this path may be different at the target, or something beneath it. */
  readonly isDoubtful: (path: Buffer, kind: Entry['attributes']['kind']) => boolean;
  /** Whether the blocks of a big file at `from` are known, so that those that changed can be told. */
  readonly isPatchable: (entry: Entry) => boolean;
  /** What the target asked for when both compared. */
  readonly wanted: readonly Wanted[];
  /** The last sequence number when they did. */
  readonly offered: number;
}

/** A path of which the target has something else. */
export interface Wanted {
  readonly path: Buffer;
  /** Nothing of it is of use there. */
  readonly whole: boolean;
  /** Else: of its contents, only these. */
  readonly ranges: readonly Segment[];
}

/** Yields now and then, so that the caller can give way. Throws PlanTooLarge. */
export function* planChanges(options: ChangesOptions): Generator<undefined, BatchPlan> {
  return yield* new ChangesPlanner(options).plan();
}

class ChangesPlanner {
  readonly #options: ChangesOptions;
  readonly #catalog: Catalog;
  readonly #builder: PlanBuilder;
  /** P4 (plan.ts): by inode, the name that the others are linked to. */
  readonly #anchors = new Map<number, Entry>();
  #work = 0;

  constructor(options: ChangesOptions) {
    this.#options = options;
    this.#catalog = options.catalog;
    this.#builder = new PlanBuilder(options.catalog);
  }

  *plan(): Generator<undefined, BatchPlan> {
    for (const wanted of this.#options.wanted) yield* this.#want(wanted);
    for (const change of this.#options.changes) {
      if (this.#due()) yield;
      if (change.kind === 'gone') this.#gone(change);
      else yield* this.#entry(change.entry);
    }
    return this.#builder.finish((id) => this.#catalog.pathOf(id));
  }

  #due(): boolean {
    this.#work += 1;
    return this.#work % yieldEvery === 0;
  }

  *#want(wanted: Wanted): Generator<undefined> {
    const { path } = wanted;
    const entry = this.#catalog.byPath(path);
    if (entry === null) this.#builder.remove(path);
    else if (!want(this.#builder, wanted, entry, this.#options.offered)) yield* this.#putTree(entry, path);
  }

  #gone({ id, tombstone }: Extract<Change, { kind: 'gone' }>): void {
    const before = this.#catalog.pathAt(id, this.#options.from);
    if (before === null) {
      const later = this.#placeWhenExact(id);
      if (later !== null) this.#builder.remove(later);
      return;
    }
    const inPlace = tombstone.placed <= this.#options.from && tombstone.kind !== 'folder';
    this.#builder.remove(before, inPlace ? tombstone.parent : null);
  }

  *#entry(entry: Entry): Generator<undefined> {
    const path = this.#catalog.pathOf(entry.id);
    if (path === null) return;
    const { from, isDoubtful } = this.#options;
    const { kind } = entry.attributes;
    const before = this.#catalog.pathAt(entry.id, from);
    if (before === null) {
      const later = this.#placeWhenExact(entry.id);
      if (later === null || later.equals(path)) {
        this.#put(entry, path);
        return;
      }
      this.#builder.remove(later);
      yield* this.#putTree(entry, path);
      return;
    }
    const doubtful = isDoubtful(before, kind) || isDoubtful(path, kind);
    if (entry.placed > from && path.length > 0) {
      if (doubtful || this.#needsWhole(entry)) {
        this.#builder.remove(before);
        if (doubtful) yield* this.#putTree(entry, path);
        else this.#put(entry, path);
      } else {
        this.#builder.move(before, path, entry);
        if (contentsDiffer(entry, from)) this.#contents(entry, path, false);
        this.#builder.set(path, entry);
      }
      return;
    }
    if (kind === 'folder') {
      if (doubtful && path.length > 0) this.#put(entry, path);
      this.#builder.set(path, entry);
    } else if (kind === 'file' && !doubtful && !contentsDiffer(entry, from)) {
      this.#builder.set(path, entry);
    } else {
      this.#contents(entry, path, doubtful);
    }
  }

  /** H3. Null where the numbers are exact, and where it was not there. */
  #placeWhenExact(id: number): Buffer | null {
    const { exactSince } = this.#catalog;
    return this.#options.from < exactSince ? this.#catalog.pathAt(id, exactSince) : null;
  }

  /** Of a moved entry that is not doubtful: its contents can't be mended at its new place. */
  #needsWhole(entry: Entry): boolean {
    const { kind, size } = entry.attributes;
    if (kind === 'folder') return false;
    // Whatever is no file is sent anew for a change of any kind, and its other names with it.
    if (kind !== 'file' && entry.nlink > 1) return true;
    if (!contentsDiffer(entry, this.#options.from)) return false;
    return kind !== 'file' || size < patchBytesMin || entry.nlink > 1 || !this.#options.isPatchable(entry);
  }

  #contents(entry: Entry, path: Buffer, doubtful: boolean): void {
    const { kind, size } = entry.attributes;
    const patchable = kind === 'file' && !doubtful && size >= patchBytesMin && entry.nlink === 1;
    // What was compared after the last change needs no more than what the target asked for.
    const compared = this.#builder.has(path)?.kind === 'ranges' && entry.sequence <= this.#options.offered;
    if (compared) return;
    if (!patchable || !this.#options.isPatchable(entry)) this.#put(entry, path);
    else this.#builder.make({ kind: 'patch', path, entry, since: this.#options.from });
  }

  /** P4 (plan.ts). */
  #put(entry: Entry, path: Buffer): void {
    if (entry.nlink > 1 && entry.attributes.kind !== 'folder') {
      const anchor = this.#anchor(entry);
      const to = anchor.id === entry.id ? null : this.#catalog.pathOf(anchor.id);
      if (to !== null) {
        this.#builder.make({ kind: 'hard-link', path, entry, to });
        return;
      }
    }
    this.#builder.make({ kind: 'put', path, entry });
  }

  #anchor(entry: Entry): Entry {
    const known = this.#anchors.get(entry.inode);
    if (known !== undefined) return known;
    const names = this.#catalog.linked(entry.inode);
    // What is no file is made anew when it changed, and then no name that the target has is a name of it.
    const isFile = entry.attributes.kind === 'file';
    const anchor = (isFile ? names.find((name) => this.#holds(name)) : undefined) ?? entry;
    this.#anchors.set(entry.inode, anchor);
    const to = this.#catalog.pathOf(anchor.id);
    if (to === null || anchor.id !== entry.id) return anchor;
    // The target has no name of it for certain: all of them are linked to this one, also those that did not change.
    for (const name of names) {
      const path = name.id === entry.id ? null : this.#catalog.pathOf(name.id);
      if (path !== null) this.#builder.make({ kind: 'hard-link', path, entry: name, to });
    }
    return anchor;
  }

  /** The target has this name with the present contents. */
  #holds(entry: Entry): boolean {
    const { from, isDoubtful } = this.#options;
    if (contentsDiffer(entry, from)) return false;
    const before = this.#catalog.pathAt(entry.id, from);
    const path = this.#catalog.pathOf(entry.id);
    return before !== null && path !== null && !isDoubtful(before, 'file') && !isDoubtful(path, 'file');
  }

  /** An entry with everything beneath it, as new. */
  *#putTree(entry: Entry, path: Buffer): Generator<undefined> {
    if (this.#due()) yield;
    // What moved there comes with everything beneath it.
    if (this.#builder.has(path)?.kind === 'place') return;
    this.#put(entry, path);
    if (entry.attributes.kind !== 'folder') return;
    for (let after: Buffer | null = null; ;) {
      const children: readonly Entry[] = this.#catalog.children(entry.id, after, 1_000);
      for (const child of children) yield* this.#putTree(child, joined(path, child.name));
      const last = children.at(-1);
      if (last === undefined) return;
      after = last.name;
    }
  }
}

/** What is wanted of an entry but its whole; false: the whole has to be sent. */
export function want(builder: PlanBuilder, wanted: Wanted, entry: Entry, offered: number): boolean {
  const { path, whole, ranges } = wanted;
  const { kind, size } = entry.attributes;
  if (path.length === 0) {
    builder.set(path, entry);
    return true;
  }
  // Whether its names are one file there, too, nobody compared.
  if (whole || kind === 'link' || (entry.nlink > 1 && kind !== 'folder')) return false;
  // A folder that the target brought with it is made, so that what comes beneath it in this batch has a folder.
  if (kind === 'folder') {
    builder.make({ kind: 'put', path, entry });
    return true;
  }
  if (kind !== 'file' || (ranges.length === 0 && entry.sequence <= offered)) {
    builder.set(path, entry);
    return true;
  }
  if (size < patchBytesMin || entry.sequence > offered) return false;
  builder.make({ kind: 'ranges', path, entry, ranges });
  return true;
}
