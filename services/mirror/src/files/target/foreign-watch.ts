/**
 * Keeps count of what others changed in a target's folder: searches on a period (foreign.ts), and is told of what a batch met.
 *
 * W1. What this copy wrote as an owner is no foreign change, and is about to be kept aside.
 * W2. The first search comes soon after the start: what was found in a former life is not shown before.
 */

import { searchEvery, type ForeignSearch } from './foreign.ts';
import { codeOf } from './trouble.ts';

const firstMsMax = 30_000;

export interface ForeignWatchOptions {
  /** Throws what the disk says. */
  readonly search: () => Promise<ForeignSearch>;
  /** W1. */
  readonly wasOwner: () => boolean;
  readonly says: (sentence: string) => void;
}

export class ForeignWatch {
  readonly #options: ForeignWatchOptions;
  #count: number | null = null;
  #stop: (() => void) | null = null;

  constructor(options: ForeignWatchOptions) {
    this.#options = options;
  }

  /** Entries that differ, as the last search found; null: nothing is known. */
  get count(): number | null {
    return this.#count;
  }

  /** Looks now. Throws what the disk says. */
  async search(): Promise<ForeignSearch> {
    const { search, wasOwner } = this.#options;
    const found = await search();
    if (!wasOwner()) this.#count = found.count;
    return found;
  }

  /** W2. 0: searches on demand only. */
  start(periodMs: number): void {
    if (periodMs === 0) return;
    this.#stop = searchEvery(periodMs, Math.min(periodMs, firstMsMax), async () => {
      try {
        await this.search();
      } catch (error) {
        if (codeOf(error) === '') throw error;
        this.#options.says(`foreign changes can't be looked for: ${String(error)}`);
      }
    });
  }

  stop(): void {
    this.#stop?.();
  }

  /** A batch met so many that no search had found, and they are being replaced. */
  met(count: number): void {
    this.#count = Math.max(this.#count ?? 0, count);
  }

  /** Everything was compared, and what others had changed was replaced. */
  forget(): void {
    this.#count = null;
  }
}
