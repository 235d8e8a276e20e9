/**
 * Writes and flushes that are done here and wait for targets before they are answered, in the order of their sequence.
 *
 *   A1  one is answered when every target that binds it has come so far; `over` answers all that are left
 */

type Done = (outcome: number) => void;

interface Waiting {
  readonly sequence: number;
  readonly done: Done;
}

export class Answers {
  #waiting: Waiting[] = [];
  #first = 0;

  get empty(): boolean {
    return this.#first === this.#waiting.length;
  }

  add(sequence: number, done: Done): void {
    this.#waiting.push({ sequence, done });
  }

  /** A1. Everybody up to this sequence. */
  release(sequence: number, outcome: number): void {
    for (;;) {
      const first = this.#waiting[this.#first];
      if (first === undefined || first.sequence > sequence) break;
      this.#first += 1;
      first.done(outcome);
    }
    if (this.#first < 256 && !this.empty) return;
    this.#waiting = this.#waiting.slice(this.#first);
    this.#first = 0;
  }
}
