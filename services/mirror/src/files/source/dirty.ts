/**
 * Paths that may differ from the catalog and were not looked at yet: each once, with the time since when it is known.
 *
 * D1. Bounded: what does not fit is forgotten, and `overflowed` says that everything has to be looked at.
 * D2. What is taken counts until it was looked at.
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
  /** D2. Null: nothing is being looked at. */
  #takenSinceMs: number | null = null;

  get size(): number {
    return this.#paths.size;
  }

  /** D1. */
  get overflowed(): boolean {
    return this.#overflowed;
  }

  /** When the oldest of them was told (D2); null: there is none. */
  get sinceMs(): number | null {
    // What was taken was there before what was not.
    return this.#takenSinceMs ?? this.#oldestMs();
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

  /** Takes all, until `looked()`, or until the next one: what could not be looked at was added again by then. */
  take(): ReadonlyMap<string, Told> {
    const taken = this.#paths;
    this.#takenSinceMs = this.#oldestMs();
    this.#paths = new Map();
    return taken;
  }

  /** What was taken was looked at. Answers when the oldest of it was told; null: there was none. */
  looked(): number | null {
    const sinceMs = this.#takenSinceMs;
    this.#takenSinceMs = null;
    return sinceMs;
  }

  /** After everything was looked at. */
  forgetOverflow(): void {
    this.#overflowed = false;
  }

  has(key: string): boolean {
    return this.#paths.has(key);
  }

  #oldestMs(): number | null {
    // In order of insertion, and the first telling counts.
    for (const { atMs } of this.#paths.values()) return atMs;
    return null;
  }
}
