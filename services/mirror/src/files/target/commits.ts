/**
 * The way of a batch from received to done: durable in the log, acknowledged, applied, recorded in the catalog, marked,
 * and dropped from the log once the file system was synced. Receiving goes on meanwhile; batches that wait for the disk
 * share its next sync.
 *
 * Invariants:
 * C1  A batch is acknowledged when its record in the log, and before it what it has in the staging folder, is durable.
 * C2  Batches are applied in the order of their numbers, one at a time; the marker follows the catalog, the catalog the
 *     tree.
 * C3  A file of the log is free after the tree was synced and the catalog flushed, both after its last batch.
 * C4  What the disk refuses is tried again. What is not durable is given up at the deadline and was never acknowledged;
 *     what is durable is never given up.
 * C5  What is in the staging folder for a batch that was given up stays until no start can find a record of the batch, which
 *     may be whole although the disk would not sync it.
 * C6  What others changed is kept aside before a batch destroys it (overwriting.ts).
 */

import { setTimeout as delay } from 'node:timers/promises';
import { Applying } from './applying.ts';
import type { Ground } from './applying.ts';
import type { Log } from './log.ts';
import type { StagedBatch } from './open-batch.ts';
import { GaveUp, persist, retryMsMin } from './persisting.ts';
import type { Overwriting, Spared } from './overwriting.ts';
import type { Records } from './records.ts';
import type { Agreement } from './agreement.ts';
import { encodeBatch } from './redo.ts';
import { waitingReason } from './trouble.ts';

const syncSinglyMax = 8;
const progressMs = 20;
/**
 * The longest that something applied stays in the log: bounds the work of a start after a loss of power, and how long the sync
 * holds up what is applied meanwhile.
 */
const checkpointMs = 1_000;

/** What became of a batch beside being applied. */
export interface Outcome {
  /** Where the tree did not fit. */
  readonly misfits: readonly Buffer[];
  readonly skipped: readonly string[];
  /** What others had written, and was kept aside. */
  readonly spared: Spared;
  /** Anything but `agrees`: the catalog is not what the source says (agreement.ts). */
  readonly sums: Agreement['kind'];
}

export interface CommitsListener {
  /** C1. */
  durable(staged: StagedBatch): void;
  applied(staged: StagedBatch, outcome: Outcome): void;
  /** The batch does not fit to what is there, and neither it nor what was behind it was applied. */
  unfit(says: string): void;
  /** Empty: it works again. */
  waiting(reason: string): void;
  /** C4: not acknowledged, and not kept. */
  gaveUp(reason: string): void;
}

export interface CommitsOptions {
  readonly log: Log;
  readonly ground: Ground;
  readonly records: Records;
  readonly overwriting: Overwriting;
  readonly listener: CommitsListener;
  readonly nextNumber: number;
  readonly retryMs: number;
  /** The longest pause between two tries, in milliseconds. */
  readonly pauseMs: number;
}

interface Numbered {
  readonly number: number;
  readonly staged: StagedBatch;
  readonly payload: Buffer;
}

export class Commits {
  readonly #options: CommitsOptions;
  #nextNumber: number;
  #received: StagedBatch[] = [];
  /** How often batches were skipped; what was begun before the last time is skipped as well. */
  #drops = 0;
  #receivedBytes = 0;
  #unapplied: {
    readonly number: number;
    readonly staged: StagedBatch;
    readonly bytes: number;
    readonly drops: number;
  }[] = [];
  #unappliedBytes = 0;
  /** Of the staging folder, with the batch after which they are of no use. */
  #used: { readonly number: number; readonly ids: readonly number[] }[] = [];
  #syncing: Promise<void> | null = null;
  #applying: Promise<void> | null = null;
  #checkpointing: Promise<void> | null = null;
  #appliedNumber: number;
  #syncedNumber: number;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: CommitsOptions) {
    this.#options = options;
    this.#nextNumber = options.nextNumber;
    this.#appliedNumber = options.nextNumber - 1;
    this.#syncedNumber = this.#appliedNumber;
  }

  /** Bytes of batches that were received and are not durable yet. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  get unappliedBytes(): number {
    return this.#unappliedBytes;
  }

  /** Everything that was added is applied, recorded and durable, and the log has nothing that a start would need. */
  get settled(): boolean {
    const busy = this.#syncing ?? this.#applying ?? this.#checkpointing;
    const waiting = this.#received.length + this.#unapplied.length + this.#used.length;
    return busy === null && waiting === 0 && this.#syncedNumber === this.#nextNumber - 1;
  }

  add(staged: StagedBatch, bytes: number): void {
    this.#received.push(staged);
    this.#receivedBytes += bytes;
    this.#syncing ??= this.#sync();
  }

  /** Resolves when everything that was added is applied, or was given up. */
  async idle(): Promise<void> {
    while (this.#syncing !== null || this.#applying !== null) {
      await (this.#syncing ?? this.#applying);
    }
  }

  /** Resolves when something got further, or soon. */
  async progress(): Promise<void> {
    await Promise.race([this.#syncing, this.#applying, delay(progressMs)].filter((wait) => wait !== null));
  }

  /** Syncs the tree and frees the log, when everything that was added is applied. */
  async checkpoint(): Promise<void> {
    await this.#checkpointing;
    await this.#freeLog(this.#appliedNumber);
  }

  /** What is not durable is given up; what is being applied comes to its next stop. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#syncing;
    await this.#applying;
    await this.#checkpointing;
  }

  async #sync(): Promise<void> {
    try {
      await this.#syncGroups();
    } finally {
      this.#syncing = null;
    }
  }

  async #syncGroups(): Promise<void> {
    while (this.#received.length > 0 && !this.#closed) {
      const group = this.#received;
      this.#received = [];
      const bytes = this.#receivedBytes;
      const drops = this.#drops;
      try {
        const numbered = group.map((staged, i) => ({
          number: this.#nextNumber + i,
          staged,
          payload: encodeBatch(staged.batch),
        }));
        await this.#persist(() => this.#makeDurable(numbered), this.#options.retryMs);
        this.#nextNumber += group.length;
        for (const { number, staged, payload } of numbered) {
          this.#options.listener.durable(staged);
          this.#unapplied.push({ number, staged, bytes: payload.length, drops });
          this.#unappliedBytes += payload.length;
        }
        this.#options.ground.failPoint('commit:acknowledged');
        this.#applying ??= this.#apply().finally(() => {
          this.#applying = null;
        });
      } catch (error) {
        if (!(error instanceof GaveUp)) throw error;
        const ids = [...group, ...this.#received].flatMap(({ staged }) => staged);
        this.#received = [];
        this.#receivedBytes = bytes;
        // Before anything is awaited, so that nothing comes on top of it.
        this.#options.listener.gaveUp(error.message);
        if (await this.#erased()) for (const id of ids) this.#options.ground.staging.remove(id);
        else this.#used.push({ number: this.#nextNumber, ids });
      }
      this.#receivedBytes -= bytes;
    }
  }

  /** C1. */
  async #makeDurable(group: readonly Numbered[]): Promise<void> {
    const { log, ground } = this.#options;
    const ids = group.flatMap(({ staged }) => staged.staged);
    if (ids.length > syncSinglyMax) await ground.staging.syncTree();
    else if (ids.length > 0) await ground.staging.sync(ids);
    ground.failPoint('commit:staged');
    if (log.full) {
      await this.#checkpointing;
      this.#startCheckpoint(log.roll());
    }
    const mark = log.mark;
    try {
      for (const { number, payload } of group) log.append(number, payload);
      ground.failPoint('commit:written');
      await log.sync();
      ground.failPoint('commit:durable');
    } catch (error) {
      // A sync that failed is not repeated by the kernel: the records are written again.
      log.rewind(mark);
      throw error;
    }
  }

  /** C5. False: the record of the next batch will be written over it. */
  async #erased(): Promise<boolean> {
    const { log, ground } = this.#options;
    try {
      ground.failPoint('commit:erasing');
      log.erase();
      await log.sync();
      return true;
    } catch (error) {
      if (waitingReason(error) === null) throw error;
      return false;
    }
  }

  async #apply(): Promise<void> {
    const { ground, records, listener } = this.#options;
    for (let next = this.#unapplied[0]; next !== undefined && !this.#closed; next = this.#unapplied[0]) {
      const { number, staged } = next;
      const unfit =
        next.drops === this.#drops ? records.unfit(staged.batch) : 'it was sent on top of what did not fit';
      if (unfit !== null) {
        if (!(await this.#dropUnapplied())) return;
        listener.unfit(unfit);
        continue;
      }
      const spared = await this.#spare(number, staged);
      if (spared === null) return;
      const applying = new Applying(ground, number, staged.batch, 0);
      let sums: Agreement['kind'] = 'agrees';
      const done =
        (await this.#persist(() => applying.run(), Infinity)) &&
        (await this.#persist(async () => {
          const found = await records.record(number, staged.batch, applying.stats);
          if (found !== 'agrees') sums = found;
          // Before anything is told: this may have to be tried again.
          if (applying.misfits.length > 0 || sums === 'differs') records.distrust();
          ground.failPoint('apply:recorded');
          ground.staging.mark({ number, step: 0 });
          ground.failPoint('apply:marked');
        }, Infinity));
      if (!done) return;
      this.#unapplied.shift();
      this.#unappliedBytes -= next.bytes;
      this.#appliedNumber = number;
      if (staged.staged.length > 0) this.#used.push({ number, ids: staged.staged });
      const { misfits, skipped } = applying;
      listener.applied(staged, { misfits, skipped, spared, sums });
      this.#arm();
    }
  }

  /** What others changed, before the batch takes its place (overwriting.ts). Null: closed meanwhile. */
  async #spare(number: number, { batch }: StagedBatch): Promise<Spared | null> {
    const { overwriting, listener } = this.#options;
    let spared: Spared | null = null;
    const closed = (): boolean => this.#closed;
    const waiting = listener.waiting.bind(listener);
    await this.#persist(async () => {
      spared = await overwriting.before(number, batch, { closed, waiting, beyond: false });
    }, Infinity);
    return spared;
  }

  /**
   * What is durable and can't be applied is skipped, with everything that was sent on top of it, also meanwhile. False:
   * closed before that.
   */
  async #dropUnapplied(): Promise<boolean> {
    const { records, ground } = this.#options;
    this.#drops += 1;
    const skipped = await this.#persist(() => {
      const last = this.#unapplied.at(-1);
      if (last === undefined) return Promise.resolve();
      records.skip(last.number);
      ground.staging.mark({ number: last.number, step: 0 });
      this.#appliedNumber = last.number;
      for (const { number, staged } of this.#unapplied) this.#used.push({ number, ids: staged.staged });
      this.#unapplied = [];
      this.#unappliedBytes = 0;
      return Promise.resolve();
    }, Infinity);
    this.#arm();
    return skipped;
  }

  #arm(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.#closed) return;
      if (this.#checkpointing === null) this.#startCheckpoint(this.#appliedNumber);
    }, checkpointMs);
  }

  #startCheckpoint(upTo: number): void {
    this.#checkpointing = this.#freeLog(upTo).finally(() => {
      this.#checkpointing = null;
    });
  }

  /** C3. */
  async #freeLog(upTo: number): Promise<void> {
    const { log, records, ground } = this.#options;
    while (this.#appliedNumber < upTo) {
      if (this.#closed) return;
      await (this.#applying ?? delay(retryMsMin));
    }
    if (this.#syncedNumber >= upTo) return;
    const done = await this.#persist(async () => {
      await ground.staging.syncTree();
      await records.flush();
      ground.failPoint('checkpoint:synced');
      log.free(upTo);
      if (this.#nextNumber - 1 === upTo && this.#syncing === null) log.restart();
    }, Infinity);
    if (!done) return;
    this.#syncedNumber = upTo;
    for (const { ids } of this.#used.filter(({ number }) => number <= upTo)) {
      for (const id of ids) ground.staging.remove(id);
    }
    this.#used = this.#used.filter(({ number }) => number > upTo);
    ground.failPoint('checkpoint:freed');
  }

  /** C4. False: closed meanwhile. Throws GaveUp at the deadline, and what is no trouble of a disk. */
  #persist(what: () => Promise<void>, retryMs: number): Promise<boolean> {
    const { pauseMs, listener } = this.#options;
    return persist(what, {
      retryMs,
      pauseMs,
      closed: () => this.#closed,
      waiting: (reason) => {
        listener.waiting(reason);
      },
    });
  }
}
