/**
 * Waits for events, reads them in slices, and hands on what they mean, one batch at a time.
 *
 * P1. A batch is handed on only when the one before was taken (`taken()`); meanwhile changes gather, each path once, at most
 *     PATHS_MAX of them. Beyond, they are dropped and the feed says that they are lost.
 * P2. Between two readings it rests for REST_MS, so that events of the same file merge in the kernel and noise wakes nobody
 *     more than some hundred times a second. After a full slice it rests only a turn of the event loop.
 * P3. What was asked for by number counts as seen, like a marker, once a reading that began afterwards left nothing: the kernel
 *     queues an event within the call that it is about.
 */
import koffi from 'koffi';
import { Reader, type ReaderOptions, type Reading } from './reader.ts';

const PATHS_MAX = 500_000;
const REST_MS = 3;
const SLICE_MS = 10;

export interface Batch {
  readonly changes: ReadonlyMap<string, boolean>;
  /** Seen, or asked for (P3). */
  readonly markers: readonly number[];
  /** Null: nothing was lost. */
  readonly lost: string | null;
  /** Nothing comes after this. */
  readonly ended: boolean;
}

export class Pump {
  readonly #reader: Reader;
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  readonly #hand: (batch: Batch) => void;
  #reading: Reading = empty();
  #lost: string | null = null;
  #waiting = false;
  #rest: NodeJS.Timeout | null = null;
  /** P3. */
  #asked: number[] = [];
  #ended = false;

  /** Throws OsError where watching is not permitted. `hand` is called from the event loop, never before this returns. */
  constructor(options: ReaderOptions, hand: (batch: Batch) => void) {
    this.#reader = new Reader(options);
    this.#hand = hand;
    this.#poll = koffi.node.poll(this.#reader.fd, { readable: true }, () => {
      this.#poll.stop();
      this.#read();
    });
  }

  /** The batch before was taken. */
  taken(): void {
    this.#waiting = false;
    this.#handOn();
  }

  /** P3: the number of a marker that can't be made. */
  ask(number: number): void {
    this.#asked.push(number);
    if (this.#ended || this.#rest !== null) return;
    this.#poll.stop();
    this.#read();
  }

  close(): void {
    if (this.#rest !== null) clearTimeout(this.#rest);
    if (!this.#ended) {
      this.#poll.close();
      this.#reader.close();
    }
    this.#ended = true;
  }

  #read(): void {
    if (this.#ended) return;
    let left: 'empty' | 'more';
    try {
      left = this.#reader.read(this.#reading, performance.now() + SLICE_MS);
    } catch (error) {
      this.#lost = `the change feed ended: ${error instanceof Error ? error.message : String(error)}`;
      this.close();
      this.#handOn();
      return;
    }
    if (left === 'empty') this.#reading.markers.push(...this.#asked.splice(0)); // P3
    if (this.#reading.overflowed) this.#lost = 'the queue of changes overflowed';
    if (this.#reading.changes.size > PATHS_MAX) {
      this.#lost = `more than ${String(PATHS_MAX)} changes waited`; // P1
      this.#reading.changes.clear();
    }
    this.#handOn();
    this.#rest = setTimeout(
      () => {
        this.#rest = null;
        if (left === 'more' || this.#asked.length > 0) this.#read();
        else this.#listen();
      },
      left === 'more' ? 0 : REST_MS,
    ); // P2
  }

  #listen(): void {
    this.#poll.start({ readable: true }, () => {
      this.#poll.stop();
      this.#read();
    });
  }

  #handOn(): void {
    const { changes, markers } = this.#reading;
    const nothing = changes.size === 0 && markers.length === 0 && this.#lost === null;
    if (this.#waiting || nothing) return;
    const batch = { changes, markers, lost: this.#lost, ended: this.#ended };
    this.#reading = empty();
    this.#lost = null;
    this.#waiting = true;
    this.#hand(batch);
  }
}

function empty(): Reading {
  return { changes: new Map(), markers: [], overflowed: false, events: 0 };
}
