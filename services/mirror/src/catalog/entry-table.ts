/**
 * Live entries, and what is kept beside each: where its id is, its number, its inode, the checksum and the backlog. Every
 * change of a live entry goes through insert(), replace() and take(), so that these can't disagree.
 *
 * N1. An entry of the root's file system is in `inodes`; others are not, because their inode numbers mean something else.
 */
import { hashesAlike, minus, plus } from './checksum.ts';
import { keyOfOne, keyOfPlace, keyOfTwo, rangeKey, rangeOfFolder, rootPlace } from './keys.ts';
import { type Place, pathBy, pathIn } from './place.ts';
import { type Row, decodeRow, encodeRow, rowId, rowIsFolder, rowIsForeignFolder } from './row.ts';
import type { Tables } from './tables.ts';
import { rootId } from './types.ts';

export const LIVE = Buffer.from([1]);
export const GONE = Buffer.from([2]);
const slashByte = 0x2f;
const linkedMax = 1_000;
const sliceRows = 2_000;
/** Fills pages to the last byte. */
const append = { append: true } as const;

export class EntryTable {
  readonly #tables: Tables;
  readonly #place = Buffer.alloc(8 + 255);
  /** The folder that was looked up last: most paths that come one after another share it. */
  #lastFolder: { readonly path: Buffer; readonly id: number } | null = null;
  #lastLive: number | null = null;
  #lastPath: { readonly id: number; readonly path: Buffer } | null = null;

  constructor(tables: Tables) {
    this.#tables = tables;
  }

  /** As it lies in the database; valid until the next call of anything. */
  bytesAt(parent: number, name: Uint8Array): Buffer | null {
    return this.#tables.entries.getBinaryFast(keyOfPlace(parent, name)) ?? null;
  }

  rowAt(parent: number, name: Buffer): Row | null {
    const bytes = this.bytesAt(parent, name);
    return bytes === null ? null : decodeRow(bytes, parent, Buffer.from(name));
  }

  rowById(id: number): Row | null {
    const place = this.placeOf(id);
    if (place === null) return null;
    const row = this.rowAt(place.parent, place.name);
    if (row?.id !== id)
      throw new Error(`the catalog is damaged: entry ${String(id)} is not where its id says`);
    return row;
  }

  placeOf(id: number): Place | null {
    if (id === rootId) return this.bytesAt(rootPlace.parent, rootPlace.name) === null ? null : rootPlace;
    const bytes = this.#tables.ids.getBinary(keyOfOne(id));
    return bytes === undefined ? null : { parent: bytes.readDoubleBE(0), name: bytes.subarray(8) };
  }

  pathOf(id: number): Buffer | null {
    const place = this.placeOf(id);
    if (place === null || id === rootId) return pathBy(id, () => null);
    const folder = this.#pathOfFolder(place.parent);
    return folder === null ? null : pathIn(folder, place.name);
  }

  #pathOfFolder(id: number): Buffer | null {
    if (this.#lastPath?.id === id) return this.#lastPath.path;
    const path = pathBy(id, (one) => this.placeOf(one));
    if (path !== null) this.#lastPath = { id, path };
    return path;
  }

  /** Of a path's folder and of its name; null when the folder is not known. The root is in no folder. */
  placeAt(path: Buffer): Place | null {
    if (path.length === 0) return rootPlace;
    const cut = path.lastIndexOf(slashByte);
    const parent = this.#folderAt(cut < 0 ? path.subarray(0, 0) : path.subarray(0, cut));
    return parent === null ? null : { parent, name: path.subarray(cut + 1) };
  }

  /** It has a place. A folder above it may be detached; then the next sweep takes both. */
  isLive(id: number): boolean {
    if (this.#lastLive === id) return true;
    if (this.placeOf(id) === null) return false;
    this.#lastLive = id;
    return true;
  }

  /** In order of names, after that name. */
  rowsIn(parent: number, after: Buffer | null, limit: number): Row[] {
    const rows: Row[] = [];
    const { start, end } = rangeOfFolder(parent, after);
    const range = { start, end, limit, ...(after === null ? {} : { exclusiveStart: true }) };
    for (const { key, value } of this.#tables.entries.getRange(range)) {
      if (key.length > 8) rows.push(decodeRow(value, parent, Buffer.from(key.subarray(8))));
    }
    return rows;
  }

  /** Folders of another file system, whose own folder is of the root's; some thousand entries are looked at for each slice. */
  *foreignFolders(): Generator<readonly Row[]> {
    let start = Buffer.alloc(0);
    for (;;) {
      const found: Row[] = [];
      let looked = 0;
      const range = { start, exclusiveStart: true, limit: sliceRows };
      for (const { key, value } of this.#tables.entries.getRange(range)) {
        looked += 1;
        if (looked === sliceRows) start = Buffer.from(key);
        if (!rowIsForeignFolder(value)) continue;
        const row = decodeRow(value, key.readDoubleBE(0), Buffer.from(key.subarray(8)));
        if (this.rowById(row.parent)?.foreign === false) found.push(row);
      }
      yield found;
      if (looked < sliceRows) return;
    }
  }

  /** How many entries a folder holds. */
  countIn(parent: number): number {
    return this.#tables.entries.getKeysCount(rangeOfFolder(parent, null));
  }

  /** Ids with this inode. */
  idsOfInode(inode: number): { readonly live: readonly number[]; readonly detached: readonly number[] } {
    const live: number[] = [];
    const detached: number[] = [];
    const range = { start: rangeKey(inode, 0), end: rangeKey(inode, Infinity), limit: linkedMax };
    for (const { key, value } of this.#tables.inodes.getRange(range)) {
      (value[0] === LIVE[0] ? live : detached).push(key.readDoubleBE(8));
    }
    return { live, detached };
  }

  /** `fresh`: its id is new, and its number the last: both are the last of their tables. */
  insert(row: Row, fresh = false): void {
    const { entries, ids, sequences, inodes, buckets, state } = this.#tables;
    entries.putSync(keyOfPlace(row.parent, row.name), encodeRow(row));
    const options = fresh ? append : {};
    if (row.id !== rootId) ids.putSync(keyOfOne(row.id), this.#placeBytes(row), options);
    sequences.putSync(keyOfTwo(row.sequence, row.id), LIVE, options);
    if (!row.foreign) inodes.putSync(keyOfTwo(row.inode, row.id), LIVE);
    buckets.addEntries(row.sequence, 1);
    buckets.addBytes(contentsNumber(row), bytesOf(row));
    state.entries += 1;
    state.checksum = plus(state.checksum, row.name, row);
    if (row.kind === 'folder') this.forget();
  }

  /** The same id at the same place. */
  replace(before: Row, after: Row): void {
    const { entries, sequences, inodes, buckets, state } = this.#tables;
    entries.putSync(keyOfPlace(after.parent, after.name), encodeRow(after));
    if (before.sequence !== after.sequence) {
      sequences.removeSync(keyOfTwo(before.sequence, before.id));
      sequences.putSync(keyOfTwo(after.sequence, after.id), LIVE);
      buckets.addEntries(before.sequence, -1);
      buckets.addEntries(after.sequence, 1);
    }
    if (before.inode !== after.inode || before.foreign !== after.foreign) {
      if (!before.foreign) inodes.removeSync(keyOfTwo(before.inode, before.id));
      if (!after.foreign) inodes.putSync(keyOfTwo(after.inode, after.id), LIVE);
    }
    buckets.addBytes(contentsNumber(before), -bytesOf(before));
    buckets.addBytes(contentsNumber(after), bytesOf(after));
    if (hashesAlike(before, after)) return;
    state.checksum = plus(minus(state.checksum, before.name, before), after.name, after);
  }

  /** Out of the tree. What becomes of it, and of what is in it, is for the caller. */
  take(row: Row): void {
    const { entries, ids, sequences, inodes, buckets, state } = this.#tables;
    entries.removeSync(keyOfPlace(row.parent, row.name));
    ids.removeSync(keyOfOne(row.id));
    sequences.removeSync(keyOfTwo(row.sequence, row.id));
    if (!row.foreign) inodes.removeSync(keyOfTwo(row.inode, row.id));
    buckets.addEntries(row.sequence, -1);
    buckets.addBytes(contentsNumber(row), -bytesOf(row));
    state.entries -= 1;
    state.checksum = minus(state.checksum, row.name, row);
    if (row.kind === 'folder') this.forget();
  }

  /** The tables changed by other means (a transaction was undone). */
  forget(): void {
    this.#lastFolder = null;
    this.#lastLive = null;
    this.#lastPath = null;
  }

  #folderAt(path: Buffer): number | null {
    if (this.#lastFolder?.path.equals(path) === true) return this.#lastFolder.id;
    let id = rootId;
    for (let start = 0; start < path.length;) {
      const found = path.indexOf(slashByte, start);
      const end = found < 0 ? path.length : found;
      const bytes = this.bytesAt(id, path.subarray(start, end));
      // What was a file when it was looked at last holds nothing.
      if (bytes === null || !rowIsFolder(bytes)) return null;
      id = rowId(bytes);
      start = end + 1;
    }
    if (path.length === 0 && this.bytesAt(rootPlace.parent, rootPlace.name) === null) return null;
    this.#lastFolder = { path: Buffer.from(path), id };
    return id;
  }

  #placeBytes(place: Place): Buffer {
    this.#place.writeDoubleBE(place.parent, 0);
    place.name.copy(this.#place, 8);
    return this.#place.subarray(0, 8 + place.name.length);
  }
}

function bytesOf(row: Row): number {
  return row.kind === 'file' ? row.size : 0;
}

/** From which number on the contents have to be looked at. */
function contentsNumber(row: Row): number {
  return row.suspect ? row.sequence : row.contents;
}
