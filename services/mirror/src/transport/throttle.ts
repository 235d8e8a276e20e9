/**
 * How fast a mirror may send: a token bucket over the bytes on the line. One throttle is shared by all connections that
 * are to share the rate.
 *
 * T1. In any window of time, no more than rate x window + depth leaves. The depth is 40 ms of the rate: 2 % of 2 s, and
 *     enough that a timer that wakes late does not cost rate.
 * T2. Nothing is sent on credit: large frames are cut into slices that fit, so that a low rate holds, too.
 */

/** Bits per second. */
const rateMin = 1_000;
const rateMax = 999_000_000_000;

const depthMs = 40;
/** Below this, headers of TLS and TCP would be most of what is sent. */
const sliceBytesMin = 256;
const sliceMs = 5;

export class Throttle {
  #bytesPerMs = Infinity;
  #rate: number | null = null;
  #tokens = 0;
  #atMs: number;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();

  /** Null: as fast as it goes. `now`: milliseconds that only rise. */
  constructor(bitsPerSecond: number | null = null, now: () => number = () => performance.now()) {
    this.#now = now;
    this.#atMs = now();
    this.setRate(bitsPerSecond);
  }

  /** Null: as fast as it goes. */
  get bitsPerSecond(): number | null {
    return this.#rate;
  }

  /** Holds from now on, also for what is queued. Throws outside of 1 Kbit to 999 Gbit: configurations are checked before. */
  setRate(bitsPerSecond: number | null): void {
    if (bitsPerSecond !== null && !(bitsPerSecond >= rateMin && bitsPerSecond <= rateMax)) {
      throw new Error(`a rate of ${String(bitsPerSecond)} bits per second`);
    }
    this.#refill();
    this.#rate = bitsPerSecond;
    this.#bytesPerMs = bitsPerSecond === null ? Infinity : bitsPerSecond / 8_000;
    this.#tokens = Math.min(this.#tokens, this.#depth());
    for (const listener of this.#listeners) listener();
  }

  /** How many of `wanted` bytes may leave now: Infinity without a rate, 0 when it has to wait. */
  room(wanted: number): number {
    if (this.#rate === null) return Infinity;
    this.#refill();
    return this.#tokens >= this.#slice(wanted) ? Math.floor(this.#tokens) : 0;
  }

  /** They left. */
  take(bytes: number): void {
    if (this.#rate !== null) this.#tokens -= bytes;
  }

  /** Milliseconds until there is room for a part of `wanted` bytes. */
  waitMs(wanted: number): number {
    if (this.#rate === null) return 0;
    this.#refill();
    return Math.max(0, (this.#slice(wanted) - this.#tokens) / this.#bytesPerMs);
  }

  /** Told of every new rate, until the answer is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  #depth(): number {
    return Math.max(sliceBytesMin, this.#bytesPerMs * depthMs);
  }

  /** T2: what is worth to be sent by itself. */
  #slice(wanted: number): number {
    return Math.min(wanted, Math.max(sliceBytesMin, this.#bytesPerMs * sliceMs));
  }

  #refill(): void {
    const now = this.#now();
    const elapsed = Math.max(0, now - this.#atMs);
    this.#atMs = now;
    if (this.#rate !== null)
      this.#tokens = Math.min(this.#depth(), this.#tokens + elapsed * this.#bytesPerMs);
  }
}
