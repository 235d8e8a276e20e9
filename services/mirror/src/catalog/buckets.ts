/**
 * How much changed since any number, without counting it: changes and bytes in buckets of 256 numbers. A million files that
 * were copied at once are in 4,000 buckets, which are all in memory.
 */
import type { Database } from 'lmdb';
import { keyOfOne } from './keys.ts';
import type { Backlog } from './types.ts';

export const bucketNumbers = 256;

interface Bucket {
  entries: number;
  bytes: number;
}

export class Buckets {
  readonly #table: Database<Buffer, Buffer>;
  readonly #buckets = new Map<number, Bucket>();
  readonly #dirty = new Set<number>();
  readonly #value = Buffer.alloc(16);

  constructor(table: Database<Buffer, Buffer>) {
    this.#table = table;
    this.load();
  }

  /** What the database holds, also after a transaction that was undone. */
  load(): void {
    this.#buckets.clear();
    this.#dirty.clear();
    for (const { key, value } of this.#table.getRange()) {
      this.#buckets.set(key.readDoubleBE(0), {
        entries: value.readDoubleBE(0),
        bytes: value.readDoubleBE(8),
      });
    }
  }

  addEntries(sequence: number, count: 1 | -1): void {
    this.#of(sequence).entries += count;
  }

  /** Bytes of a file whose contents have this number; negative to take them out. */
  addBytes(contents: number, bytes: number): void {
    if (bytes !== 0) this.#of(contents).bytes += bytes;
  }

  /** Of all buckets that begin at `sequence` or above. */
  from(sequence: number): Backlog {
    let entries = 0;
    let bytes = 0;
    const first = sequence / bucketNumbers;
    for (const [number, bucket] of this.#buckets) {
      if (number < first) continue;
      entries += bucket.entries;
      bytes += bucket.bytes;
    }
    return { entries, bytes };
  }

  /** Within a transaction: what changed goes into the database. */
  store(): void {
    for (const number of this.#dirty) {
      const bucket = this.#buckets.get(number);
      if (bucket === undefined) continue;
      if (bucket.entries === 0 && bucket.bytes === 0) {
        this.#buckets.delete(number);
        this.#table.removeSync(keyOfOne(number));
      } else {
        this.#value.writeDoubleBE(bucket.entries, 0);
        this.#value.writeDoubleBE(bucket.bytes, 8);
        this.#table.putSync(keyOfOne(number), this.#value);
      }
    }
    this.#dirty.clear();
  }

  clear(): void {
    this.#buckets.clear();
    this.#dirty.clear();
    this.#table.clearSync();
  }

  #of(sequence: number): Bucket {
    const number = Math.floor(sequence / bucketNumbers);
    this.#dirty.add(number);
    let bucket = this.#buckets.get(number);
    if (bucket === undefined) {
      bucket = { entries: 0, bytes: 0 };
      this.#buckets.set(number, bucket);
    }
    return bucket;
  }
}
