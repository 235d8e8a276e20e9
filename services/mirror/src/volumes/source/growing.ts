/**
 * A volume that is to become larger while it is open.
 *
 *   G1  every bitmap has what is new before a client can write to it, and every target is asked for its size anew. The store
 *       is as large durably before the record says so: a smaller one counts as truncated (process/volume-home.ts, H4)
 *   G2  until the store can be as large it stays as it is, says why, and is tried again
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import type { SharedMemory } from '../export/shared-memory.ts';
import type { VolumeGround } from '../ground.ts';
import type { Store } from '../store/store.ts';

export interface GrowingPorts {
  readonly store: Store;
  readonly ground: VolumeGround;
  readonly shared: SharedMemory;
  /** Of the store; with everybody else's (syncing.ts), for the system tells of a failure only once. */
  readonly sync: () => Promise<void>;
  /** What is connected to targets greets anew. */
  readonly hangUp: () => void;
  readonly says: (sentence: string) => void;
}

export class Growing {
  readonly #ports: GrowingPorts;
  #wantedBytes = 0;
  #running: Promise<void> | null = null;
  #says = '';
  #over = false;

  constructor(ports: GrowingPorts) {
    this.#ports = ports;
  }

  /** Why it is not as large as it should be; empty: it is. */
  get says(): string {
    return this.#says;
  }

  /** A smaller size is none. */
  want(sizeBytes: number): void {
    this.#wantedBytes = sizeBytes;
    this.look();
  }

  look(): void {
    if (this.#wantedBytes <= this.#ports.shared.sizeBytes || this.#over) return;
    this.#running ??= this.#grow(this.#wantedBytes).finally(() => {
      this.#running = null;
    });
  }

  /** Resolves when nothing of it runs any more. */
  async end(): Promise<void> {
    this.#over = true;
    await this.#running;
  }

  async #grow(sizeBytes: number): Promise<void> {
    const { store, ground, shared, sync, hangUp, says } = this.#ports;
    try {
      if (store.sizeBytes < sizeBytes) store.resize(sizeBytes);
      // Also where an earlier attempt made it larger, and that could not be synced.
      await sync();
      const durable = ground.grow(sizeBytes);
      hangUp();
      await durable; // G1
      shared.sizeBytes = ground.sizeBytes;
      this.#says = '';
      says(`it has ${sizeBytes} bytes now`);
    } catch (error) {
      if (errorCode(error) === '') throw error;
      const small = `it stays at ${shared.sizeBytes} bytes, and not ${sizeBytes}: ${errorText(error)}`; // G2
      if (small !== this.#says) says(small);
      this.#says = small;
    }
  }
}
