/** A set of numbers that lie in clusters: pages of bits, made when they are needed. */

const pageBits = 262_144;
const pageBytes = pageBits / 8;

export class SparseBits {
  readonly #pages = new Map<number, Uint8Array>();
  #count = 0;

  /** How many are in it. */
  get count(): number {
    return this.#count;
  }

  has(at: number): boolean {
    const page = this.#pages.get(Math.floor(at / pageBits));
    const bit = at % pageBits;
    return page !== undefined && ((page[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  add(at: number): void {
    if (this.has(at)) return;
    const page = this.#page(Math.floor(at / pageBits));
    const bit = at % pageBits;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) | (1 << (bit & 7));
    this.#count += 1;
  }

  /** Neighbours together, in order: the first one, and what comes behind the last. */
  *runs(): Iterable<readonly [number, number]> {
    let run: [number, number] | null = null;
    for (const key of [...this.#pages.keys()].sort((a, b) => a - b)) {
      const page = this.#page(key);
      for (let i = 0; i < pageBytes; i += 1) {
        const byte = page[i] ?? 0;
        if (byte === 0) continue;
        const first = key * pageBits + i * 8;
        if (byte === 0xff && run?.[1] === first) {
          run[1] += 8;
          continue;
        }
        for (let bit = 0; bit < 8; bit += 1) {
          if ((byte & (1 << bit)) === 0) continue;
          if (run?.[1] === first + bit) run[1] += 1;
          else {
            if (run !== null) yield run;
            run = [first + bit, first + bit + 1];
          }
        }
      }
    }
    if (run !== null) yield run;
  }

  /** Its bytes from byte `at` on, a multiple of `length`, which is a power of two: number n is bit n % 8 of byte n / 8. */
  bytes(at: number, length: number): Uint8Array {
    const within = at % pageBytes;
    return this.#page(Math.floor(at / pageBytes)).subarray(within, within + length);
  }

  #page(key: number): Uint8Array {
    const known = this.#pages.get(key);
    if (known !== undefined) return known;
    const made = new Uint8Array(pageBytes);
    this.#pages.set(key, made);
    return made;
  }
}
