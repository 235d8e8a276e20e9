/**
 * The source's side: compares what the disk says with what is known, and numbers what differs (C1, C6, C7 of types.ts).
 *
 * O1. An entry that is somewhere else than it was is found by its inode. A file with one name, or a folder, can't be at two
 *     places, so the other place is history, whatever it looks like; a file with several names is moved only when the place
 *     that it had is known to be gone.
 * O2. Inode numbers are used again. So what was moved is never taken for unchanged: contents are compared (C6), and beneath a
 *     folder everything is looked at.
 * O3. Inode numbers of other file systems mean something else; entries there are never moved and have no links.
 */
import type { EntryTable } from './entry-table.ts';
import { keyOfPlace, rootPlace } from './keys.ts';
import type { Placing } from './placing.ts';
import { type Row, attributesEqual, blankRow, rowId, rowIsAsOnDisk, setAttributes } from './row.ts';
import type { Tables } from './tables.ts';
import { type Observed, racyMs, rootId } from './types.ts';
import type { Stat } from '../os/types.ts';

/** A clock that is a little ahead of ours; beyond that a time in the future is somebody's invention. */
const aheadMs = 1_000;

export class Observing {
  readonly #tables: Tables;
  readonly #entries: EntryTable;
  readonly #placing: Placing;
  /** O3. Null until the root was looked at: then nothing is known to be on its file system. */
  #device: number | null = null;

  constructor(tables: Tables, entries: EntryTable, placing: Placing) {
    this.#tables = tables;
    this.#entries = entries;
    this.#placing = placing;
  }

  observe(path: Buffer, stat: Stat | null, lookedAtMs: number): Observed {
    if (path.length === 0) return this.#root(stat, lookedAtMs);
    const place = this.#entries.placeAt(path);
    if (place === null) return stat === null ? { kind: 'absent' } : { kind: 'no-parent' };
    return this.at(place.parent, place.name, stat, lookedAtMs);
  }

  /** `parent` has to be a live folder. */
  at(parent: number, name: Buffer, stat: Stat | null, lookedAtMs: number): Observed {
    if (stat?.kind === 'socket') throw new Error('a socket is never mirrored');
    const known = stat === null ? null : this.#knownAs(parent, name, stat);
    if (known !== null) return { kind: 'same', id: rowId(known) };
    return this.#tables.write(() => this.#differs(parent, Buffer.from(name), stat, lookedAtMs));
  }

  isKnown(parent: number, name: Buffer, stat: Stat): boolean {
    return this.#knownAs(parent, name, stat) !== null;
  }

  /** The row, where it says what the disk says. */
  #knownAs(parent: number, name: Buffer, stat: Stat): Buffer | null {
    const bytes = this.#entries.bytesAt(parent, name);
    return bytes !== null && rowIsAsOnDisk(bytes, stat) ? bytes : null;
  }

  #root(stat: Stat | null, lookedAtMs: number): Observed {
    if (stat?.kind !== 'folder') throw new Error('the root of a mirror is gone');
    this.#device = stat.dev;
    const { parent, name } = rootPlace;
    return this.#tables.write(() => {
      const row = this.#entries.rowAt(parent, name);
      if (row !== null) return this.#refresh(row, stat, lookedAtMs);
      return this.#create(parent, name, stat, lookedAtMs);
    });
  }

  #differs(parent: number, name: Buffer, stat: Stat | null, lookedAtMs: number): Observed {
    const row = this.#entries.rowAt(parent, name);
    if (stat === null) {
      if (row === null) return { kind: 'absent' };
      this.#placing.detach(row, this.#next());
      return { kind: 'gone', id: row.id };
    }
    if (row?.inode === stat.inode && row.kind === stat.kind) {
      const observed = this.#refresh(row, stat, lookedAtMs);
      if (observed.kind === 'changed') this.#refreshOthers(row.id, stat, lookedAtMs);
      return observed;
    }
    const moved = this.#movedHere(parent, stat);
    if (moved === 'stale') return { kind: 'no-parent' };
    // What had this name is gone, or somewhere else: then it is found there later.
    if (row !== null) this.#placing.detach(row, this.#next());
    const observed =
      moved === null
        ? this.#create(parent, name, stat, lookedAtMs)
        : this.#move(moved, parent, name, stat, lookedAtMs);
    this.#refreshOthers(observed.id, stat, lookedAtMs);
    return observed;
  }

  /** O1. 'stale': it would lie within itself, so the folders above it are not what is known of them. */
  #movedHere(parent: number, stat: Stat): Row | 'stale' | null {
    if (stat.dev !== this.#device) return null;
    const one = stat.kind === 'folder' || stat.nlink === 1;
    const { live, detached } = this.#entries.idsOfInode(stat.inode);
    for (const id of detached) {
      const row = this.#placing.detachedRow(id);
      if (row?.kind === stat.kind) return row;
    }
    if (!one) return null;
    for (const id of live) {
      const row = this.#entries.rowById(id);
      if (row?.kind !== stat.kind || id === rootId) continue;
      if (stat.kind === 'folder' && this.#placing.contains(id, parent)) return 'stale';
      return row;
    }
    return null;
  }

  #move(
    before: Row,
    parent: number,
    name: Buffer,
    stat: Stat,
    lookedAtMs: number,
  ): Observed & { id: number } {
    const sequence = this.#next();
    const after: Row = { ...before, parent, name, placed: sequence };
    this.#take(after, stat, sequence, lookedAtMs);
    if (this.#placing.detachedRow(before.id) === null) this.#placing.move(before, after);
    else this.#placing.attach(after);
    return { kind: 'moved', id: before.id };
  }

  #create(parent: number, name: Buffer, stat: Stat, lookedAtMs: number): Observed & { id: number } {
    const { state } = this.#tables;
    const sequence = this.#next();
    const root = parent === rootPlace.parent;
    const row = blankRow(root ? rootId : state.nextId, parent, name);
    if (!root) state.nextId += 1;
    this.#take(row, stat, sequence, lookedAtMs);
    row.placed = sequence;
    row.contents = sequence;
    this.#entries.insert(row, !root);
    return { kind: 'new', id: row.id };
  }

  #refresh(row: Row, stat: Stat, lookedAtMs: number): Observed {
    if (!row.racy && this.#isAsOnDisk(row, stat)) return { kind: 'same', id: row.id };
    const after: Row = { ...row };
    this.#take(after, stat, this.#next(), lookedAtMs);
    this.#entries.replace(row, after);
    return { kind: 'changed', id: row.id };
  }

  /** Other names of the same file changed with it. */
  #refreshOthers(id: number, stat: Stat, lookedAtMs: number): void {
    if (stat.kind === 'folder' || stat.nlink < 2 || stat.dev !== this.#device) return;
    for (const other of this.#entries.idsOfInode(stat.inode).live) {
      const row = other === id ? null : this.#entries.rowById(other);
      if (row?.kind === stat.kind) this.#refresh(row, stat, lookedAtMs);
    }
  }

  /** What the disk says, with a new number; whatever it was before, its contents may have changed (C6). */
  #take(row: Row, stat: Stat, sequence: number, lookedAtMs: number): void {
    const written = row.size !== stat.size || row.mtimeS !== stat.mtimeS || row.mtimeNs !== stat.mtimeNs;
    setAttributes(row, stat);
    setLocal(row, stat);
    row.foreign = stat.dev !== this.#device;
    row.sequence = sequence;
    row.racy = isRacy(stat, lookedAtMs);
    if (row.kind === 'folder') return;
    if (row.digest !== null && !written) {
      row.suspect = true;
      return;
    }
    row.contents = sequence;
    row.digest = null;
    row.suspect = false;
  }

  #isAsOnDisk(row: Row, stat: Stat): boolean {
    const bytes = this.#tables.entries.getBinaryFast(keyOfPlace(row.parent, row.name));
    return bytes !== undefined && rowIsAsOnDisk(bytes, stat);
  }

  #next(): number {
    this.#tables.state.lastSequence += 1;
    return this.#tables.state.lastSequence;
  }
}

export function setLocal(row: Row, stat: Stat): void {
  row.inode = stat.inode;
  row.ctimeS = stat.ctimeS;
  row.ctimeNs = stat.ctimeNs;
  row.nlink = stat.nlink;
  row.exact = attributesEqual(row, stat);
}

function isRacy(stat: Stat, lookedAtMs: number): boolean {
  const age = lookedAtMs - changedMs(stat);
  return age < racyMs && age > -aheadMs;
}

/** Wall time of the last change. */
export function changedMs(of: { readonly ctimeS: number; readonly ctimeNs: number }): number {
  return of.ctimeS * 1_000 + of.ctimeNs / 1e6;
}
