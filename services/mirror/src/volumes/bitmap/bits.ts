/** A set of small numbers, one bit each: which chunks of a volume differ. 2 MiB for a TiB in chunks of 64 KiB. */

export class Bits {
  readonly length: number;
  readonly #words: Uint32Array;
  #count = 0;

  constructor(length: number) {
    this.length = length;
    this.#words = new Uint32Array(Math.ceil(length / 32));
  }

  /** How many are in it. */
  get count(): number {
    return this.#count;
  }

  has(at: number): boolean {
    return ((this.#words[at >>> 5] ?? 0) & (1 << (at & 31))) !== 0;
  }

  /** False: it was in already. */
  add(at: number): boolean {
    if (at >= this.length) throw new Error(`bit ${String(at)} of ${String(this.length)}`);
    if (this.has(at)) return false;
    this.#words[at >>> 5] = (this.#words[at >>> 5] ?? 0) | (1 << (at & 31));
    this.#count += 1;
    return true;
  }

  /** False: it was not in. */
  delete(at: number): boolean {
    if (!this.has(at)) return false;
    this.#words[at >>> 5] = (this.#words[at >>> 5] ?? 0) & ~(1 << (at & 31));
    this.#count -= 1;
    return true;
  }

  /** The first one from `from` on; null: there is none. */
  next(from: number): number | null {
    for (let at = from; at < this.length;) {
      const word = (this.#words[at >>> 5] ?? 0) >>> (at & 31);
      if (word !== 0) {
        const found = at + trailingZeros(word);
        return found < this.length ? found : null;
      }
      at = ((at >>> 5) + 1) << 5;
    }
    return null;
  }

  addAll(): void {
    this.#words.fill(0xffff_ffff);
    const spare = this.#words.length * 32 - this.length;
    const last = this.#words.length - 1;
    if (spare > 0) this.#words[last] = 0xffff_ffff >>> spare;
    this.#count = this.length;
  }

  clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  /** Its bytes from byte `at` on, little endian: bit n is bit n % 8 of byte n / 8. */
  bytes(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i += 1) {
      const word = this.#words[(at + i) >>> 2] ?? 0;
      bytes[i] = (word >>> (((at + i) & 3) * 8)) & 0xff;
    }
    return bytes;
  }

  /** Adds what bytes() of another life told. */
  addBytes(at: number, bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i += 1) {
      const byte = bytes[i] ?? 0;
      if (byte === 0) continue;
      for (let bit = 0; bit < 8; bit += 1) {
        const index = (at + i) * 8 + bit;
        if ((byte & (1 << bit)) !== 0 && index < this.length) this.add(index);
      }
    }
  }
}

function trailingZeros(word: number): number {
  return 31 - Math.clz32(word & -word);
}
