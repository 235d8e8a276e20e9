/**
 * What a former owner wrote and nobody had, before the source's blocks go over it: a log of ranges with their contents
 * (kept-log.ts).
 *
 *   K1  keep() resolves when everything is durable. When that failed nothing of it is there: what is read back might not be on
 *       the disk, and would not be kept again
 *   K2  the contents together stay below `maxBytes`; whoever adds asks `fits` first
 *   K3  nothing goes except by discard(), which a person calls: neither what is added meanwhile, nor what lies behind what
 *       goes. An entry without its contents would seem damaged, so it is marked durably before they go
 *   K4  what is damaged is named, and hides nothing else
 *   K5  entries may be hundreds of thousands: nothing looks through all of them for each, and the event loop gets its turn
 */

import type { Epoch } from '@holdfast/core';
import { errorCode } from '@holdfast/wire/directory';
import { Slice } from '../../files/source/slice.ts';
import type { Disk, Store } from '../store/store.ts';
import {
  discardDamaged,
  entryOf,
  headerBytes,
  markDiscarded,
  readKept,
  type Damaged,
  type KeptEntry,
  type KeptRange,
} from './kept-log.ts';

const name = 'kept';

export interface KeptContents {
  readonly offset: number;
  readonly length: number;
  /** Null: zeros. */
  readonly contents: Buffer | null;
}

export class KeptBlocks {
  /** May be changed at any time. */
  maxBytes: number;
  readonly #disk: Disk;
  #entries: readonly KeptEntry[] = [];
  #damaged: readonly Damaged[] = [];
  /** What list() says, until that changes. */
  #listed: readonly KeptRange[] | null = null;
  #store: Store | null = null;
  #end = 0;
  /** Calls of keep() that are under way. */
  #adding = 0;

  constructor(disk: Disk, maxBytes: number) {
    this.#disk = disk;
    this.maxBytes = maxBytes;
    if (!disk.exists(name)) return;
    try {
      const { entries, damaged, end } = readKept(this.#open());
      [this.#entries, this.#damaged, this.#end] = [entries, damaged, end];
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.list().reduce((sum, { length }) => sum + length, 0);
  }

  /** Of list(), and of what is damaged. */
  get count(): number {
    return this.list().length + this.#damaged.length;
  }

  /** K4. */
  get damaged(): readonly Damaged[] {
    return this.#damaged;
  }

  /** K2. */
  fits(bytes: number): boolean {
    return this.bytes + bytes <= this.maxBytes;
  }

  /** K1. A range that is kept of this epoch already is not kept again: what was first is what existed only here. */
  async keep(pieces: Iterable<KeptContents>, epoch: Epoch, nowMs: number): Promise<void> {
    const store = this.#open();
    const before = this.#end;
    this.#adding += 1;
    try {
      // What was being written when a former life ended.
      if (store.sizeBytes > before) store.resize(before);
      this.#damaged = this.#damaged.filter(({ at }) => at < before);
      const added: KeptEntry[] = [];
      const slice = new Slice();
      let entries = this.#entries;
      let there = placesOf(entries, epoch);
      for (const { offset, length, contents } of pieces) {
        const range = { offset, length, epoch, modifiedMs: nowMs };
        if (!there.has(placeOf(range))) added.push(this.#append(store, range, contents));
        if (slice.isOver) await slice.turn(); // K5
        // Somebody discarded some of it meanwhile.
        if (this.#entries !== entries) there = placesOf((entries = this.#entries), epoch);
      }
      await store.sync();
      this.#entries = [...this.#entries, ...added];
      this.#listed = null;
    } catch (error) {
      this.#takeBack(store, before);
      throw error;
    } finally {
      this.#adding -= 1;
    }
  }

  /** Neighbours of one epoch are one. */
  list(): readonly KeptRange[] {
    this.#listed ??= this.#list();
    return this.#listed;
  }

  #list(): readonly KeptRange[] {
    const sorted = [...this.#entries].sort((a, b) => a.offset - b.offset || Number(a.epoch - b.epoch));
    const rows: KeptRange[] = [];
    for (const { offset, length, epoch, modifiedMs } of sorted) {
      const last = rows.at(-1);
      if (last !== undefined && last.offset + last.length === offset && last.epoch === epoch)
        rows[rows.length - 1] = { ...last, length: last.length + length };
      else rows.push({ offset, length, epoch, modifiedMs });
    }
    return rows;
  }

  /** Its contents, in pieces, in order. */
  *contentsOf(range: KeptRange): Iterable<KeptContents> {
    const store = this.#open();
    const within = this.#of(range).sort((a, b) => a.offset - b.offset);
    for (const { at, stored, offset, length } of within) {
      const contents = Buffer.alloc(stored);
      store.read(contents, at + headerBytes);
      yield { offset, length, contents: stored === 0 ? null : contents };
    }
  }

  /** K3. Null: everything. Durable when it resolves. */
  async discard(range: KeptRange | null): Promise<void> {
    const gone = range === null ? this.#entries : this.#of(range);
    await this.#discard(gone, range === null ? this.#damaged : []);
  }

  /** K3, K4. */
  discardDamaged(gone: readonly Damaged[]): Promise<void> {
    return this.#discard([], gone);
  }

  async #discard(gone: readonly KeptEntry[], lost: readonly Damaged[]): Promise<void> {
    const all = new Set<KeptEntry | Damaged>([...gone, ...lost]);
    this.#entries = this.#entries.filter((entry) => !all.has(entry));
    this.#damaged = this.#damaged.filter((one) => !all.has(one));
    this.#listed = null;
    if (this.count === 0 && this.#adding === 0) {
      this.close();
      this.#disk.remove(name);
      this.#end = 0;
      return;
    }
    const store = this.#open();
    const slice = new Slice();
    for (const entry of gone) {
      markDiscarded(store, entry);
      if (slice.isOver) await slice.turn(); // K5
      if (this.#store !== store) return; // Everything was discarded meanwhile.
    }
    for (const one of lost) if (one.at < this.#end) discardDamaged(store, one);
    // With nothing behind it.
    if (this.#adding === 0 && store.sizeBytes > this.#end) store.resize(this.#end);
    await store.sync(); // K3
    if (this.#store !== store) return;
    for (const { at, stored } of gone) {
      if (stored > 0) store.zero(at + headerBytes, stored, true);
      if (slice.isOver) await slice.turn();
      if (this.#store !== store) return;
    }
    await store.sync();
  }

  close(): void {
    this.#store?.close();
    this.#store = null;
  }

  #of({ offset, length, epoch }: KeptRange): KeptEntry[] {
    return this.#entries.filter(
      (entry) => entry.epoch === epoch && entry.offset >= offset && entry.offset < offset + length,
    );
  }

  #open(): Store {
    this.#store ??= this.#disk.open(name);
    return this.#store;
  }

  #append(store: Store, range: KeptRange, contents: Buffer | null): KeptEntry {
    const bytes = entryOf(range, contents);
    const at = this.#end;
    store.write(bytes, at);
    this.#end += bytes.length;
    return { ...range, at, stored: bytes.length - headerBytes };
  }

  /** K1. Beside others that are being added it stays, and is kept twice at worst. */
  #takeBack(store: Store, end: number): void {
    if (this.#adding > 1) return;
    this.#end = end;
    try {
      store.resize(end);
    } catch (error) {
      // The disk takes nothing any more, and said so already.
      if (errorCode(error) === '') throw error;
    }
  }
}

const placeOf = ({ offset, length }: { readonly offset: number; readonly length: number }): string =>
  `${String(offset)}/${String(length)}`;

/** Where something is kept of this epoch. */
const placesOf = (entries: readonly KeptEntry[], epoch: Epoch): ReadonlySet<string> =>
  new Set(entries.filter((entry) => entry.epoch === epoch).map(placeOf));
