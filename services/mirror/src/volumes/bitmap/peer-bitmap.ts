/**
 * What may differ between this copy and that of one other member: a bit for each chunk, on disk, and the stamp of the
 * relation. The bitmaps of both sides together name everything that differs, as long as both hold the same stamp; with
 * different stamps, or none, only comparing everything tells.
 *
 *   B1  a bit that is set in memory and not on disk lies in an extent that is on record as hot (hot-extents.ts)
 *   B2  bits are cleared in memory first; on disk they may stay set for long, which costs a comparison and nothing else
 *   B3  what a larger volume has more differs, and so does the chunk that was the last one before: it may have been a part only
 *   B4  a stamp, and how many chunks there are, is written after the bits that it vouches for are durable
 */

import * as z from 'zod';
import type { ByteRange } from '../../transport/volume-frames.ts';
import type { Disk, Store } from '../store/store.ts';
import { Bits } from './bits.ts';
import { Slots } from './slots.ts';

const slotBytes = 4_096;
const pageBytes = 4_096;
const pageBits = pageBytes * 8;
const bitsAt = 2 * slotBytes;

const header = z.strictObject({ stamp: z.string(), chunkBytes: z.number(), chunks: z.number() });

/** The stamp of no relation. */
export const noStamp = '';

export class PeerBitmap {
  readonly chunkBytes: number;
  readonly #store: Store;
  readonly #slots: Slots;
  #bits: Bits;
  #stamp = noStamp;
  /** Of the header on disk; 0: there is none that counts. */
  #chunksTold = 0;
  #turn: Promise<void> = Promise.resolve();
  /** Pages that differ from what is on disk. */
  readonly #stale = new Set<number>();

  /** Throws what the disk says. A bitmap of another granularity counts as none. */
  constructor(disk: Disk, peer: string, volumeBytes: number, chunkBytes: number) {
    this.chunkBytes = chunkBytes;
    this.#bits = new Bits(Math.ceil(volumeBytes / chunkBytes));
    this.#store = disk.open(nameOf(peer));
    this.#slots = new Slots(this.#store, slotBytes);
    this.#read();
  }

  get stamp(): string {
    return this.#stamp;
  }

  get count(): number {
    return this.#bits.count;
  }

  get chunks(): number {
    return this.#bits.length;
  }

  has(chunk: number): boolean {
    return this.#bits.has(chunk);
  }

  next(from: number): number | null {
    return this.#bits.next(from);
  }

  /** Chunks that are set, neighbours together. The last one may end beyond the volume. */
  ranges(): readonly ByteRange[] {
    const ranges: { offset: number; length: number }[] = [];
    const { chunkBytes } = this;
    for (let chunk = this.next(0); chunk !== null; chunk = this.next(chunk + 1)) {
      const last = ranges.at(-1);
      const offset = chunk * chunkBytes;
      if (last !== undefined && last.offset + last.length === offset) last.length += chunkBytes;
      else ranges.push({ offset, length: chunkBytes });
    }
    return ranges;
  }

  add(chunk: number): void {
    if (this.#bits.add(chunk)) this.#stale.add(Math.floor(chunk / pageBits));
  }

  /** B2. */
  delete(chunk: number): void {
    if (this.#bits.delete(chunk)) this.#stale.add(Math.floor(chunk / pageBits));
  }

  addAll(): void {
    this.#bits.addAll();
    this.#allStale();
  }

  clear(): void {
    if (this.#bits.count === 0) return;
    this.#bits.clear();
    this.#allStale();
  }

  /**
   * Brings the disk in step, and with `stamp` begins or ends a relation. `extra`: chunks that are set on disk though not in
   * memory, because whether they arrived is not known yet. One after the other: who is answered finds everything durable that
   * was set before it asked.
   */
  save(stamp: string | null = null, extra: () => Iterable<number> = () => []): Promise<void> {
    const saved = this.#turn.then(() => this.#save(stamp, extra()));
    this.#turn = saved.catch(() => undefined);
    return saved;
  }

  /** The volume has grown. B3, in memory at once. */
  async grow(volumeBytes: number): Promise<void> {
    const before = this.#bits;
    const chunks = Math.ceil(volumeBytes / this.chunkBytes);
    if (chunks <= before.length) return;
    const bits = new Bits(chunks);
    for (let at = before.next(0); at !== null; at = before.next(at + 1)) bits.add(at);
    for (let at = Math.max(0, before.length - 1); at < chunks; at += 1) bits.add(at);
    this.#bits = bits;
    this.#allStale();
    await this.save();
  }

  close(): void {
    this.#store.close();
  }

  async #save(stamp: string | null, extra: Iterable<number>): Promise<void> {
    const added = new Map<number, number[]>();
    for (const chunk of extra) {
      const page = Math.floor(chunk / pageBits);
      this.#stale.add(page);
      const chunks = added.get(page);
      if (chunks === undefined) added.set(page, [chunk]);
      else chunks.push(chunk);
    }
    const chunks = this.#bits.length;
    const pages = [...this.#stale];
    this.#stale.clear();
    try {
      for (const page of pages) this.#writePage(page, added.get(page) ?? []);
      if (pages.length > 0) await this.#store.sync();
    } catch (error) {
      for (const page of pages) this.#stale.add(page);
      throw error;
    }
    if ((stamp === null || stamp === this.#stamp) && chunks === this.#chunksTold) return;
    this.#stamp = stamp ?? this.#stamp;
    await this.#writeHeader(chunks); // B4
    this.#chunksTold = chunks;
  }

  #read(): void {
    const record = this.#slots.read();
    const parsed = record === null ? null : header.safeParse(JSON.parse(record.toString()));
    const known = parsed?.success === true ? parsed.data : null;
    if (known?.chunkBytes === this.chunkBytes && known.chunks <= this.#bits.length) {
      this.#stamp = known.stamp;
      this.#chunksTold = known.chunks;
      const bytes = Math.min(Math.ceil(known.chunks / 8), this.#store.sizeBytes - bitsAt);
      for (let at = 0; at < bytes; at += pageBytes) {
        const page = Buffer.alloc(Math.min(pageBytes, bytes - at));
        this.#store.read(page, bitsAt + at);
        this.#bits.addBytes(at, page);
      }
    }
    if (this.#chunksTold !== this.#bits.length) this.#begin(this.#chunksTold);
  }

  /** Of this size for the first time: B3. Zeros on disk mean clean, so all is written. */
  #begin(chunksBefore: number): void {
    for (let at = Math.max(0, chunksBefore - 1); at < this.#bits.length; at += 1) this.#bits.add(at);
    this.#store.resize(bitsAt + Math.ceil(this.#bits.length / pageBits) * pageBytes);
    this.#allStale();
  }

  #writeHeader(chunks: number): Promise<void> {
    const { chunkBytes } = this;
    return this.#slots.replace(Buffer.from(JSON.stringify({ stamp: this.#stamp, chunkBytes, chunks })));
  }

  #writePage(page: number, extra: readonly number[]): void {
    const bytes = this.#bits.bytes(page * pageBytes, pageBytes);
    for (const chunk of extra) {
      const bit = chunk - page * pageBits;
      bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) | (1 << (bit & 7));
      this.#stale.add(page);
    }
    this.#store.write(bytes, bitsAt + page * pageBytes);
  }

  #allStale(): void {
    for (let page = 0; page * pageBits < this.#bits.length; page += 1) this.#stale.add(page);
  }
}

export const nameOf = (peer: string): string => `peer-${encodeURIComponent(peer)}`;
