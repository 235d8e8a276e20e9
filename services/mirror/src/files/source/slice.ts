/** Work in slices: the event loop gets its turn at least every 10 ms, so that beats flow while much is done. */

import { setImmediate } from 'node:timers/promises';

const sliceMs = 8;

export class Slice {
  #end = performance.now() + sliceMs;

  get isOver(): boolean {
    return performance.now() >= this.#end;
  }

  /** performance.now() at which it is over. */
  get endMs(): number {
    return this.#end;
  }

  /** Gives way, and begins the next slice. */
  async turn(): Promise<void> {
    await setImmediate();
    this.#end = performance.now() + sliceMs;
  }

  /** Runs a generator to its end, giving way where a slice is over. */
  async run<T>(work: Generator<undefined, T>): Promise<T> {
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (this.isOver) await this.turn();
    }
  }
}
