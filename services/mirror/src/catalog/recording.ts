/**
 * The target's side: what was applied, with the source's numbers and this side's own inodes and times.
 *
 * R1. Numbers never fall; all of a batch has the number of its end, so what lies between two ends is not known (C1 of types.ts).
 */
import type { EntryTable } from './entry-table.ts';
import { setLocal } from './observing.ts';
import type { Placing } from './placing.ts';
import { type Row, blankRow, setAttributes } from './row.ts';
import type { Tables } from './tables.ts';
import { type EntryAttributes, rootId } from './types.ts';
import type { Stat } from '../os/types.ts';

export class Recording {
  readonly #tables: Tables;
  readonly #entries: EntryTable;
  readonly #placing: Placing;

  constructor(tables: Tables, entries: EntryTable, placing: Placing) {
    this.#tables = tables;
    this.#entries = entries;
    this.#placing = placing;
  }

  put(path: Buffer, attributes: EntryAttributes, local: Stat, sequence: number, contents: boolean): number {
    this.#reach(sequence);
    const { parent, name } = this.#place(path);
    const before = this.#entries.rowAt(parent, name);
    if (before !== null && before.kind !== attributes.kind) {
      throw new Error(`a ${before.kind} has to be removed before a ${attributes.kind} takes its place`);
    }
    const { state } = this.#tables;
    const id = path.length === 0 ? rootId : state.nextId;
    const row: Row = before === null ? blankRow(id, parent, Buffer.from(name)) : { ...before };
    setAttributes(row, attributes);
    setLocal(row, local);
    row.sequence = sequence;
    row.racy = false;
    if (contents || before === null) {
      row.contents = sequence;
      row.suspect = false;
      row.digest = null;
    }
    if (before === null) {
      if (id !== rootId) state.nextId += 1;
      row.placed = sequence;
      this.#entries.insert(row, id !== rootId);
    } else {
      this.#entries.replace(before, row);
    }
    return row.id;
  }

  taken(path: Buffer, sequence: number): number | null {
    this.#reach(sequence);
    const place = this.#entries.placeAt(path);
    const row = place === null ? null : this.#entries.rowAt(place.parent, place.name);
    if (row === null) return null;
    this.#placing.detach(row, sequence);
    return row.id;
  }

  placed(id: number, path: Buffer, sequence: number): void {
    this.#reach(sequence);
    const before = this.#placing.detachedRow(id);
    if (before === null) throw new Error(`entry ${String(id)} was not taken from its place`);
    const { parent, name } = this.#place(path);
    if (this.#entries.bytesAt(parent, name) !== null)
      throw new Error('an entry can only be placed where nothing is');
    this.#placing.attach({ ...before, parent, name: Buffer.from(name), sequence, placed: sequence });
  }

  local(id: number, local: Stat): void {
    const before = this.#entries.rowById(id);
    if (before === null) throw new Error(`entry ${String(id)} is not there`);
    const row = { ...before };
    setLocal(row, local);
    this.#entries.replace(before, row);
  }

  sequence(sequence: number): void {
    this.#reach(sequence);
  }

  /** R1. */
  #reach(sequence: number): void {
    const { state } = this.#tables;
    if (!Number.isSafeInteger(sequence) || sequence < state.lastSequence) {
      throw new Error(`number ${String(sequence)} comes after ${String(state.lastSequence)}`);
    }
    state.lastSequence = sequence;
    state.exactSince = sequence;
  }

  #place(path: Buffer): { parent: number; name: Buffer } {
    const place = this.#entries.placeAt(path);
    if (place === null)
      throw new Error(`the folder of ${JSON.stringify(path.toString())} is not in the catalog`);
    return place;
  }
}
