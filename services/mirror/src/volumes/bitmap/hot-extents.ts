/**
 * Which extents of the volume are being written to: on record before the first write to them, so that a write to an
 * extent that is hot already costs no sync. After a crash everything in hot extents counts as dirty for everybody.
 *
 *   E1  an extent is hot when its record is durable, and not before. Which are, other threads see (`memory`)
 *   E2  an extent cools only after everything in it is durable in the volume itself, and the bitmaps tell of all that
 *       somebody may lack: cold, it is trusted after a crash
 *   E3  sequence numbers below `sequenceBound` may have been given out: a new life goes on from there
 */

import * as z from 'zod';
import type { Disk, Store } from '../store/store.ts';
import { Slots } from './slots.ts';

export interface Heat {
  readonly extentBytes: number;
  readonly hotMax: number;
  /** So many make room at once: each change of the record is a sync. */
  readonly coolAtOnce: number;
  /** What nobody wrote to for so long cools, within twice as long. */
  readonly idleMs: number;
}

/** 4 GiB that are compared after a crash, in a second or two. */
export const usualHeat: Heat = { extentBytes: 4_194_304, hotMax: 1_024, coolAtOnce: 64, idleMs: 60_000 };

/** What it may become while it is open, in extents: 64 TiB of the usual size. Address space, and no memory. */
const extentsMax = 16_777_216;

const slotBytes = 32_768;
const sequencesAhead = 1_048_576;

const record = z.strictObject({ sequenceBound: z.number(), extents: z.array(z.number()) });

export class HotExtents {
  readonly #store: Store;
  readonly #slots: Slots;
  readonly #heatTerms: Heat;
  /** One byte for each: 1 when it may be written to. */
  readonly memory: SharedArrayBuffer;
  /** As long as `memory` is. */
  readonly #flags: Uint8Array;
  /** When it was written to last, by a clock that counts uses. */
  #used: Float64Array;
  readonly #hot = new Set<number>();
  #clock = 0;
  #sequenceBound = 0;
  /** Of the clock, when what is idle was looked for last. */
  #lookedAt = 0;

  private constructor(store: Store, volumeBytes: number, heat: Heat) {
    this.#heatTerms = heat;
    this.#store = store;
    this.#slots = new Slots(store, slotBytes);
    this.#used = new Float64Array(Math.ceil(volumeBytes / heat.extentBytes));
    const extents = this.#used.length;
    this.memory = new SharedArrayBuffer(extents, { maxByteLength: Math.max(extentsMax, extents) });
    this.#flags = new Uint8Array(this.memory);
  }

  /** Throws what the disk says. Hot in it is what a former life left. */
  static open(disk: Disk, volumeBytes: number, heat: Heat): HotExtents {
    const extents = new HotExtents(disk.open('hot'), volumeBytes, heat);
    const bytes = extents.#slots.read();
    if (bytes === null) return extents;
    const { sequenceBound, extents: hot } = record.parse(JSON.parse(bytes.toString()));
    extents.#sequenceBound = sequenceBound;
    for (const extent of hot) if (extent < extents.#used.length) extents.#heat(extent);
    return extents;
  }

  get extentBytes(): number {
    return this.#heatTerms.extentBytes;
  }

  get idleMs(): number {
    return this.#heatTerms.idleMs;
  }

  get sequenceBound(): number {
    return this.#sequenceBound;
  }

  /** What is hot, as ranges of the volume. */
  *hot(): Iterable<{ readonly offset: number; readonly length: number }> {
    const { extentBytes } = this.#heatTerms;
    for (const extent of this.#hot) yield { offset: extent * extentBytes, length: extentBytes };
  }

  /** The volume has grown; what is new is cold. */
  grow(volumeBytes: number): void {
    const extents = Math.ceil(volumeBytes / this.extentBytes);
    if (extents <= this.#used.length) return;
    const used = new Float64Array(extents);
    used.set(this.#used);
    this.#used = used;
    this.memory.grow(extents);
  }

  /** It was written to. */
  touch(offset: number, length: number): void {
    const { extentBytes } = this.#heatTerms;
    const last = Math.floor((offset + length - 1) / extentBytes);
    this.#clock += 1;
    for (let extent = Math.floor(offset / extentBytes); extent <= last; extent += 1)
      this.#used[extent] = this.#clock;
  }

  /**
   * Makes these hot; what else is made cool is settled by `settle` first (E2): it begins with waiting for writes that may have
   * seen them hot. At most `hotMax` at once: a write is never as long. One call at a time.
   */
  async warm(
    ranges: readonly { readonly offset: number; readonly length: number }[],
    sequence: number,
    settle: () => Promise<void>,
  ): Promise<void> {
    const { extentBytes, hotMax, coolAtOnce } = this.#heatTerms;
    const wanted = new Set<number>();
    for (const { offset, length } of ranges) {
      const last = Math.floor((offset + length - 1) / extentBytes);
      for (let extent = Math.floor(offset / extentBytes); extent <= last; extent += 1) wanted.add(extent);
      if (wanted.size >= hotMax / 2) break;
    }
    const added = [...wanted].filter((extent) => !this.#hot.has(extent));
    const over = this.#hot.size + added.length - hotMax;
    if (over > 0) await this.#coolDown(this.#coldest(Math.max(over, coolAtOnce), wanted), settle);
    await this.#save([...this.#hot, ...added], sequence);
    for (const extent of added) this.#heat(extent); // E1
  }

  /**
   * Cools what nobody wrote to since the last call, so that a crash costs little where little is written. `settle` and
   * `sequence` as of warm(), and not beside one.
   */
  async coolIdle(sequence: number, settle: () => Promise<void>): Promise<void> {
    const idle = [...this.#hot].filter((extent) => (this.#used[extent] ?? 0) <= this.#lookedAt);
    this.#lookedAt = this.#clock;
    if (idle.length === 0) return;
    await this.#coolDown(idle, settle);
    await this.#save([...this.#hot], sequence);
  }

  /** E2. It is on record until that is replaced. */
  async #coolDown(extents: readonly number[], settle: () => Promise<void>): Promise<void> {
    // From here on a write to one of them waits.
    for (const extent of extents) this.#cool(extent);
    try {
      await settle();
    } catch (error) {
      for (const extent of extents) Atomics.store(this.#flags, extent, 1);
      throw error;
    }
    for (const extent of extents) this.#hot.delete(extent);
  }

  /** Sequence numbers are reserved ahead, so that this is rare. True: warm() has to be called. */
  needsSequences(sequence: number): boolean {
    return sequence >= this.#sequenceBound;
  }

  /** In order: the bitmaps tell of everything. The next life goes on from `sequence`. */
  async settled(sequence: number): Promise<void> {
    for (const extent of this.#hot) this.#cool(extent);
    this.#hot.clear();
    this.#sequenceBound = sequence;
    await this.#write([]);
  }

  close(): void {
    this.#store.close();
  }

  #heat(extent: number): void {
    this.#hot.add(extent);
    this.#clock += 1;
    this.#used[extent] = this.#clock;
    Atomics.store(this.#flags, extent, 1);
  }

  #cool(extent: number): void {
    Atomics.store(this.#flags, extent, 0);
  }

  #coldest(count: number, except: ReadonlySet<number>): number[] {
    return [...this.#hot]
      .filter((extent) => !except.has(extent))
      .sort((a, b) => (this.#used[a] ?? 0) - (this.#used[b] ?? 0))
      .slice(0, count);
  }

  async #save(extents: readonly number[], sequence: number): Promise<void> {
    const bound = sequence + sequencesAhead;
    if (bound - this.#sequenceBound > sequencesAhead / 2) {
      await this.#write(extents, bound);
      this.#sequenceBound = bound; // E3
    } else await this.#write(extents);
  }

  #write(extents: readonly number[], bound = this.#sequenceBound): Promise<void> {
    return this.#slots.replace(Buffer.from(JSON.stringify({ sequenceBound: bound, extents })));
  }
}
