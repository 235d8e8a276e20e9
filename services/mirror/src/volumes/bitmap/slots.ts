/**
 * A small record that is replaced as a whole and survives a power cut at any moment: two slots, written in turn, each
 * with a number and a checksum. The one with the higher number that is whole is the record.
 *
 *   R1  the slot that is written is never the one that holds the record: torn, the record before it stands. One that could not
 *       be written, or synced, is written again
 *   R2  the record counts as replaced when the store was synced after that
 */

import { xxh3 } from '@node-rs/xxhash';
import type { Store } from '../store/store.ts';

const magic = 0x48665631;
const headerBytes = 24;

export class Slots {
  readonly #store: Store;
  readonly #slotBytes: number;
  #number = 0;
  #slot = 1;

  /** They take the first `2 x slotBytes` of the store. */
  constructor(store: Store, slotBytes: number) {
    this.#store = store;
    this.#slotBytes = slotBytes;
    if (store.sizeBytes < 2 * slotBytes) store.resize(2 * slotBytes);
  }

  /** Null: there is none that is whole. */
  read(): Buffer | null {
    let newest: Buffer | null = null;
    for (const slot of [0, 1]) {
      const bytes = Buffer.alloc(this.#slotBytes);
      this.#store.read(bytes, slot * this.#slotBytes);
      const payload = payloadOf(bytes);
      if (payload === null || payload.number <= this.#number) continue;
      this.#number = payload.number;
      this.#slot = slot;
      newest = payload.bytes;
    }
    return newest;
  }

  /** R1, R2. One call at a time. Rejects with what the disk says, and for a record that is too large for a slot. */
  async replace(payload: Buffer): Promise<void> {
    const bytes = Buffer.alloc(headerBytes + payload.length);
    if (bytes.length > this.#slotBytes) throw new Error(`a record of ${String(payload.length)} bytes`);
    this.#number += 1;
    const slot = 1 - this.#slot;
    bytes.writeUInt32BE(magic, 0);
    bytes.writeUInt32BE(payload.length, 4);
    bytes.writeUIntBE(this.#number, 10, 6);
    payload.copy(bytes, headerBytes);
    bytes.writeBigUInt64BE(checksumOf(bytes), 16);
    this.#store.write(bytes, slot * this.#slotBytes);
    await this.#store.sync();
    this.#slot = slot;
  }
}

function payloadOf(bytes: Buffer): { readonly number: number; readonly bytes: Buffer } | null {
  const length = bytes.readUInt32BE(4);
  if (bytes.readUInt32BE(0) !== magic || length > bytes.length - headerBytes) return null;
  const whole = bytes.subarray(0, headerBytes + length);
  const checksum = whole.readBigUInt64BE(16);
  whole.fill(0, 16, 24);
  if (checksumOf(whole) !== checksum) return null;
  return { number: whole.readUIntBE(10, 6), bytes: whole.subarray(headerBytes) };
}

/** With zeros where it will stand. */
const checksumOf = (bytes: Buffer): bigint => xxh3.xxh64(bytes);
