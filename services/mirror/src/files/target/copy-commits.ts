/**
 * The way of a batch after which the target is at no point in time of its source: of a first copy, or while everything is
 * compared. There is nothing to come back to in the middle of it, so it does not go through the log, which would write
 * everything twice: it is done as it comes, and what was done is made durable together, a few times a second.
 *
 * Invariants:
 * Y1  Before anything of the first one is done it is durable that the copy is not consistent, and the log has nothing that
 *     a start would do again, over what these batches wrote.
 * Y2  A batch is acknowledged, and the position in the catalog includes it, when one sync made it durable, with
 *     everything before it. What a crash leaves of later ones is sent again, and replaced.
 * Y3  A sync that failed is not repeated, because the kernel forgets what it could not write: nothing since the last one
 *     is acknowledged, and the source has to send it again.
 */

import { setImmediate } from 'node:timers/promises';
import type { Stat } from '../../os/types.ts';
import { Applying } from './applying.ts';
import type { Ground } from './applying.ts';
import type { CommitsListener } from './commits.ts';
import type { StagedBatch } from './open-batch.ts';
import { nothingSpared } from './overwriting.ts';
import { GaveUp, persist } from './persisting.ts';
import type { Records } from './records.ts';
import type { Batch, Redo } from './redo.ts';
import { waitingReason } from './trouble.ts';

/** From the end of a sync to the next one: each costs the file system a commit of its journal. */
const syncEveryMs = 250;
/** It is not waited for when so much was done: the disk would stand still. */
const syncBytes = 32 << 20;
/** Batches that share a transaction of the catalog. */
const recordedMax = 4;

export interface CopyCommitsOptions {
  readonly ground: Ground;
  readonly records: Records;
  readonly listener: CommitsListener;
  readonly retryMs: number;
  readonly pauseMs: number;
}

interface Received {
  readonly staged: StagedBatch;
  readonly bytes: number;
}

interface Done extends Received {
  readonly stats: ReadonlyMap<Redo, Stat>;
  readonly misfits: readonly Buffer[];
  readonly skipped: readonly string[];
}

export class CopyCommits {
  readonly #options: CopyCommitsOptions;
  #received: Received[] = [];
  #done: Done[] = [];
  #doneBytes = 0;
  #bytes = 0;
  #unappliedBytes = 0;
  #working: Promise<void> | null = null;
  #syncing: Promise<void> | null = null;
  #syncedAtMs = -Infinity;
  /** Somebody waits for the end of it all. */
  #hurried = 0;
  #wake: (() => void) | null = null;
  #closed = false;

  constructor(options: CopyCommitsOptions) {
    this.#options = options;
  }

  static takes({ consistent, operations }: Batch): boolean {
    return !consistent && operations.every(({ kind }) => kind !== 'move' && kind !== 'place');
  }

  /** Of what is not durable yet. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of what is not done yet. */
  get unappliedBytes(): number {
    return this.#unappliedBytes;
  }

  get busy(): Promise<void> | null {
    return this.#working ?? this.#syncing;
  }

  /** Y1 is the caller's, before the first. */
  add(staged: StagedBatch, bytes: number): void {
    this.#received.push({ staged, bytes });
    this.#bytes += bytes;
    this.#unappliedBytes += bytes;
    this.#working ??= this.#work();
  }

  /** Resolves when everything that was added is durable, or was given up. */
  async idle(): Promise<void> {
    this.#hurried += 1;
    this.#wake?.();
    while (this.busy !== null) await this.busy;
    this.#hurried -= 1;
  }

  /** What is not durable is given up. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#wake?.();
    while (this.busy !== null) await this.busy;
  }

  async #work(): Promise<void> {
    await Promise.resolve();
    try {
      for (let next = this.#received[0]; next !== undefined && !this.#closed; next = this.#received[0]) {
        const applying = new Applying(this.#options.ground, null, next.staged.batch, 0);
        if (!(await this.#tried(() => applying.run()))) return;
        // Else it was given up meanwhile.
        if (this.#received[0] === next) this.#noteDone(next, applying);
      }
    } finally {
      this.#working = null;
    }
  }

  #noteDone(received: Received, { stats, misfits, skipped }: Applying): void {
    this.#received.shift();
    this.#unappliedBytes -= received.bytes;
    this.#done.push({ ...received, stats, misfits, skipped });
    this.#doneBytes += received.bytes;
    if (this.#doneBytes >= syncBytes) this.#wake?.();
    this.#syncing ??= this.#sync();
  }

  async #sync(): Promise<void> {
    await Promise.resolve();
    try {
      while (this.#done.length > 0 && !this.#closed) {
        await this.#due();
        const group = this.#done;
        this.#done = [];
        this.#doneBytes = 0;
        await this.#makeDurable(group);
      }
    } finally {
      this.#syncing = null;
    }
  }

  /** Y2. */
  async #makeDurable(group: readonly Done[]): Promise<void> {
    const { ground } = this.#options;
    try {
      await ground.staging.syncTree();
    } catch (error) {
      const reason = waitingReason(error);
      if (reason === null) throw error;
      this.#giveUp(group, reason); // Y3.
      return;
    }
    this.#syncedAtMs = performance.now();
    ground.failPoint('copy:synced');
    let left = group;
    await this.#tried(async () => {
      while (left.length > 0) left = await this.#record(left);
    });
  }

  /** Until the next sync is worth its price. */
  async #due(): Promise<void> {
    const left = this.#syncedAtMs + syncEveryMs - performance.now();
    if (left <= 0 || this.#hurried > 0 || this.#closed || this.#doneBytes >= syncBytes) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  /** Answers what is left of the group. */
  async #record(group: readonly Done[]): Promise<Done[]> {
    const { ground, records, listener } = this.#options;
    const { count, unfit } = records.recordCopied(group.slice(0, recordedMax));
    ground.failPoint('copy:recorded');
    // Before anything is told: this may have to be tried again. Some of what does not fit was done as well.
    const isAsSent = unfit === null && group.slice(0, count).every(({ misfits }) => misfits.length === 0);
    if (!isAsSent) records.distrust();
    for (const { staged, bytes, misfits, skipped } of group.slice(0, count)) {
      for (const id of staged.staged) ground.staging.remove(id);
      this.#bytes -= bytes;
      listener.durable(staged);
      listener.applied(staged, { misfits, skipped, spared: nothingSpared, sums: 'agrees' });
    }
    if (unfit === null) {
      await setImmediate();
      return group.slice(count);
    }
    this.#forget(group.slice(count));
    listener.unfit(unfit);
    return [];
  }

  /** False: it was given up. */
  async #tried(what: () => Promise<void>): Promise<boolean> {
    const { retryMs, pauseMs, listener } = this.#options;
    try {
      await persist(what, {
        retryMs,
        pauseMs,
        closed: () => this.#closed,
        waiting: (reason) => {
          listener.waiting(reason);
        },
      });
      return true;
    } catch (error) {
      if (!(error instanceof GaveUp)) throw error;
      this.#giveUp([], error.message);
      return false;
    }
  }

  #giveUp(group: readonly Received[], reason: string): void {
    this.#forget(group);
    this.#options.listener.gaveUp(reason);
  }

  /** These, and everything that came after them. */
  #forget(group: readonly Received[]): void {
    const { staging } = this.#options.ground;
    for (const { staged, bytes } of [...group, ...this.#done, ...this.#received]) {
      for (const id of staged.staged) staging.remove(id);
      this.#bytes -= bytes;
    }
    this.#done = [];
    this.#doneBytes = 0;
    this.#received = [];
    this.#unappliedBytes = 0;
  }
}
