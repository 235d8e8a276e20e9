/**
 * Which way a batch takes from received to done: through the log (commits.ts), or that of a copy which is not consistent
 * before its end (copy-commits.ts).
 *
 * Invariants:
 * W1  Batches are done and acknowledged in the order in which they came: the last one of one way is durable and applied
 *     before the first one of the other begins.
 * W2  What waits behind a batch that did not fit, or was given up, was sent on top of it, and is dropped.
 * W3  Closed, nothing waits for a disk that fails: what was not begun is given up, and no way is changed any more.
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Commits } from './commits.ts';
import type { CommitsOptions } from './commits.ts';
import { CopyCommits } from './copy-commits.ts';
import type { StagedBatch } from './open-batch.ts';
import { GaveUp, persist } from './persisting.ts';
import type { Batch } from './redo.ts';

const progressMs = 20;

interface Waiting {
  readonly staged: StagedBatch;
  readonly bytes: number;
}

export class Committing {
  readonly #options: CommitsOptions;
  readonly #logged: Commits;
  readonly #copy: CopyCommits;
  #way: 'logged' | 'copy' = 'logged';
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #passing: Promise<void> | null = null;
  #closed = false;

  constructor(options: CommitsOptions) {
    this.#options = options;
    const { listener } = options;
    const both = {
      ...options,
      listener: {
        ...listener,
        unfit: (says: string) => {
          this.#drop(); // W2
          listener.unfit(says);
        },
        gaveUp: (reason: string) => {
          this.#drop(); // W2
          listener.gaveUp(reason);
        },
      },
    };
    this.#logged = new Commits(both);
    this.#copy = new CopyCommits(both);
  }

  /** Bytes of batches that were received and are not durable yet. */
  get receivedBytes(): number {
    return this.#waitingBytes + this.#logged.receivedBytes + this.#copy.bytes;
  }

  get unappliedBytes(): number {
    return this.#logged.unappliedBytes + this.#copy.unappliedBytes;
  }

  /** Everything that was added is applied, recorded and durable, and the log has nothing that a start would need. */
  get settled(): boolean {
    return this.#passing === null && this.#copy.busy === null && this.#logged.settled;
  }

  add(staged: StagedBatch, bytes: number): void {
    this.#waiting.push({ staged, bytes });
    this.#waitingBytes += bytes;
    this.#passing ??= this.#pass();
  }

  /** Resolves when everything that was added is applied and durable, or was given up. */
  async idle(): Promise<void> {
    while (this.#passing !== null) await this.#passing;
    await this.#logged.idle();
    await this.#copy.idle();
  }

  /** Resolves when something got further, or soon. */
  async progress(): Promise<void> {
    await Promise.race([this.#logged.progress(), this.#copy.busy ?? delay(progressMs)]);
  }

  /** Syncs the tree and frees the log, when everything that was added is applied. */
  async checkpoint(): Promise<void> {
    await this.#logged.checkpoint();
  }

  /** What is not durable is given up; what is being applied comes to its next stop. */
  async close(): Promise<void> {
    this.#closed = true; // W3
    await Promise.all([this.#passing, this.#copy.close(), this.#logged.close()]);
  }

  async #pass(): Promise<void> {
    // Never done before it is noted that it runs.
    await Promise.resolve();
    try {
      for (let next = this.#waiting[0]; next !== undefined && !this.#closed; next = this.#waiting[0]) {
        const way = CopyCommits.takes(next.staged.batch) ? 'copy' : 'logged';
        if (way !== this.#way) await this.#change(way, next.staged.batch);
        if (this.#waiting[0] !== next || this.#isClosed()) continue;
        this.#waiting.shift();
        this.#waitingBytes -= next.bytes;
        if (way === 'copy') this.#copy.add(next.staged, next.bytes);
        else this.#logged.add(next.staged, next.bytes);
      }
    } catch (error) {
      if (!(error instanceof GaveUp)) throw error;
      this.#giveUp(error.message);
    } finally {
      this.#passing = null;
    }
  }

  /** W1. */
  async #change(way: 'logged' | 'copy', first: Batch): Promise<void> {
    if (way === 'logged') await this.#copy.idle();
    else {
      const { log, records, retryMs, pauseMs, listener } = this.#options;
      await this.#logged.idle();
      if (this.#isClosed()) return;
      await this.#logged.checkpoint();
      if (this.#isClosed()) return;
      const begun = async (): Promise<void> => {
        await log.sync();
        records.beginCopy(first);
      };
      const waiting = listener.waiting.bind(listener);
      await persist(begun, { retryMs, pauseMs, closed: () => this.#closed, waiting });
    }
    this.#way = way;
  }

  /** W3. Asked anew after each wait. */
  #isClosed(): boolean {
    return this.#closed;
  }

  #giveUp(reason: string): void {
    this.#drop();
    this.#options.listener.gaveUp(reason);
  }

  #drop(): void {
    for (const { staged } of this.#waiting)
      for (const id of staged.staged) this.#options.ground.staging.remove(id);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}
