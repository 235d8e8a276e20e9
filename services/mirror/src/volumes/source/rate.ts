/** How fast something grows, over a second or so. */

const overMs = 1_000;

export class Rate {
  #bytes = 0;
  #atMs = performance.now();
  #perSecond = 0;

  get perSecond(): number {
    return this.#perSecond;
  }

  /** `bytes`: so far. */
  look(bytes: number, nowMs: number): void {
    const sinceMs = nowMs - this.#atMs;
    if (sinceMs < overMs) return;
    this.#perSecond = Math.max(0, Math.round(((bytes - this.#bytes) / sinceMs) * 1_000));
    this.#bytes = bytes;
    this.#atMs = nowMs;
  }
}
