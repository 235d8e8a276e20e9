/**
 * Paths that may differ from the catalog and were not looked at yet: each once, with the time since when it is known.
 *
 * D1. Bounded: what does not fit is forgotten, and `overflowed` says that everything has to be looked at.
 */

import { keyOf } from './path.ts';

const pathsMax = 200_000;

export interface Told {
  /** Everything beneath it may differ, too. */
  readonly whole: boolean;
  /** performance.now() */
  readonly atMs: number;
}

export class Dirty {
  #paths = new Map<string, Told>();
  #overflowed = false;

  get size(): number {
    return this.#paths.size;
  }

  /** D1. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** When the oldest of them was told; null: there is none. */
  get sinceMs(): number | null {
    // In order of insertion, and the first telling counts.
    for (const { atMs } of this.#paths.values()) return atMs;
    return null;
  }

  add(path: Buffer, whole: boolean, atMs: number): void {
    const key = keyOf(path);
    const there = this.#paths.get(key);
    if (there === undefined && this.#paths.size >= pathsMax) {
      this.#overflowed = true;
      return;
    }
    this.#paths.set(
      key,
      there === undefined ? { whole, atMs } : { whole: there.whole || whole, atMs: there.atMs },
    );
  }

  /** Takes all. */
  take(): ReadonlyMap<string, Told> {
    const taken = this.#paths;
    this.#paths = new Map();
    return taken;
  }

  /** After everything was looked at. */
  forgetOverflow(): void {
    this.#overflowed = false;
  }

  has(key: string): boolean {
    return this.#paths.has(key);
  }
}
