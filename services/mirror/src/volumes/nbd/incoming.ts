/**
 * Bytes of one client as they come, given out in the pieces that the protocol asks for. The system reads right to where
 * they stay: a piece is a view, and what is copied is only what was cut at the end of a slab.
 *
 *   G1  it holds one slab, and that into which the system reads; who asks for a piece says how long it is, and asks within the
 *       limits of protocol.ts
 *   G2  a piece is valid until the next one is asked for, or for as long as its slab is held
 */

import type { Slab, Slabs } from './slabs.ts';

/** Less is not worth a call of the system. */
const roomBytesMin = 16_384;

export class Incoming {
  readonly #slabs: Slabs;
  #slab: Slab;
  /** What came and was not taken. */
  #from = 0;
  #to = 0;
  /** Where the system may still read to, although the slab changed since. */
  #lent: { readonly slab: Slab; readonly at: number } | null = null;

  constructor(slabs: Slabs) {
    this.#slabs = slabs;
    this.#slab = slabs.take(1);
  }

  /** That holds the piece that was taken last. */
  get slab(): Slab {
    return this.#slab;
  }

  /** Where the next bytes are to be put; asked for again only after they came(). */
  room(): Buffer {
    if (this.#from === this.#to && this.#slab.alone) this.#from = this.#to = 0;
    if (this.#slab.bytes.length - this.#to < roomBytesMin && this.#to - this.#from < roomBytesMin)
      this.#moveTo(roomBytesMin);
    else if (this.#slab.bytes.length === this.#to) this.#moveTo(this.#to - this.#from + roomBytesMin);
    this.#lend();
    return this.#slab.bytes.subarray(this.#to);
  }

  /** So many came to where there was room last. */
  came(bytes: number): void {
    const lent = this.#lent;
    if (lent === null) throw new Error('bytes came that nobody waited for');
    if (lent.slab !== this.#slab || lent.at !== this.#to) {
      if (this.#slab.bytes.length - this.#to < bytes) this.#moveTo(this.#to - this.#from + bytes);
      lent.slab.bytes.copy(this.#slab.bytes, this.#to, lent.at, lent.at + bytes);
    }
    this.#to += bytes;
    lent.slab.letGo();
    this.#lent = null;
  }

  /** The next `bytes`; null: they have not come yet, and have to be asked for again with the same number. */
  take(bytes: number): Buffer | null {
    const end = this.#from + bytes;
    if (end > this.#to) {
      if (end > this.#slab.bytes.length) this.#moveTo(bytes);
      return null;
    }
    const piece = this.#slab.bytes.subarray(this.#from, end);
    this.#from = end;
    return piece;
  }

  close(): void {
    this.#lent?.slab.letGo();
    this.#lent = null;
    this.#slab.letGo();
  }

  #lend(): void {
    this.#lent?.slab.letGo();
    this.#slab.hold();
    this.#lent = { slab: this.#slab, at: this.#to };
  }

  /** To a slab with room for so many, with what was not taken. */
  #moveTo(bytes: number): void {
    const before = this.#slab;
    const left = this.#to - this.#from;
    if (left === 0) before.letGo();
    this.#slab = this.#slabs.take(bytes);
    if (left > 0) {
      before.bytes.copy(this.#slab.bytes, 0, this.#from, this.#to);
      before.letGo();
    }
    this.#from = 0;
    this.#to = left;
  }
}
