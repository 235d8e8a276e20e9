/**
 * How much of a source's time goes into the ends of its transactions. Each ends with a sync of the disk, for which all of its
 * thread stands still, and on a busy disk that takes longer than what is done within it. So some times as long is worked for
 * within one, and goes by from one pass to the next.
 */

import type { Catalog } from '../../catalog/types.ts';

const times = 4;
const restMsMax = 100;
/** A timer is no better. */
const restMsMin = 3;

export class Pace {
  readonly #catalog: Pick<Catalog, 'commitMs'>;
  #passedAtMs = -Infinity;

  constructor(catalog: Pick<Catalog, 'commitMs'>) {
    this.#catalog = catalog;
  }

  /** A pass ended now. */
  passed(): void {
    this.#passedAtMs = performance.now();
  }

  /** How long the next pass has to wait from now on; 0: not at all. */
  get waitMs(): number {
    const leftMs = this.#passedAtMs + this.workMs - performance.now();
    return leftMs < restMsMin ? 0 : leftMs;
  }

  /** How long a transaction may be worked for, if there is so much to do. */
  get workMs(): number {
    return Math.min(times * this.#catalog.commitMs, restMsMax);
  }
}
