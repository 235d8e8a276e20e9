/** How fast something grows, over a second or so. */

export class Rate {
  readonly #overMs: number;
  #bytes = 0;
  #atMs: number;
  #perSecond = 0;

  constructor(overMs = 1_000, nowMs = performance.now()) {
    this.#overMs = overMs;
    this.#atMs = nowMs;
  }

  get perSecond(): number {
    return this.#perSecond;
  }

  /** `bytes`: so far. */
  look(bytes: number, nowMs: number): void {
    const sinceMs = nowMs - this.#atMs;
    if (sinceMs < this.#overMs) return;
    this.#perSecond = Math.max(0, Math.round(((bytes - this.#bytes) / sinceMs) * 1_000));
    this.#bytes = bytes;
    this.#atMs = nowMs;
  }
}
