/**
 * One connection of a source, from its accepted hello to its end: the plan, the comparing, and the batches. Frames come in
 * order; whatever can't be done now (the disk is full, too much waits) holds the line, and the frame is done again later.
 *
 * Invariants:
 * N1  Nonsense within well-formed frames is answered with a refusal and the end of the connection; the open batch is
 *     forgotten, and nothing of it was applied.
 * N2  Memory is bounded: what is received and not durable, and what is durable and not applied, each hold the line at a
 *     limit.
 * N3  Numbers of batches rise, and so do sequences and histories.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Epoch, History } from '@holdfast/core';
import type {
  Commit,
  Connection,
  Data,
  Frame,
  Hello,
  Hole,
  Offer,
  Plan,
  RefusalCode,
} from '../../transport/types.ts';
import { Comparing } from './comparing.ts';
import type { ComparingGround } from './comparing.ts';
import type { Committing } from './committing.ts';
import { OpenBatch } from './open-batch.ts';
import type { StagedBatch } from './open-batch.ts';
import type { Staging } from './staging.ts';
import { isMisfit, waitingReason } from './trouble.ts';

/** Most of it lies in staging files, and other programs' syncs of the same disk wait for it (flushing.ts, E1). */
const unsyncedBytesMax = 64 << 20;
const unappliedBytesMax = 64 << 20;
const retryMsMin = 100;
const retryMsMax = 2_000;

export interface SessionGround {
  readonly commits: Committing;
  readonly staging: Staging;
  readonly comparing: Omit<ComparingGround, 'connection' | 'sourceSequence' | 'sourceHistory' | 'waiting'>;
  readonly retryMs: number;
  readonly epoch: () => Epoch;
  /** Empty: no longer. */
  readonly waiting: (reason: string) => void;
  readonly ended: (session: Session, says: string) => void;
}

export class Session {
  readonly connection: Connection;
  readonly source: string;
  readonly epoch: Epoch;
  readonly #ground: SessionGround;
  readonly #sourceSequence: number;
  readonly #sourceHistory: History;
  #comparing: Comparing | null = null;
  #open: OpenBatch | null = null;
  #lastNumber = 0;
  #lastSequence = 0;
  /** Frames that came while one had to wait; hold() lets few of them through. */
  #waiting: Frame[] = [];
  #busy = false;
  #over = false;
  #settled: Promise<void> = Promise.resolve();

  constructor(connection: Connection, hello: Hello, ground: SessionGround) {
    this.connection = connection;
    this.source = hello.member;
    this.epoch = hello.epoch;
    this.#ground = ground;
    this.#sourceSequence = hello.position?.sequence ?? 0;
    this.#sourceHistory = hello.history;
  }

  start(): void {
    this.connection.onEnd(({ says }) => {
      this.#end(says);
    });
    this.connection.onFrame((frame) => {
      if (this.#over) return;
      this.#waiting.push(frame);
      if (!this.#busy) void this.#work();
    });
  }

  /** After its end: resolves when it is known what of an open batch can be gone on with. */
  get settled(): Promise<void> {
    return this.#settled;
  }

  get receivedBytes(): number {
    return this.#open?.receivedBytes ?? 0;
  }

  /** Whether it names changes of this copy itself; null: that is not known yet. */
  get hasOwn(): boolean | null {
    return this.#comparing?.hasOwn ?? null;
  }

  /** A batch of this session is durable. */
  acknowledge(staged: StagedBatch): void {
    if (this.#over) return;
    const { sequence, checksum } = staged.batch;
    this.connection.send({ kind: 'ack', number: staged.number, sequence, checksum });
  }

  refuse(code: RefusalCode, says: string): void {
    this.connection.send({ kind: 'refuse', code, says, epoch: this.#ground.epoch() });
    this.connection.close(says);
    this.#end(says);
  }

  close(says: string): void {
    this.connection.close(says);
    this.#end(says);
  }

  async #work(): Promise<void> {
    this.#busy = true;
    let held = false;
    try {
      for (let frame = this.#waiting[0]; frame !== undefined; frame = this.#waiting[0]) {
        const later = this.#now(frame);
        if (later !== null) {
          this.connection.hold();
          held = true;
          await later();
        }
        // Empty when the session ended meanwhile.
        this.#waiting.shift();
      }
    } finally {
      this.#busy = false;
    }
    if (held && !this.#over) this.connection.go();
  }

  /** Does what can be done at once; what has to wait is answered. */
  #now(frame: Frame): (() => Promise<void>) | null {
    if (frame.kind === 'plan' || frame.kind === 'offer')
      return () => this.#retried(() => this.#compare(frame), comparingReason);
    const open = this.#open;
    const needsWrites = frame.kind === 'data' || frame.kind === 'hole' || frame.kind === 'commit';
    if (needsWrites && open?.mustWait(frame) === true) return () => this.#afterWrites(open, frame);
    try {
      this.#handle(frame);
    } catch (error) {
      if (waitingReason(error) === null) throw error;
      return () =>
        this.#retried(() => {
          this.#handle(frame);
          return Promise.resolve();
        });
    }
    return frame.kind === 'commit' && this.#crowded ? () => this.#room() : null;
  }

  async #afterWrites(open: OpenBatch, frame: Data | Hole | Commit): Promise<void> {
    await this.#retried(async () => {
      while (open.mustWait(frame) && !this.#over) await open.progress();
      if (!this.#over) this.#handle(frame);
    });
    if (frame.kind === 'commit') await this.#room();
  }

  get #crowded(): boolean {
    const { commits } = this.#ground;
    return commits.receivedBytes > unsyncedBytesMax || commits.unappliedBytes > unappliedBytesMax;
  }

  /** N2. */
  async #room(): Promise<void> {
    while (this.#crowded && !this.#over) await this.#ground.commits.progress();
  }

  async #retried(what: () => Promise<void>, reasonOf = waitingReason): Promise<void> {
    const until = performance.now() + this.#ground.retryMs;
    for (let wait = retryMsMin; !this.#over; wait = Math.min(wait * 2, retryMsMax)) {
      try {
        await what();
        this.#ground.waiting('');
        return;
      } catch (error) {
        const reason = reasonOf(error);
        if (reason === null) throw error;
        this.#ground.waiting(reason);
        if (performance.now() + wait > until) {
          this.refuse('shutdown', `waiting: ${reason}`);
          return;
        }
      }
      await delay(wait);
    }
  }

  async #compare(frame: Plan | Offer): Promise<void> {
    if (frame.kind === 'plan') {
      if (this.#comparing !== null) {
        this.refuse('protocol', 'a second plan came');
        return;
      }
      const { comparing, waiting } = this.#ground;
      const ground = {
        ...comparing,
        waiting,
        connection: this.connection,
        sourceSequence: this.#sourceSequence,
        sourceHistory: this.#sourceHistory,
      };
      const begun = new Comparing(ground, frame);
      await begun.begin();
      this.#comparing = begun;
      if (frame.mode === 'continue') this.#lastSequence = frame.from;
      return;
    }
    if (this.#comparing === null) this.refuse('protocol', 'an offer came before a plan');
    else await this.#comparing.answer(frame);
  }

  #handle(frame: Exclude<Frame, Plan | Offer>): void {
    switch (frame.kind) {
      case 'beat':
        return;
      case 'refuse':
        this.close(`the source refuses: ${frame.says}`);
        return;
      case 'hello':
      case 'candidates':
      case 'wants':
      case 'volume-writes':
      case 'volume-ack':
      case 'volume-standing':
      case 'volume-resync':
      case 'volume-compare':
      case 'volume-hashes':
      case 'ack':
        this.refuse('protocol', `a source does not send ${frame.kind}`);
        return;
      case 'begin':
        if (this.#comparing === null) this.#nonsense('a batch came before a plan');
        else if (this.#comparing.onlyTells) this.#nonsense('a batch came where nothing was to be sent');
        else if (this.#open !== null) this.#nonsense('a batch began within another one');
        else if (frame.number <= this.#lastNumber) this.#nonsense('numbers of batches go back');
        else this.#open = new OpenBatch(frame, this.#ground.staging);
        return;
      case 'operations':
      case 'data':
      case 'hole':
      case 'stream-end':
      case 'stream-abort':
      case 'commit':
        if (this.#open === null) this.#nonsense(`${frame.kind} came outside of a batch`);
        else this.#receive(this.#open, frame);
    }
  }

  #receive(
    open: OpenBatch,
    frame: Extract<
      Frame,
      { kind: 'operations' | 'data' | 'hole' | 'stream-end' | 'stream-abort' | 'commit' }
    >,
  ): void {
    switch (frame.kind) {
      case 'operations':
        this.#check(open.addAll(frame) ?? open.tooLarge);
        return;
      case 'data':
      case 'hole':
        this.#check(open.data(frame));
        return;
      case 'stream-end':
        this.#check(open.end(frame));
        return;
      case 'stream-abort':
        this.#check(open.abort(frame));
        return;
      case 'commit':
        this.#commit(open, frame);
    }
  }

  #commit(open: OpenBatch, commit: Commit): void {
    const wrong = this.#wrongPosition(commit);
    const staged = wrong === null ? open.close(commit, this.epoch) : { nonsense: wrong };
    if ('nonsense' in staged) {
      this.#nonsense(staged.nonsense);
      return;
    }
    this.#open = null;
    this.#lastNumber = commit.number;
    this.#lastSequence = commit.sequence;
    this.#ground.commits.add(staged, open.weight);
  }

  /** N3. */
  #wrongPosition(commit: Commit): string | null {
    if (commit.sequence < this.#lastSequence) return 'sequences go back';
    let before = { epoch: -1n, sequence: -1 };
    for (const row of commit.history) {
      if (row.epoch <= before.epoch || row.sequence < before.sequence) return 'a history goes back';
      before = row;
    }
    if (before.epoch > this.epoch || before.sequence > commit.sequence)
      return 'a history knows more than its source';
    return null;
  }

  #check(wrong: string | null): void {
    if (wrong !== null) this.#nonsense(wrong);
  }

  /** N1. */
  #nonsense(says: string): void {
    this.refuse('protocol', says);
  }

  #end(says: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = [];
    this.#comparing?.end();
    if (this.#open !== null) this.#settled = this.#open.giveUp();
    this.#open = null;
    this.#ground.ended(this, says);
  }
}

/** Somebody took away what was being looked at: what is there now decides. */
function comparingReason(error: unknown): string | null {
  return isMisfit(error) ? 'others change its folder while it is compared' : waitingReason(error);
}
