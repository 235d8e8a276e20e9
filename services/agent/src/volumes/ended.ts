/** How a thing that was asked of a volume ended. */
export type Did = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly says: string };

export const did: Did = { kind: 'done' };

export function failed(says: string): Did {
  return { kind: 'failed', says };
}

/** Time that is left until a moment that was fixed when the program began. */
export class Limit {
  readonly #endMs: number;

  constructor(ms: number) {
    this.#endMs = performance.now() + ms;
  }

  get leftMs(): number {
    return Math.max(0, this.#endMs - performance.now());
  }

  get isOver(): boolean {
    return this.leftMs === 0;
  }

  /** Ends earlier, when it can. */
  within(ms: number): Limit {
    return new Limit(Math.min(ms, this.leftMs));
  }
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
