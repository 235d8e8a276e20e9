/**
 * How fast a mirror may send. One throttle is shared by all connections that are to share the rate.
 */

/** Bits per second, 1,000 to 999,000,000,000. */
export class Throttle {
  #rate: number | null;

  /** Null: as fast as it goes. */
  constructor(bitsPerSecond: number | null = null) {
    this.#rate = bitsPerSecond;
  }

  get bitsPerSecond(): number | null {
    return this.#rate;
  }

  /** Holds from now on, also for what is queued. */
  setRate(bitsPerSecond: number | null): void {
    this.#rate = bitsPerSecond;
  }
}
