/** A set of numbers that lie in clusters: pages of bits, made when they are needed. */

const pageBits = 262_144;

export class SparseBits {
  readonly #pages = new Map<number, Uint8Array>();

  has(at: number): boolean {
    const page = this.#pages.get(Math.floor(at / pageBits));
    const bit = at % pageBits;
    return page !== undefined && ((page[bit >>> 3] ?? 0) & (1 << (bit & 7))) !== 0;
  }

  add(at: number): void {
    const key = Math.floor(at / pageBits);
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = new Uint8Array(pageBits / 8);
      this.#pages.set(key, page);
    }
    const bit = at % pageBits;
    page[bit >>> 3] = (page[bit >>> 3] ?? 0) | (1 << (bit & 7));
  }
}
