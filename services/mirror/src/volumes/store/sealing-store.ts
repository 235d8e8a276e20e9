/**
 * A store that keeps to S3 of store.ts by itself: after a sync that failed nothing is written to it any more.
 *
 *   E1  a sync that failed fails every later one, and every write: the system may have given up what it was for, and says
 *       so only once
 *   E2  syncs that overlap end together: which of them the system tells of the failure is not said anywhere
 */

import { errorText } from '@holdfast/wire/directory';
import type { Segment, Store } from './store.ts';

interface Waiting {
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export class SealingStore implements Store {
  readonly #store: Store;
  #underWay = 0;
  #waiting: Waiting[] = [];
  #seal: { readonly error: unknown } | null = null;

  constructor(store: Store) {
    this.#store = store;
  }

  /** What the sync that failed said; empty while none did. */
  get failed(): string {
    return this.#seal === null ? '' : errorText(this.#seal.error);
  }

  get sizeBytes(): number {
    return this.#store.sizeBytes;
  }

  read(into: Uint8Array, offset: number): void {
    this.#store.read(into, offset);
  }

  write(from: Uint8Array, offset: number): void {
    this.#whole();
    this.#store.write(from, offset);
  }

  zero(offset: number, length: number, hole: boolean): void {
    this.#whole();
    this.#store.zero(offset, length, hole);
  }

  async sync(): Promise<void> {
    this.#whole();
    const ended = new Promise<void>((done, failed) => {
      this.#waiting.push({ done, failed });
    });
    this.#underWay += 1;
    this.#store.sync().then(
      () => this.#ended(),
      (error: unknown) => {
        this.#seal ??= { error };
        this.#ended();
      },
    );
    return ended;
  }

  segments(offset: number, length: number): readonly Segment[] {
    return this.#store.segments(offset, length);
  }

  resize(sizeBytes: number): void {
    this.#whole();
    this.#store.resize(sizeBytes);
  }

  close(): void {
    this.#store.close();
  }

  /** E1. */
  #whole(): void {
    if (this.#seal !== null) throw this.#seal.error;
  }

  /** E2. */
  #ended(): void {
    this.#underWay -= 1;
    if (this.#underWay > 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { done, failed } of waiting)
      if (this.#seal === null) done();
      else failed(this.#seal.error);
  }
}
