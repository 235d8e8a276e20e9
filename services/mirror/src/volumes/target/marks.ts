/**
 * Which blocks were overwritten since a snapshot was made, as bits in a store: byte n of it tells of blocks 8n to 8n + 7.
 *
 *   M1  they are durable before the blocks are overwritten. Of a write that is torn or lost nothing was overwritten, and one mark
 *       too many does no harm: none is ever taken off
 *   M2  what a former life wrote is written again with the first sync: where one of its syncs failed, what is read back may not be
 *       on the disk
 */

import type { Disk, Store } from '../store/store.ts';
import { SparseBits } from './sparse-bits.ts';

export const marksName = 'overwritten';
const pageBytes = 4_096;
const pageBits = pageBytes * 8;

export class Marks {
  readonly #disk: Disk;
  readonly #store: Store;
  readonly #bits = new SparseBits();
  /** Pages that differ from what is on disk, or may. */
  readonly #stale = new Set<number>();

  private constructor(disk: Disk) {
    this.#disk = disk;
    this.#store = disk.open(marksName);
  }

  /** None. */
  static begin(disk: Disk): Marks {
    disk.remove(marksName);
    return new Marks(disk);
  }

  /** Those of a former life. */
  static resume(disk: Disk): Marks {
    const marks = new Marks(disk);
    marks.#read();
    return marks;
  }

  get count(): number {
    return this.#bits.count;
  }

  has(block: number): boolean {
    return this.#bits.has(block);
  }

  add(block: number): void {
    if (this.#bits.has(block)) return;
    this.#bits.add(block);
    this.#stale.add(Math.floor(block / pageBits));
  }

  /** Neighbours together: the first block, and the one behind the last. */
  runs(): Iterable<readonly [number, number]> {
    return this.#bits.runs();
  }

  async sync(): Promise<void> {
    if (this.#stale.size === 0) return;
    for (const page of this.#stale)
      this.#store.write(this.#bits.bytes(page * pageBytes, pageBytes), page * pageBytes);
    this.#stale.clear();
    await this.#store.sync();
  }

  remove(): void {
    this.#store.close();
    this.#disk.remove(marksName);
  }

  close(): void {
    this.#store.close();
  }

  #read(): void {
    const page = Buffer.alloc(pageBytes);
    for (const { offset, length } of this.#store.segments(0, this.#store.sizeBytes))
      for (let done = 0; done < length; done += pageBytes) {
        const bytes = page.subarray(0, Math.min(pageBytes, length - done));
        this.#store.read(bytes, offset + done);
        for (const [i, byte] of bytes.entries())
          for (let bit = 0; byte >>> bit !== 0; bit += 1)
            if ((byte & (1 << bit)) !== 0) this.add((offset + done + i) * 8 + bit); // M2
      }
  }
}
