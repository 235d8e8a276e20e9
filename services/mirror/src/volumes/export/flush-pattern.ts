/**
 * Whether it can be told which write the next flush will follow: a log is written once, or a few times, and then flushed, again
 * and again. Where that is so, that write can be answered as the flush would be, which then has nothing to wait for.
 *
 *   P1  it is told only after `sameMin` flushes in a row that each came after the same number of writes
 *   P2  a write that comes where a flush was expected ends that
 */

const sameMin = 4;

export class FlushPattern {
  #writes = 0;
  #expected = 0;
  #same = 0;

  /** Answers whether a flush is expected to be next. */
  wrote(): boolean {
    this.#writes += 1;
    if (this.#writes > this.#expected) this.#same = 0; // P2
    return this.#same >= sameMin && this.#writes === this.#expected; // P1
  }

  flushed(): void {
    if (this.#writes === 0) return;
    this.#same = this.#writes === this.#expected ? this.#same + 1 : 0;
    this.#expected = this.#writes;
    this.#writes = 0;
  }
}
