/**
 * Keeps the catalog of a source in step with its tree: what the feed tells is looked at, and everything is walked at the
 * start, when changes were lost, and on a period. All sessions share it.
 *
 * C1. One pass at a time. A pass takes everything that was told before it began, looks at it, and makes what is gone final:
 *     at its end, and until something else happens, the catalog is the tree as far as it was told.
 * C2. While everything is walked, what is gone stays undecided (it may turn up elsewhere); batches wait for that.
 * C3. A number is on disk before it is sent (onDisk), so that it never means two things, whatever loses power.
 * C4. A feed that ended is made again; without a feed everything is walked on a short period.
 * C5. What nobody looked at may have changed: since the last complete walk began, where no feed tells; since the feed lost
 *     something, more was told than fits, or what was told could not be looked at; and since the former life's last word,
 *     until the first walk is complete. Everything is in the catalog only when there is nothing of the kind. What could not
 *     be looked at is a reason to tell until a walk saw everything, and the next one comes soon; the rest goes on meanwhile.
 * C6. Where the disk refuses the catalog, what was told stays told, and is tried again; once that works everything is walked.
 * C7. Transactions are few while there is much to do, because each waits for the disk (pace.ts).
 */

import { setTimeout as delay } from 'node:timers/promises';
import { CatalogError } from '../../catalog/trouble.ts';
import type { Catalog } from '../../catalog/types.ts';
import type { ChangedPath, Feed, FeedListener, LostFeed } from '../../feed/types.ts';
import type { Tree } from '../../os/tree.ts';
import { Confirmations } from './confirming.ts';
import { Dirty, type Told } from './dirty.ts';
import { Looking } from './looking.ts';
import { Doubted, type MountPoints } from './mount-points.ts';
import { Pace } from './pace.ts';
import { pathOfKey } from './path.ts';
import { cantRead, isTrouble } from './refusal.ts';
import { Slice } from './slice.ts';
import { type Seen, Survey } from './survey.ts';
import { TellingTimes } from './telling-times.ts';
import { inTransactions } from './transactions.ts';
import type { SourceSelection } from './types.ts';
import { Turns } from '../../turns.ts';

const sweepMs = 8;
const walkEveryMsMin = 1_000;
/** Without a feed, or while something can't be read, walks take at most this part of the time. */
const walkShare = 10;
const feedRetryMs = 5_000;
const catalogRetryMs = 1_000;
export interface CaptureOptions {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: SourceSelection;
  readonly mounts: MountPoints;
  readonly makeFeed: (listener: FeedListener) => Feed;
  readonly scanEveryMs: number;
  /** C5: how long ago the former life wrote down that it looked on; 0 when there was none. */
  readonly unseenForMs: number;
  readonly says: (sentence: string) => void;
  /** Something has a new number. */
  readonly changed: () => void;
  /** What else has to be on disk with the numbers. */
  readonly beforeFlush: () => void;
}

/** The catalog at the end of a pass. */
export interface Point {
  readonly sequence: number;
  readonly checksum: string;
}

export class Capture {
  readonly times: TellingTimes;
  readonly confirmations: Confirmations;
  readonly #options: CaptureOptions;
  readonly #dirty = new Dirty();
  readonly #looking: Looking;
  readonly #survey: Survey;
  #feed: Feed | null = null;
  #watching = false;
  /** C1. */
  readonly #turns = new Turns();
  #passWaits = false;
  #walking: Promise<void> | null = null;
  #walkWanted = false;
  #walked = false;
  #walkTookMs = 0;
  /** C5: since the last walk began. */
  #allRead = true;
  #timer: NodeJS.Timeout | null = null;
  #again: NodeJS.Timeout | null = null;
  #resting: NodeJS.Timeout | null = null;
  readonly #pace: Pace;
  #closed = false;
  readonly #stopped = new AbortController();
  /** C5, by performance.now(); null: the feed told everything. */
  #unseenSinceMs: number | null;
  #lostAtMs = -Infinity;
  /** By performance.now(): when the last walk began that saw everything. */
  #walkedAtMs = -Infinity;
  #durable = 0;
  #flushing: Promise<void> | null = null;
  #says = '';
  /** C6. */
  #refused: CatalogError | null = null;

  constructor(options: CaptureOptions) {
    this.#options = options;
    this.#looking = new Looking(options);
    this.#survey = new Survey(options);
    this.#pace = new Pace(options.catalog);
    this.confirmations = new Confirmations(options.catalog, () => {
      this.#soon();
    });
    this.times = new TellingTimes(options.catalog.lastSequence);
    this.#unseenSinceMs = performance.now() - options.unseenForMs;
  }

  /** Everything was walked once since the start. */
  get walked(): boolean {
    return this.#walked;
  }

  /** Why the tree can't be read, or the catalog not be written; empty when they can. */
  get trouble(): string {
    return this.#refused?.message ?? this.#says;
  }

  /** Why something that is mounted beneath the root is not believed (mount-points.ts); empty: nothing is in doubt. */
  get doubt(): string {
    return this.#options.mounts.doubt;
  }

  /** Where something can be read: null where what is there now is not believed. */
  believed(place: Buffer | null): Buffer | null {
    return place === null || this.#options.mounts.of(place) === null ? place : null;
  }

  get watching(): boolean {
    return this.#watching;
  }

  async start(): Promise<void> {
    await this.#options.mounts.review();
    await this.#startFeed();
    this.#walk();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopped.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#again !== null) clearTimeout(this.#again);
    if (this.#resting !== null) clearTimeout(this.#resting);
    this.confirmations.close();
    await this.#feed?.close();
    await this.#walking;
    await this.#turns.idle();
    await this.#flushing;
  }

  /** A path was seen to differ by somebody else than the feed. */
  tell(path: Buffer): void {
    this.#dirty.add(path, false, performance.now());
    this.#soon();
  }

  /** Whether something was told of one of these paths since the last pass. */
  touches(keys: ReadonlySet<string>): string[] {
    if (this.#dirty.overflowed) return [...keys];
    return [...keys].filter((key) => this.#dirty.has(key));
  }

  /** Since when there may be a change that is not in the catalog; null: there is none. By performance.now(). */
  get waitingSinceMs(): number | null {
    const times = [this.#dirty.sinceMs, this.#unseenSinceMs].filter((ms) => ms !== null);
    return times.length === 0 ? null : Math.min(...times);
  }

  /**
   * C1: everything that was told before this call is in the catalog. `use` runs at that moment, and no pass begins before what it
   * answers is there. Throws CatalogError (C6).
   */
  async still<T>(use: (point: Point) => T | Promise<T>): Promise<T> {
    for (;;) {
      const used = await this.#turns.next(async () => {
        await this.#pass();
        const { catalog } = this.#options;
        if (catalog.detached > 0) return null;
        return { value: await use({ sequence: catalog.lastSequence, checksum: catalog.checksum }) };
      });
      if (used !== null) return used.value;
      // C2.
      await this.#walking;
      if (this.#closed) throw new Error('a capture was used after its end');
    }
  }

  /** Everything that happened before this call was told. False: that can't be known, only a walk would tell. */
  async barrier(): Promise<boolean> {
    return this.#watching && this.#feed !== null ? this.#feed.barrier() : false;
  }

  /**
   * Everything that happened before this call is in the catalog, whatever it takes. False: it can't be looked at (`trouble`).
   * Throws CatalogError (C6).
   */
  async catchUp(): Promise<boolean> {
    const calledMs = performance.now();
    if (this.#walked && (await this.barrier())) {
      await this.still(() => undefined);
      if (this.#unseenSinceMs === null) return true;
    }
    await this.#walking;
    this.#walk();
    await this.#walking;
    if (this.#refused !== null) throw this.#refused;
    await this.still(() => undefined);
    return this.#walkedAtMs >= calledMs;
  }

  /** A person means what is mounted beneath the root as it is. Throws CatalogError, and OsError. */
  accept(): boolean {
    const isNew = this.#options.mounts.accept();
    if (isNew) this.#walk();
    return isNew;
  }

  /** C3. Throws CatalogError; can be repeated. */
  async onDisk(sequence: number): Promise<void> {
    while (this.#durable < sequence) {
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = null;
      });
      await this.#flushing;
    }
  }

  async #flush(): Promise<void> {
    const { catalog } = this.#options;
    const { lastSequence } = catalog;
    this.#options.beforeFlush();
    await catalog.flush();
    this.#durable = lastSequence;
  }

  async #startFeed(): Promise<void> {
    const feed = this.#options.makeFeed({
      changed: (paths) => {
        this.#told(paths);
      },
      lost: (lost) => {
        this.#lost(lost);
      },
    });
    this.#feed = feed;
    const started = await feed.start();
    this.#watching = started.kind === 'watching';
    if (started.kind === 'none')
      this.#options.says(`changes are found by looking at everything: ${started.says}`);
  }

  #told(paths: readonly ChangedPath[]): void {
    const atMs = performance.now();
    for (const { path, whole } of paths) this.#dirty.add(path, whole, atMs);
    if (this.#dirty.overflowed) this.#unseen();
    this.#soon();
  }

  /** C5. The next walk tells. */
  #unseen(): void {
    this.#lostAtMs = performance.now();
    this.#unseenSinceMs ??= this.#lostAtMs;
  }

  #lost({ says, ended }: LostFeed): void {
    this.#options.says(`${says}; everything is looked at`);
    this.#unseen();
    if (ended) {
      this.#watching = false;
      void this.#feedAgain();
    }
    this.#walk();
  }

  async #feedAgain(): Promise<void> {
    await delay(feedRetryMs, undefined, { ref: false });
    if (this.#closed) return;
    await this.#feed?.close();
    await this.#startFeed();
    // What happened between the two feeds: a walk that began before may have missed it.
    this.#unseen();
    this.#walk();
  }

  #soon(): void {
    if (this.#passWaits || this.#closed) return;
    this.#passWaits = true;
    const { waitMs } = this.#pace;
    if (waitMs === 0) this.#passNext();
    else
      this.#resting = setTimeout(() => {
        this.#passNext();
      }, waitMs);
  }

  #passNext(): void {
    void this.#turns.next(async () => {
      this.#passWaits = false;
      try {
        await this.#pass();
      } catch (error) {
        if (!(error instanceof CatalogError)) throw error;
      }
    });
  }

  async #pass(): Promise<void> {
    const before = this.#options.catalog.lastSequence;
    const told = this.#dirty.take();
    const slice = new Slice();
    try {
      await this.#lookAt(told, slice);
      await this.#settle(slice);
    } catch (error) {
      if (error instanceof CatalogError) this.#refuse(error, told);
      throw error;
    }
    this.#pace.passed();
    const sinceMs = this.#dirty.looked();
    if (this.#refused !== null) this.#walk(); // C6.
    const { lastSequence } = this.#options.catalog;
    if (lastSequence > before) {
      this.times.note(lastSequence, sinceMs ?? performance.now());
      this.#options.changed();
    }
    if (this.#dirty.overflowed) this.#walk();
  }

  /** C6. */
  #refuse(error: CatalogError, told: ReadonlyMap<string, Told>, againMs = catalogRetryMs): void {
    for (const [key, { whole, atMs }] of told) this.#dirty.add(pathOfKey(key), whole, atMs);
    if (error.message !== this.#refused?.message) this.#options.says(error.message);
    this.#refused = error;
    this.#unseen();
    if (this.#closed) return;
    this.#again ??= setTimeout(() => {
      this.#again = null;
      this.#soon();
    }, againMs);
  }

  async #lookAt(told: ReadonlyMap<string, Told>, slice: Slice): Promise<void> {
    // Folders before what is in them: a name means what it means since they moved.
    const paths = [...this.#looking.otherNames(told), ...told].sort(([a], [b]) => (a < b ? -1 : 1));
    const wholes: Buffer[] = [];
    await this.#inTransactions(paths, slice, ([key, { whole }]) => {
      const path = pathOfKey(key);
      const observed = this.#tried(path, () => this.#looking.look(path));
      if (observed !== null && (whole || observed.kind === 'moved')) wholes.push(path);
    });
    for (const folder of wholes) if ((await this.#scan(folder)) !== 'all') this.#unread();
  }

  /** A folder with everything beneath it; the root is empty. */
  async #scan(from: Buffer): Promise<Seen> {
    const { seen, trouble } = await this.#survey.of(from, this.#stopped.signal);
    if (trouble !== '' || from.length === 0) this.#says = trouble;
    return seen;
  }

  /** V2 and V3 (looking.ts), and what is gone is gone; not while everything is walked (C2). */
  async #settle(slice: Slice): Promise<void> {
    const { catalog } = this.#options;
    for (;;) {
      catalog.write(() => {
        this.#lookAtFolders();
        this.confirmations.write();
      });
      if (this.#walking !== null) return;
      const names = await this.#sweep(slice);
      if (names.length === 0) return;
      await this.#inTransactions(names, slice, (path) => {
        this.#tried(path, () => this.#looking.look(path));
      });
    }
  }

  #lookAtFolders(): void {
    this.#looking.lookAtFolders((path, look) => {
      this.#tried(path, look);
    });
  }

  /** C7. */
  async #inTransactions<T>(all: readonly T[], slice: Slice, look: (one: T) => void): Promise<void> {
    const { confirmations } = this;
    const last = this.#lookAtFolders.bind(this);
    await inTransactions({ ...this.#options, confirmations, pace: this.#pace, slice, all, look, last });
  }

  /** Answers other names of what is gone (V3 of looking.ts). */
  async #sweep(slice: Slice): Promise<Buffer[]> {
    const inodes = new Set<number>();
    const linked = (inode: number): void => {
      inodes.add(inode);
    };
    const { catalog } = this.#options;
    while (!catalog.sweep(Math.min(slice.endMs, performance.now() + sweepMs), linked)) await slice.turn();
    return this.#looking.namesOf(inodes);
  }

  /** A path that can't be looked at is looked at again by the next walk (C5). */
  #tried<T>(path: Buffer, look: () => T): T | null {
    try {
      return look();
    } catch (error) {
      if (!isTrouble(error)) throw error;
      this.#says = cantRead(path, error instanceof Doubted ? error.message : String(error));
      this.#unread();
      return null;
    }
  }

  /** C5. */
  #unread(): void {
    this.#unseen();
    if (!this.#allRead) return;
    this.#allRead = false;
    if (this.#walking === null && !this.#closed) this.#arm();
  }

  /** Looks at everything; one walk at a time, and another one when something was lost meanwhile. */
  #walk(): void {
    if (this.#closed) return;
    if (this.#walking !== null) {
      this.#walkWanted = true;
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const begun = performance.now();
    this.#dirty.forgetOverflow();
    this.#allRead = true;
    this.#walking = this.#walkAll().finally(() => {
      this.#walking = null;
      if (this.#closed) return;
      if (this.#walkWanted) {
        this.#walkWanted = false;
        this.#walk();
        return;
      }
      this.#soon();
      this.#walkTookMs = performance.now() - begun;
      this.#arm();
    });
  }

  async #walkAll(): Promise<void> {
    const begun = performance.now();
    try {
      await this.#lookAtAll(begun);
    } catch (error) {
      if (!(error instanceof CatalogError)) throw error;
      const tookMs = performance.now() - begun;
      this.#refuse(error, new Map(), Math.max(catalogRetryMs, tookMs * walkShare));
    }
  }

  async #lookAtAll(begun: number): Promise<void> {
    const { catalog, changed } = this.#options;
    const before = catalog.lastSequence;
    const seen = await this.#scan(pathOfKey(''));
    if (seen !== 'all') this.#allRead = false;
    if (this.#closed || seen === 'none') return;
    for (const path of await this.#sweep(new Slice())) this.#dirty.add(path, false, begun);
    this.#walked = true;
    if (seen === 'some') this.#unseenSinceMs ??= begun;
    else {
      this.#walkedAtMs = begun;
      this.#unseenSinceMs = this.#watching && this.#lostAtMs < begun ? null : begun;
    }
    if (!catalog.meta.complete) catalog.setMeta({ complete: true });
    if (this.#refused !== null) this.#options.says('the catalog can be written again');
    this.#refused = null;
    if (catalog.lastSequence > before) this.times.note(catalog.lastSequence, begun);
    changed();
  }

  /** C4, C5. */
  #arm(): void {
    const { scanEveryMs } = this.#options;
    const soonMs = Math.min(scanEveryMs, Math.max(walkEveryMsMin, this.#walkTookMs * walkShare));
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#walk();
      },
      this.#watching && this.#allRead ? scanEveryMs : soonMs,
    );
  }
}
