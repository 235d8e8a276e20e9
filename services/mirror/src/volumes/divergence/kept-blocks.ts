/**
 * What a former owner wrote and nobody had, before the source's blocks go over it: a log of ranges with their contents.
 *
 *   entry     magic u32, flags u8 (1 zeros, 2 discarded), 3 spare, offset u48, length u48, epoch u64, time u48, 2 spare,
 *             checksum u64, contents unless zeros
 *
 *   K1  keep() resolves when everything is durable
 *   K2  the contents together stay below `maxBytes`; whoever adds asks `fits` first
 *   K3  nothing goes except by discard(), which a person calls: neither what is added meanwhile, nor what lies behind what
 *       goes. An entry without its contents would end the log, so it is marked durably before they go
 */

import { xxh3 } from '@node-rs/xxhash';
import type { Epoch } from '@holdfast/core';
import type { Disk, Store } from '../store/store.ts';

const name = 'kept';
const magic = 0x48664b70;
const headerBytes = 48;
const checksumAt = 40;
const entryBytesMax = 1_048_576;
const flags = { zeros: 1, discarded: 2 } as const;

export interface KeptRange {
  readonly offset: number;
  readonly length: number;
  readonly epoch: Epoch;
  readonly modifiedMs: number;
}

export interface KeptContents {
  readonly offset: number;
  readonly length: number;
  /** Null: zeros. */
  readonly contents: Buffer | null;
}

interface Entry extends KeptRange {
  readonly at: number;
  readonly stored: number;
}

export class KeptBlocks {
  /** May be changed at any time. */
  maxBytes: number;
  readonly #disk: Disk;
  #entries: Entry[] = [];
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
      this.#read(this.#open());
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.list().reduce((sum, { length }) => sum + length, 0);
  }

  /** Of list(). */
  get count(): number {
    return this.list().length;
  }

  /** K2. */
  fits(bytes: number): boolean {
    return this.bytes + bytes <= this.maxBytes;
  }

  /** K1. A range that is kept of this epoch already is not kept again: what was first is what existed only here. */
  async keep(contents: Iterable<KeptContents>, epoch: Epoch, nowMs: number): Promise<void> {
    this.#adding += 1;
    try {
      const store = this.#open();
      const added: Entry[] = [];
      for (const one of contents) {
        if (
          this.#entries.some((e) => e.epoch === epoch && e.offset === one.offset && e.length === one.length)
        )
          continue;
        added.push(this.#append(store, one, epoch, nowMs));
      }
      await store.sync();
      this.#entries.push(...added);
      this.#listed = null;
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
    this.#entries = this.#entries.filter((entry) => !gone.includes(entry));
    this.#listed = null;
    if (this.#entries.length === 0 && this.#adding === 0) {
      this.close();
      this.#disk.remove(name);
      this.#end = 0;
      return;
    }
    const store = this.#open();
    for (const { at } of gone) {
      const header = Buffer.alloc(headerBytes);
      store.read(header, at);
      header[4] = (header[4] ?? 0) | flags.discarded;
      store.write(header, at);
    }
    await store.sync(); // K3
    if (this.#store !== store) return; // Everything was discarded meanwhile.
    for (const { at, stored } of gone) if (stored > 0) store.zero(at + headerBytes, stored, true);
    await store.sync();
  }

  close(): void {
    this.#store?.close();
    this.#store = null;
  }

  #of({ offset, length, epoch }: KeptRange): Entry[] {
    return this.#entries.filter(
      (entry) => entry.epoch === epoch && entry.offset >= offset && entry.offset < offset + length,
    );
  }

  #open(): Store {
    this.#store ??= this.#disk.open(name);
    return this.#store;
  }

  #append(store: Store, { offset, length, contents }: KeptContents, epoch: Epoch, nowMs: number): Entry {
    const bytes = contents ?? Buffer.alloc(0);
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(magic, 0);
    header[4] = contents === null ? flags.zeros : 0;
    header.writeUIntBE(offset, 8, 6);
    header.writeUIntBE(length, 14, 6);
    header.writeBigUInt64BE(epoch, 20);
    header.writeUIntBE(nowMs, 28, 6);
    header.writeBigUInt64BE(checksumOf(header, bytes), checksumAt);
    const at = this.#end;
    store.write(header, at);
    store.write(bytes, at + headerBytes);
    this.#end += headerBytes + bytes.length;
    return { offset, length, epoch, modifiedMs: nowMs, at, stored: bytes.length };
  }

  /** Up to the first entry that is not whole: nobody was told that it is kept. */
  #read(store: Store): void {
    const header = Buffer.alloc(headerBytes);
    while (this.#end + headerBytes <= store.sizeBytes) {
      store.read(header, this.#end);
      const length = header.readUIntBE(14, 6);
      const bits = header.readUInt8(4);
      const stored = (bits & flags.zeros) !== 0 ? 0 : length;
      if (header.readUInt32BE(0) !== magic || length > entryBytesMax) return;
      if (this.#end + headerBytes + stored > store.sizeBytes) return;
      const discarded = (bits & flags.discarded) !== 0;
      const contents = Buffer.alloc(stored);
      store.read(contents, this.#end + headerBytes);
      if (!discarded && header.readBigUInt64BE(checksumAt) !== checksumOf(header, contents)) return;
      if (!discarded)
        this.#entries.push({
          offset: header.readUIntBE(8, 6),
          length,
          epoch: header.readBigUInt64BE(20),
          modifiedMs: header.readUIntBE(28, 6),
          at: this.#end,
          stored,
        });
      this.#end += headerBytes + stored;
    }
  }
}

function checksumOf(header: Buffer, contents: Buffer): bigint {
  return xxh3.xxh64(contents, xxh3.xxh64(header.subarray(0, checksumAt)));
}
