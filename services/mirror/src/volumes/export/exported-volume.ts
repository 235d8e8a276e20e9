/**
 * A source's volume in the thread of its clients: reads and writes are done here, at once; what targets need to know of them
 * goes to the source's thread through memory that both share (shared-memory.ts).
 *
 *   E1  nothing is read or written without a grant, or when the source has closed; the clock is asked before each time
 *   E2  nothing is written to an extent that is not hot. Whether it may, the write itself, and its record are one section, in
 *       which `busy` is odd: the source takes a right away first, and then waits until no section runs that may have seen it.
 *       Nobody is answered within a section: they may ask for more
 *   E3  local writes have the order of their records
 *   E4  what can't be done now waits, in order, and is looked at again whenever the source says something; what waits is
 *       bounded by what clients may have pending (nbd/session.ts, N2)
 *   E5  whoever waits behind others has asked for its extents, too: they are made hot together
 *   E6  where a flush is expected after a write that the source answers, the write is answered as the flush would be; and a flush is
 *       answered here, without the source, where everything is durable by then
 *   E7  a request that takes longer than `turnMs` goes on in the next turn: meanwhile others are read for, and the source, which waits for
 *       a section, does its own work
 */

import { copyShared } from '../../os/shared-copy.ts';
import { outcome } from '../nbd/protocol.ts';
import { outcomeOf } from '../plain-volume.ts';
import type { Segment, Store } from '../store/store.ts';
import type { Volume, VolumeRequest } from '../volume.ts';
import { Tickets } from './answer-ring.ts';
import { FlushPattern } from './flush-pattern.ts';
import { Settled } from './settled.ts';
import { gate, rest, word, type SharedMemory } from './shared-memory.ts';
import { recordFlag, recordKind, WriteRingHead } from './write-ring.ts';

type Done = (outcome: number) => void;

export interface ExportedPorts {
  /** Open for reading and writing; not closed or synced here. */
  readonly store: Store;
  readonly shared: SharedMemory;
  /** Whether the grant holds. */
  readonly mayAct: () => boolean;
  readonly wakeSource: () => void;
  /** What the disk refused. */
  readonly refused: (sentence: string) => void;
}

/** Until everything of it is done, it waits as a whole. */
interface Change {
  readonly offset: number;
  readonly length: number;
  /** Null: zeros. */
  readonly contents: Buffer | null;
  readonly hole: boolean;
  readonly durable: boolean;
  readonly done: Done;
  /** Of its bytes, how many are done. */
  at: number;
  /** The last word of the source on what is hot, when it was asked; null: it was not. */
  asked: number | null;
}

interface Waiting {
  /** Null: a flush. */
  readonly change: Change | null;
  readonly done: Done;
}

/** A piece that was carried out, as the source hears of it. */
interface Told {
  readonly offset: number;
  readonly length: number;
  /** By the source. */
  readonly answers: boolean;
  /** Of recordFlag. */
  readonly flags: number;
}

/** What is carried out at once; a larger request goes in pieces. A disk that can't make zeros by itself writes them. */
const writeBytesMax = 1_048_576;
const zeroBytesMax = 4_194_304;
/** Each record of what is hot is a sync, and many zeros take no time: so much is asked for at once. */
const warmBytesMax = 268_435_456;
const turnMs = 10;

export class ExportedVolume implements Volume {
  readonly #ports: ExportedPorts;
  readonly #shared: SharedMemory;
  readonly #ring: WriteRingHead;
  readonly #tickets: Tickets;
  readonly #writeBytesMax: number;
  readonly #pattern = new FlushPattern();
  readonly #settled: Settled;
  #busy = 0;
  #waiting: Waiting[] = [];
  #looking = false;
  /** E7. */
  #goesOnSoon = false;
  #news = 0;
  /** The last word of the source on what is hot, after which everybody who waits has asked. */
  #warmed = 0;

  constructor(ports: ExportedPorts) {
    this.#ports = ports;
    this.#shared = ports.shared;
    this.#ring = new WriteRingHead(ports.shared);
    this.#tickets = new Tickets(ports.shared);
    this.#settled = new Settled(() => ports.shared.load(word.terms));
    this.#writeBytesMax = Math.min(writeBytesMax, ports.shared.contents.length / 4);
  }

  /** It may grow. */
  get sizeBytes(): number {
    return this.#shared.sizeBytes;
  }

  submit(request: VolumeRequest, done: Done): void {
    switch (request.kind) {
      case 'read':
        done(this.#read(request.into, request.offset));
        return;
      case 'write': {
        const { offset, contents, durable } = request;
        const length = contents.length;
        this.#begin({ offset, length, contents, hole: false, durable, done, at: 0, asked: null });
        return;
      }
      case 'zero':
        this.#begin({ ...request, contents: null, done, at: 0, asked: null });
        return;
      case 'flush':
        if (!this.#ports.mayAct()) done(outcome.shutdown);
        else if (this.#waiting.length > 0 || !this.#flush(done)) this.#wait({ change: null, done });
    }
  }

  segments(offset: number, length: number): readonly Segment[] | number {
    return this.#section((bits) => {
      // Closed, it may be any of it.
      if ((bits & gate.closed) !== 0) return [{ offset, length }];
      try {
        return this.#ports.store.segments(offset, length);
      } catch (error) {
        this.#ports.refused(`can't be read at ${offset}: ${textOf(error)}`);
        return outcomeOf(error);
      }
    });
  }

  /** What the source answered, and what waited for it. */
  look(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#goesOnSoon = false;
    this.#news = this.#shared.load(word.news);
    this.#tickets.take();
    while (this.#waiting[0] !== undefined && this.#goesOn(this.#waiting[0])) this.#waiting.shift();
    if (this.#waiting.length === 0) this.#shared.store(word.exportWaits, 0);
    else this.#askAgain();
    this.#looking = false;
  }

  /** True: it may sleep, and is woken when there is something to look at. */
  sleeps(): boolean {
    this.#shared.store(word.exportSleeps, 1);
    if (this.#goesOnSoon) return false;
    if (this.#waiting.length > 0 && this.#shared.load(word.news) !== this.#news) return false;
    return this.#shared.load(word.answersWritten) === this.#shared.load(word.answersTaken);
  }

  awake(): void {
    this.#shared.store(word.exportSleeps, 0);
  }

  #read(into: Buffer, offset: number): number {
    if (!this.#ports.mayAct()) return outcome.shutdown; // E1
    return this.#section((bits) => {
      if ((bits & gate.closed) !== 0) return outcome.shutdown;
      try {
        this.#ports.store.read(into, offset);
        return outcome.done;
      } catch (error) {
        this.#ports.refused(`can't be read at ${offset}: ${textOf(error)}`);
        return outcomeOf(error);
      }
    });
  }

  #begin(change: Change): void {
    if (change.length === 0) change.done(outcome.done);
    else if (this.#waiting.length > 0 || !this.#carryOut(change)) this.#wait({ change, done: change.done });
  }

  #wait(waiting: Waiting): void {
    this.#waiting.push(waiting);
    if (this.#waiting.length > 1) {
      this.#askAhead(waiting);
      return;
    }
    this.#shared.store(word.exportWaits, 1);
    // What it waits for may have come just before that.
    this.look();
  }

  /** E5, after each word of the source on what is hot: some may be cold still, or again. */
  #askAgain(): void {
    const warmed = this.#shared.load(word.warmed);
    if (warmed === this.#warmed) return;
    this.#warmed = warmed;
    for (const waiting of this.#waiting.slice(1)) this.#askAhead(waiting);
  }

  /** E5. Not for a large one, which goes in pieces. */
  #askAhead({ change }: Waiting): void {
    if (change === null || change.length > this.#writeBytesMax) return;
    const { offset, length } = change;
    this.#section((bits) => {
      if (bits === 0 && !this.#isHot(offset, length)) this.#warm(change, offset, length);
    });
  }

  #goesOn({ change, done }: Waiting): boolean {
    return change === null ? this.#flush(done) : this.#carryOut(change);
  }

  /** False: it has to wait. */
  #carryOut(change: Change): boolean {
    for (let endMs = Infinity; ;) {
      if (!this.#ports.mayAct()) return over(change, outcome.shutdown); // E1
      const came = this.#section((bits) => this.#piece(change, bits));
      if (typeof came === 'number') return over(change, came);
      if (came !== 'goes on') return came === 'told';
      const nowMs = performance.now();
      endMs = Math.min(endMs, nowMs + turnMs);
      if (nowMs < endMs) continue;
      this.#goesOnSoon = true;
      return false;
    }
  }

  /** A number: that is the answer. `told`: the source answers it. */
  #piece(change: Change, bits: number): number | 'goes on' | 'waits' | 'told' {
    if (bits !== 0) return refused(bits);
    const offset = change.offset + change.at;
    const left = change.length - change.at;
    const most = change.contents === null ? zeroBytesMax - (offset % zeroBytesMax) : this.#writeBytesMax;
    const length = Math.min(most, left);
    if (!this.#isHot(offset, length))
      return this.#warm(change, offset, change.contents === null ? Math.min(warmBytesMax, left) : length);
    const last = change.at + length === change.length;
    const answers = last && (change.durable || this.#shared.load(word.answering) === 1);
    if (answers && this.#tickets.full) return 'waits';
    const bare = change.contents !== null && this.#shared.load(word.bare) === 1;
    const forwarded = change.contents !== null && !bare;
    const room = forwarded ? this.#ring.reserve(length) : this.#ring.full ? null : 0;
    if (room === null) {
      this.#wake(true);
      return 'waits';
    }
    const came = this.#apply(change, offset, length, forwarded ? room : null);
    if (came !== outcome.done) return came;
    change.at += length;
    this.#settled.wrote();
    const flushNext = last && this.#pattern.wrote(); // E6
    const durable = answers && (change.durable || flushNext) ? recordFlag.durable : 0;
    this.#tell(change, { offset, length, answers, flags: durable | (bare ? recordFlag.bare : 0) });
    if (!last) return 'goes on';
    return answers ? 'told' : outcome.done;
  }

  /** `room`: where its contents go in the ring; null: nowhere. */
  #apply(change: Change, offset: number, length: number, room: number | null): number {
    const { store, refused: tell } = this.#ports;
    try {
      if (change.contents === null) store.zero(offset, length, change.hole);
      else {
        const { at, contents } = change;
        const whole = at === 0 && length === contents.length;
        const piece = whole ? contents : contents.subarray(at, at + length);
        if (room !== null) copyShared(piece, this.#shared.contents.subarray(room, room + length));
        store.write(piece, offset);
      }
      return outcome.done;
    } catch (error) {
      this.#settled.wrote();
      this.#ring.note({ kind: recordKind.unknown, flags: 0, ticket: 0, offset, length });
      this.#wake(false);
      tell(`can't be written at ${offset}: ${textOf(error)}`);
      return outcomeOf(error);
    }
  }

  #tell(change: Change, { offset, length, answers, flags }: Told): void {
    const { contents, hole, done } = change;
    const durable = (flags & recordFlag.durable) !== 0;
    const ticket = answers ? this.#tickets.issue(durable ? this.#settling(done) : done) : 0;
    const kind = contents === null ? recordKind.zero : recordKind.write;
    const record = { kind, flags: hole ? flags | recordFlag.hole : flags, ticket, offset, length };
    if (contents === null || (flags & recordFlag.bare) !== 0) this.#ring.note(record);
    else this.#ring.write(record);
    this.#wake(answers);
  }

  /** It is answered with a sync. */
  #settling(done: Done): Done {
    const settles = this.#settled.asks();
    return (came) => {
      if (came === outcome.done) settles();
      done(came);
    };
  }

  /** False: it has to wait. */
  #flush(done: Done): boolean {
    const came = this.#ports.mayAct()
      ? this.#section((bits) => this.#askFlush(bits, done))
      : outcome.shutdown;
    if (typeof came === 'number') done(came);
    return came !== 'waits';
  }

  #askFlush(bits: number, done: Done): number | 'waits' | 'told' {
    if ((bits & gate.closed) !== 0) return outcome.shutdown;
    const here = bits === 0 && this.#settled.all; // E6
    if (!here && ((bits & ~gate.failed) !== 0 || this.#ring.full || this.#tickets.full)) return 'waits';
    this.#pattern.flushed();
    if (here) return outcome.done;
    const ticket = this.#tickets.issue(this.#settling(done));
    this.#ring.note({ kind: recordKind.flush, flags: 0, ticket, offset: 0, length: 0 });
    this.#wake(true);
    return 'told';
  }

  /** The source is asked once for each of its words. */
  #warm(change: Change, offset: number, length: number): 'waits' {
    const warmed = this.#shared.load(word.warmed);
    if (change.asked === warmed) return 'waits';
    if (!this.#ring.full) {
      change.asked = warmed;
      this.#ring.note({ kind: recordKind.warm, flags: 0, ticket: 0, offset, length });
    }
    this.#wake(true);
    return 'waits';
  }

  #isHot(offset: number, length: number): boolean {
    const { extentBytes } = this.#shared.parts;
    const last = Math.floor((offset + length - 1) / extentBytes);
    for (let extent = Math.floor(offset / extentBytes); extent <= last; extent += 1)
      if (Atomics.load(this.#shared.hot, extent) === 0) return false;
    return true;
  }

  /** E2. */
  #section<T>(work: (bits: number) => T): T {
    const { words } = this.#shared;
    this.#busy = (this.#busy + 1) | 0;
    Atomics.store(words, word.busy, this.#busy);
    try {
      return work(Atomics.load(words, word.gate));
    } finally {
      this.#busy = (this.#busy + 1) | 0;
      Atomics.store(words, word.busy, this.#busy);
      if (Atomics.load(words, word.sourceWaits) === 1) Atomics.notify(words, word.busy);
    }
  }

  /** `urgent`: somebody waits for it. */
  #wake(urgent: boolean): void {
    const rests = this.#shared.load(word.sourceRests);
    if (rests === rest.awake) return;
    const half = this.#ring.bytesWaiting * 2 > this.#shared.contents.length;
    if (rests === rest.asleep || urgent || half) this.#ports.wakeSource();
  }
}

function refused(bits: number): number | 'waits' {
  if ((bits & gate.closed) !== 0) return outcome.shutdown;
  return (bits & gate.failed) !== 0 ? outcome.io : 'waits';
}

function over({ done }: Change, came: number): true {
  done(came);
  return true;
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
