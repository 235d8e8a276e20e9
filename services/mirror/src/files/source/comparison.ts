/**
 * What a person wants compared with one target: an order that ends in any case, whatever becomes of the target.
 *
 * W1. A target that can't be compared now (paused, away, refusing, waiting for room) is told at once: nobody waits for a
 *     state that only a person can end.
 * W2. Who asked may go away; then it is not wanted any more.
 */

import type { Verified } from './types.ts';

const lookMs = 200;

export interface Comparable {
  /** Why nothing can be compared with it now; null: it can. */
  readonly hindrance: () => string | null;
  readonly signal: AbortSignal;
}

export class Comparison {
  readonly repair: boolean;
  readonly ended: Promise<Verified>;
  #resolve: (verified: Verified) => void = () => undefined;
  #over = false;
  readonly #clear: () => void;

  constructor(repair: boolean, { hindrance, signal }: Comparable) {
    this.repair = repair;
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    const look = (): void => {
      const says = signal.aborted ? 'whoever asked went away' : hindrance();
      if (says !== null) this.end({ kind: 'failed', says });
    };
    const timer = setInterval(look, lookMs);
    signal.addEventListener('abort', look);
    this.#clear = () => {
      clearInterval(timer);
      signal.removeEventListener('abort', look);
    };
    look();
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** The first word counts. */
  end(verified: Verified): void {
    if (this.#over) return;
    this.#over = true;
    this.#clear();
    this.#resolve(verified);
  }
}
