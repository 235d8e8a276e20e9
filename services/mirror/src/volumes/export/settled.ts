/**
 * How much of what was written is durable, here and at every target that has to have it: where it is all, a flush has nothing
 * to wait for.
 *
 *   S1  whoever is answered well with a sync covers what was written before it asked, and nothing else
 *   S2  of what was written before the beginning nothing is known
 */
export class Settled {
  #writes = 0;
  #covered = -1; // S2

  get all(): boolean {
    return this.#covered === this.#writes;
  }

  /** Whatever became of it. */
  wrote(): void {
    this.#writes += 1;
  }

  /** S1. Asks now; the answer is to be called when that was answered well. */
  asks(): () => void {
    const writes = this.#writes;
    return () => {
      this.#covered = Math.max(this.#covered, writes);
    };
  }
}
