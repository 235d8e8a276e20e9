/**
 * How much of what was written is durable, here and at every target that has to have it: where it is all, a flush has nothing
 * to wait for.
 *
 *   S1  whoever is answered well with a sync covers what was written before it asked, and nothing else
 *   S2  of what was written before the beginning nothing is known
 *   S3  where more targets have to have it from now on, whoever asked before that covers nothing
 */
export class Settled {
  readonly #terms: () => number;
  #writes = 0;
  #covered = -1; // S2
  /** Of `covered`. */
  #coveredTerms = 0;

  /** `terms`: changes with S3. */
  constructor(terms: () => number) {
    this.#terms = terms;
  }

  get all(): boolean {
    return this.#covered === this.#writes && this.#coveredTerms === this.#terms();
  }

  /** Whatever became of it. */
  wrote(): void {
    this.#writes += 1;
  }

  /** S1. Asks now; the answer is to be called when that was answered well. */
  asks(): () => void {
    const [writes, terms] = [this.#writes, this.#terms()];
    return () => {
      if (terms !== this.#terms()) return; // S3
      this.#covered = terms === this.#coveredTerms ? Math.max(this.#covered, writes) : writes;
      this.#coveredTerms = terms;
    };
  }
}
