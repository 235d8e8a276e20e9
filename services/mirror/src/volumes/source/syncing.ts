/**
 * Syncs of the store, shared: everybody who asks while one runs gets the next one, which covers all of them.
 *
 *   Y1  whoever is answered well asked before the sync began
 *   Y2  after one that failed every later one fails: the system may have dropped what it could not write
 */

import { errorText } from '@holdfast/wire/directory';
import type { Store } from '../store/store.ts';

export class Syncing {
  readonly #store: Store;
  readonly #failed: (says: string) => void;
  #waiting: ((ok: boolean) => void)[] = [];
  #running = false;
  #broken = false;

  constructor(store: Store, failed: (says: string) => void) {
    this.#store = store;
    this.#failed = failed;
  }

  /** `begins` of the sync that covers this is called before it runs. */
  request(done: (ok: boolean) => void, begins: () => void): void {
    this.#waiting.push(done);
    if (!this.#running) void this.#run(begins);
  }

  get broken(): boolean {
    return this.#broken;
  }

  /** Resolves when none runs. */
  async idle(): Promise<void> {
    while (this.#running) await new Promise((next) => setTimeout(next, 1));
  }

  async #run(begins: () => void): Promise<void> {
    this.#running = true;
    // Y1. One turn later, so that those who ask together share one.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const asked = this.#waiting;
      this.#waiting = [];
      begins();
      const ok = await this.#sync();
      for (const done of asked) done(ok);
    }
    this.#running = false;
  }

  /** Y2. */
  async #sync(): Promise<boolean> {
    if (this.#broken) return false;
    try {
      await this.#store.sync();
      return true;
    } catch (error) {
      this.#broken = true;
      this.#failed(`what was written can't be made durable: ${errorText(error)}`);
      return false;
    }
  }
}
