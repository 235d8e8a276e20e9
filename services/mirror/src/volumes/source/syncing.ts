/**
 * Syncs of the store, shared: everybody who asks while one runs gets the next one, which covers all of them.
 *
 *   Y1  whoever is answered well asked before the sync began, or nothing was written between its beginning and the asking
 *   Y2  after one that failed every later one fails: the system may have dropped what it could not write
 */

import { errorText } from '@holdfast/wire/directory';
import type { Store } from '../store/store.ts';

interface Asked {
  readonly done: (ok: boolean) => void;
  readonly flush: boolean;
}

export interface SyncingPorts {
  readonly store: Store;
  /** A client's flush is covered by a sync: targets are to make the same durable. */
  readonly flushes: () => void;
  /** Y2, once. */
  readonly failed: (says: string) => void;
}

export class Syncing {
  readonly #ports: SyncingPorts;
  #waiting: Asked[] = [];
  #running: Promise<void> | null = null;
  #broken: Error | null = null;
  #changes = 0;
  /** Of the changes: those before the sync that began last. */
  #covered = -1;
  /** Y1. Who joined the sync that runs; null: none runs. */
  #joined: Asked[] | null = null;

  constructor(ports: SyncingPorts) {
    this.#ports = ports;
  }

  /** The store is not what it was: what runs does not cover it. */
  changed(): void {
    this.#changes += 1;
  }

  /** For a client. */
  flush(done: (ok: boolean) => void): void {
    const asked = { done, flush: true };
    if (this.#covered !== this.#changes) this.#ask(asked);
    else {
      this.#ports.flushes();
      if (this.#joined !== null) this.#joined.push(asked);
      else done(this.#broken === null);
    }
  }

  /** For us. Throws what made a sync fail, then and ever after. */
  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (ok: boolean): void => {
        if (ok) resolve();
        else reject(this.#broken ?? new Error('a sync failed without a reason'));
      };
      this.#ask({ done, flush: false });
    });
  }

  /** Resolves when none runs. */
  async idle(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  #ask(asked: Asked): void {
    this.#waiting.push(asked);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Y1. One turn later, so that those who ask together share one.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const asked = this.#waiting.splice(0);
      if (asked.some(({ flush }) => flush)) this.#ports.flushes();
      this.#covered = this.#changes;
      this.#joined = asked;
      const ok = await this.#sync();
      this.#joined = null;
      for (const { done } of asked) done(ok);
    }
    // In the turn that found nobody waiting: who asks next begins anew.
    this.#running = null;
  }

  /** Y2. */
  async #sync(): Promise<boolean> {
    if (this.#broken !== null) return false;
    try {
      await this.#ports.store.sync();
      return true;
    } catch (error) {
      this.#broken = error instanceof Error ? error : new Error(errorText(error));
      this.#ports.failed(`what was written can't be made durable: ${errorText(error)}`);
      return false;
    }
  }
}
