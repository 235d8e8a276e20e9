/**
 * Answers of the source to what the export's clients wait for. There are as many tickets as there is room, so that an answer
 * is never lost.
 *
 *   T1  a ticket is given out again only after its answer was taken
 */

import { answersMax, word, type SharedMemory } from './shared-memory.ts';

type Done = (outcome: number) => void;

/** Of the export. */
export class Tickets {
  readonly #shared: SharedMemory;
  readonly #done: (Done | null)[] = [];
  readonly #free: number[] = [];
  #taken = 0;
  #out = 0;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  get full(): boolean {
    return this.#out >= answersMax;
  }

  /** Never 0. Not while they are `full`. */
  issue(done: Done): number {
    this.#out += 1;
    const ticket = this.#free.pop() ?? this.#done.length;
    this.#done[ticket] = done;
    return ticket + 1;
  }

  /** Whoever is answered may ask for more at once. */
  take(): void {
    const { answers } = this.#shared;
    while (this.#taken !== this.#shared.load(word.answersWritten)) {
      const at = (this.#taken & (answersMax - 1)) * 2;
      const ticket = (answers[at] ?? 0) - 1;
      const outcome = answers[at + 1] ?? 0;
      this.#taken = (this.#taken + 1) | 0;
      this.#shared.store(word.answersTaken, this.#taken);
      const done = this.#done[ticket];
      if (done === undefined || done === null) throw new Error(`an answer to nothing: ${String(ticket)}`);
      this.#done[ticket] = null;
      this.#free.push(ticket); // T1
      this.#out -= 1;
      done(outcome);
    }
  }
}

/** Of the source. */
export class AnswerRing {
  readonly #shared: SharedMemory;
  #written = 0;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  write(ticket: number, outcome: number): void {
    const waiting = (this.#written - this.#shared.load(word.answersTaken)) | 0;
    if (waiting >= answersMax) throw new Error('more answers than tickets');
    const at = (this.#written & (answersMax - 1)) * 2;
    this.#shared.answers[at] = ticket;
    this.#shared.answers[at + 1] = outcome;
    this.#written = (this.#written + 1) | 0;
    this.#shared.store(word.answersWritten, this.#written);
  }
}
