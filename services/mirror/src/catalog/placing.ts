/**
 * Where entries were: former places and tombstones, entries that are detached and may turn up elsewhere, and the sweep that
 * makes it final (C2 to C4 of types.ts).
 *
 * P1. A former place says: from `placed` on, and before `until`, the id was there. A tombstone is a former place that
 *     nothing followed. No two of an id overlap; there is a gap when it was detached for a while.
 * P2. What was placed and left with one and the same number was at that place in no state that anybody knows: no former
 *     place is kept of it. (Only a target gives several changes one number.)
 * P3. What lay beneath a folder that is gone gets tombstones with the folder's number, or with its own when that is higher.
 */
import { type EntryTable, GONE } from './entry-table.ts';
import { type Place, pathBy, pathIn } from './place.ts';
import { keyOfOne, keyOfTwo, rangeKey } from './keys.ts';
import { type Row, decodeRow, encodeRow, kindCode, kindOfCode, rowPlaced } from './row.ts';
import type { Table } from './environment.ts';
import type { Tables } from './tables.ts';
import { type Tombstone, rootId } from './types.ts';

const nothing = Buffer.from([0]);
const sweepRows = 500;
const collectRows = 2_000;
const formerFixed = 18;
const detachedFixed = 17;

interface Former extends Place {
  readonly placed: number;
  readonly kind: number;
  readonly gone: boolean;
}

export class Placing {
  readonly #tables: Tables;
  readonly #entries: EntryTable;
  /** The path of the folder that was asked for last, at a number; good until something is written. */
  #lastPath: {
    readonly id: number;
    readonly sequence: number;
    readonly writes: number;
    readonly path: Buffer;
  } | null = null;

  constructor(tables: Tables, entries: EntryTable) {
    this.#tables = tables;
    this.#entries = entries;
  }

  /** Takes an entry out of the tree; attach() may put it somewhere else before the next sweep. */
  detach(row: Row, gone: number): void {
    if (row.id === rootId) throw new Error('the root of a mirror is gone');
    this.#leave(row, gone);
    this.#tables.detached.putSync(keyOfOne(row.id), detachedBytes(row, gone));
    if (!row.foreign) this.#tables.inodes.putSync(keyOfTwo(row.inode, row.id), GONE);
    this.#tables.state.detached += 1;
  }

  /** A detached entry as it was, with its former place; null: it is not detached. */
  detachedRow(id: number): Row | null {
    const bytes = this.#tables.detached.getBinary(keyOfOne(id));
    return bytes === undefined ? null : detachedOf(bytes).row;
  }

  /** Puts a detached entry, as `row` now says, into the tree. */
  attach(row: Row): void {
    const { detached, inodes, sequences, buckets, state } = this.#tables;
    const bytes = detached.getBinary(keyOfOne(row.id));
    if (bytes === undefined) throw new Error(`entry ${String(row.id)} is not detached`);
    const { row: before, gone } = detachedOf(bytes);
    detached.removeSync(keyOfOne(row.id));
    state.detached -= 1;
    if (!before.foreign) inodes.removeSync(keyOfTwo(before.inode, row.id));
    const former = this.#former(gone, row.id);
    if (former?.gone === true) {
      // It is not gone: what was its tombstone is a former place.
      this.#tables.places.putSync(keyOfTwo(gone, row.id), formerBytes({ ...former, gone: false }));
      sequences.removeSync(keyOfTwo(gone, row.id));
      buckets.addEntries(gone, -1);
    }
    this.#entries.insert(row);
  }

  /** From its place to that of `row`, in one step. */
  move(before: Row, row: Row): void {
    this.#entries.take(before);
    this.#keepFormer(before, row.placed, false);
    this.#entries.insert(row);
  }

  /** Would it lie within itself at `parent`? */
  contains(id: number, parent: number): boolean {
    if (id === parent) return true;
    return (
      pathBy(parent, (one) => {
        const place = this.#entries.placeOf(one);
        return place?.parent === id ? null : place;
      }) === null
    );
  }

  /** C3 (types.ts). */
  pathAt(id: number, sequence: number): Buffer | null {
    const place = id === rootId ? null : this.#placeAt(id, sequence);
    if (place === null) return pathBy(id, () => null);
    const folder = this.#folderAt(place.parent, sequence);
    return folder === null ? null : pathIn(folder, place.name);
  }

  #folderAt(id: number, sequence: number): Buffer | null {
    const { writes, isWriting } = this.#tables;
    const last = this.#lastPath;
    if (last?.id === id && last.sequence === sequence && last.writes === writes) return last.path;
    const path = pathBy(id, (one) => this.#placeAt(one, sequence));
    this.#lastPath = path === null || isWriting ? null : { id, sequence, writes, path };
    return path;
  }

  tombstone(gone: number, id: number): Tombstone {
    const former = this.#former(gone, id);
    if (former === null) throw new Error(`the catalog is damaged: no tombstone of ${String(id)}`);
    const { parent, name, placed } = former;
    return { id, kind: kindOfCode(former.kind), parent, name, placed, gone };
  }

  /** One slice, within a transaction: makes some of what is detached final. `linked`: inodes of what had more names. */
  sweepSome(linked: (inode: number) => void): void {
    const { detached, inodes, state } = this.#tables;
    let rows = 0;
    const final = (row: Row): void => {
      if (row.kind !== 'folder' && row.nlink > 1 && !row.foreign) linked(row.inode);
    };
    for (const { value } of slice(detached, sweepRows)) {
      const { row, gone } = detachedOf(value);
      const inner = row.kind === 'folder' ? this.#entries.rowsIn(row.id, null, sweepRows) : [];
      for (const child of inner) {
        const number = Math.max(gone, child.sequence);
        if (child.kind === 'folder') this.detach(child, number);
        else {
          this.#leave(child, number);
          final(child);
        }
      }
      if (inner.length < sweepRows) {
        final(row);
        detached.removeSync(keyOfOne(row.id));
        if (!row.foreign) inodes.removeSync(keyOfTwo(row.inode, row.id));
        state.detached -= 1;
      }
      rows += 1 + inner.length;
      if (rows >= sweepRows) return;
    }
  }

  /** One slice, within a transaction: forgets former places up to this number. False: there may be more. */
  collectSome(below: number): boolean {
    const old = slice(this.#tables.places, collectRows, rangeKey(below, Infinity));
    this.#forget(old);
    if (old.length === collectRows) return false;
    const { state } = this.#tables;
    state.horizon = Math.max(state.horizon, Math.min(below, state.lastSequence));
    return true;
  }

  /** The same of the oldest ones, whatever their numbers. */
  collectOldest(): void {
    this.#forget(slice(this.#tables.places, collectRows));
  }

  #forget(old: readonly { readonly key: Buffer; readonly value: Buffer }[]): void {
    const { places, placesOf, sequences, buckets, state } = this.#tables;
    for (const { key, value } of old) {
      const until = key.readDoubleBE(0);
      const id = key.readDoubleBE(8);
      places.removeSync(key);
      placesOf.removeSync(keyOfTwo(id, until));
      if (formerOf(value).gone) {
        sequences.removeSync(key);
        buckets.addEntries(until, -1);
      }
    }
    state.places -= old.length;
    state.horizon = Math.max(state.horizon, old.at(-1)?.key.readDoubleBE(0) ?? 0);
  }

  /** Out of the tree, with a tombstone. */
  #leave(row: Row, gone: number): void {
    this.#entries.take(row);
    this.#keepFormer(row, gone, true);
  }

  #keepFormer(row: Row, until: number, gone: boolean): void {
    const { places, placesOf, sequences, buckets, state } = this.#tables;
    let former: Former | null = { ...row, kind: kindCode(row.kind), gone };
    if (row.placed >= until) {
      // P2: what was told of this number before is where it really was.
      former = this.#former(until, row.id);
      if (former === null) return;
      former = { ...former, gone };
    } else {
      state.places += 1;
    }
    const key = keyOfTwo(until, row.id);
    places.putSync(key, formerBytes(former));
    if (gone) {
      sequences.putSync(key, GONE);
      buckets.addEntries(until, 1);
    }
    placesOf.putSync(keyOfTwo(row.id, until), nothing);
  }

  #placeAt(id: number, sequence: number): Place | null {
    const now = this.#entries.placeOf(id);
    if (now !== null) {
      const bytes = this.#entries.bytesAt(now.parent, now.name);
      if (bytes !== null && rowPlaced(bytes) <= sequence) return now;
    }
    const range = {
      start: rangeKey(id, sequence),
      end: rangeKey(id, Infinity),
      exclusiveStart: true,
      limit: 1,
    };
    for (const key of this.#tables.placesOf.getKeys(range)) {
      const former = this.#former(key.readDoubleBE(8), id);
      return former !== null && former.placed <= sequence ? former : null;
    }
    return null;
  }

  #former(until: number, id: number): Former | null {
    const bytes = this.#tables.places.getBinary(keyOfTwo(until, id));
    return bytes === undefined ? null : formerOf(bytes);
  }
}

function slice(table: Table, limit: number, end?: Buffer): { key: Buffer; value: Buffer }[] {
  const rows: { key: Buffer; value: Buffer }[] = [];
  for (const { key, value } of table.getRange({ limit, ...(end === undefined ? {} : { end }) })) {
    rows.push({ key: Buffer.from(key), value: Buffer.from(value) });
  }
  return rows;
}

function formerBytes(former: Former): Buffer {
  const bytes = Buffer.alloc(formerFixed + former.name.length);
  bytes.writeDoubleBE(former.placed, 0);
  bytes.writeDoubleBE(former.parent, 8);
  bytes[16] = former.kind;
  bytes[17] = former.gone ? 1 : 0;
  former.name.copy(bytes, formerFixed);
  return bytes;
}

function formerOf(bytes: Buffer): Former {
  return {
    placed: bytes.readDoubleBE(0),
    parent: bytes.readDoubleBE(8),
    kind: bytes[16] ?? 0,
    gone: bytes[17] === 1,
    name: bytes.subarray(formerFixed),
  };
}

function detachedBytes(row: Row, gone: number): Buffer {
  const fixed = Buffer.alloc(detachedFixed);
  fixed.writeDoubleBE(gone, 0);
  fixed.writeDoubleBE(row.parent, 8);
  fixed[16] = row.name.length;
  return Buffer.concat([fixed, row.name, encodeRow(row)]);
}

function detachedOf(bytes: Buffer): { row: Row; gone: number } {
  const end = detachedFixed + (bytes[16] ?? 0);
  const name = Buffer.from(bytes.subarray(detachedFixed, end));
  return { gone: bytes.readDoubleBE(0), row: decodeRow(bytes.subarray(end), bytes.readDoubleBE(8), name) };
}
