/**
 * What is written to the staging folder goes to the disk while more comes, so that the sync of its batch finds little to do.
 *
 * Invariants:
 * E1  What was written to open streams and is not on the disk yet is bounded: everybody else's sync of the same disk waits for
 *     it, and with it the renewals of a server whose store is there.
 */

import { fdatasync } from 'node:fs';

/** E1. Some times what one stream flushes at once, so that a disk has something to do while more comes. */
const unflushedBytesMax = 64 << 20;

export class Flushing {
  readonly #running = new Set<Promise<void>>();
  #unflushedBytes = 0;

  /** So many bytes of open streams were written; negative: they are another's to sync. */
  wrote(bytes: number): void {
    this.#unflushedBytes += bytes;
  }

  /** Whether a source has to wait. Only while something is being flushed, which ends. */
  get isBehind(): boolean {
    return this.#unflushedBytes > unflushedBytesMax && this.#running.size > 0;
  }

  /** Of what was written; the file stays open until `done`. */
  begin(fd: number, bytes: number, done: (ok: boolean) => void): void {
    const flushed = new Promise<void>((resolve) => {
      fdatasync(fd, (error) => {
        this.#running.delete(flushed);
        this.#unflushedBytes -= bytes;
        resolve();
        done(error === null);
      });
    });
    this.#running.add(flushed);
  }

  /** Resolves when something more is on the disk, or at once. */
  async progress(): Promise<void> {
    if (this.#running.size > 0) await Promise.race(this.#running);
  }

  /** Resolves when nothing is flushed any more. */
  async idle(): Promise<void> {
    await Promise.all(this.#running);
  }
}
