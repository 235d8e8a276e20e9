/**
 * The source's end of the memory that it shares with the thread of its clients (exported-volume.ts): takes what was written,
 * in order, and says what may be written.
 *
 *   K1  what is taken away (a gate that closes, an extent that cools) holds when `catchUp` has answered: everything that was
 *       written before is taken, and nothing more comes that saw it as it was
 *   K2  the event loop gets its turn after `turnMs` of taking
 *   K3  it is woken when somebody waits; otherwise it looks every `dozeMs` while writes come, so that they come in heaps and
 *       the export need not wake it for each
 */

import { AnswerRing } from './answer-ring.ts';
import { gate, rest, word, type SharedMemory } from './shared-memory.ts';
import { WriteRingTail, type WriteRecord } from './write-ring.ts';

export interface IntakePorts {
  readonly shared: SharedMemory;
  readonly wakeExport: () => void;
  /** Contents are valid only meanwhile. `answer`: once, if somebody waits for it; null: nobody does. */
  readonly take: (record: WriteRecord, contents: Buffer, answer: ((outcome: number) => void) | null) => void;
  /** For the moment everything that came is taken. */
  readonly taken: () => void;
}

const turnMs = 2;
const dozeMs = 1;
/** So often it looks in vain before it sleeps. */
const dozesMax = 20;
const lookMs = 100;
/** A write that the disk holds up for longer is the end of the process; the next one finds out what is there. */
const busyMs = 60_000;

export class Intake {
  readonly #ports: IntakePorts;
  readonly #shared: SharedMemory;
  readonly #tail: WriteRingTail;
  readonly #answers: AnswerRing;
  #gate = 0;
  #dozes = 0;
  #timer: NodeJS.Timeout | NodeJS.Immediate | null = null;
  #taking = false;
  #closed = false;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
    this.#shared = ports.shared;
    this.#tail = new WriteRingTail(ports.shared);
    this.#answers = new AnswerRing(ports.shared);
    this.#shared.store(word.sourceRests, rest.asleep);
    void this.#listen();
  }

  /** K1, after what was taken away. */
  catchUp(): void {
    this.#whenIdle();
    // Not what comes meanwhile: that may have no end.
    this.#take(this.#tail.waiting, Infinity);
    this.#ports.taken();
  }

  /** Nothing is written while `work` runs, and what was written before is taken. */
  still<T>(work: () => T): T {
    this.close(gate.still);
    try {
      return work();
    } finally {
      this.open(gate.still);
    }
  }

  /** A gate; K1. */
  close(bit: number): void {
    if ((this.#gate & bit) !== 0) return;
    this.#gate |= bit;
    this.#shared.store(word.gate, this.#gate);
    this.catchUp();
    this.#lookAgain();
  }

  open(bit: number): void {
    this.#gate &= ~bit;
    this.#shared.store(word.gate, this.#gate);
    this.#lookAgain();
  }

  /** Whether writes are answered by whoever takes them. Holds for all that come after the answer. */
  answerWrites(answering: boolean): void {
    const now = answering ? 1 : 0;
    if (this.#shared.load(word.answering) === now) return;
    this.#shared.store(word.answering, now);
    if (answering) this.#whenIdle();
  }

  /** More is about to be meant by durable: what was answered as that before is no answer any more (settled.ts, S3). */
  meanMore(): void {
    Atomics.add(this.#shared.words, word.terms, 1);
  }

  /** Whether anybody takes what is in a write. What comes after the answer has contents, when they are wanted. */
  wantContents(wanted: boolean): void {
    const bare = wanted ? 0 : 1;
    if (this.#shared.load(word.bare) === bare) return;
    this.#shared.store(word.bare, bare);
    if (wanted) this.catchUp();
  }

  /** Extents are hot that were not. */
  warmed(): void {
    Atomics.add(this.#shared.words, word.warmed, 1);
    this.#lookAgain();
  }

  end(): void {
    this.#closed = true;
    this.#pause();
    Atomics.notify(this.#shared.words, word.wake);
  }

  #answer(ticket: number, outcome: number): void {
    this.#answers.write(ticket, outcome);
    this.#wake();
  }

  #lookAgain(): void {
    Atomics.add(this.#shared.words, word.news, 1);
    if (this.#shared.load(word.exportWaits) === 1) this.#wake();
  }

  #wake(): void {
    if (Atomics.exchange(this.#shared.words, word.exportSleeps, 0) === 1) this.#ports.wakeExport();
  }

  /** Within a section the export is for no longer than a write takes. */
  #whenIdle(): void {
    const { words } = this.#shared;
    const busy = Atomics.load(words, word.busy);
    if ((busy & 1) === 0) return;
    const endMs = performance.now() + busyMs;
    Atomics.store(words, word.sourceWaits, 1);
    while (Atomics.load(words, word.busy) === busy) {
      Atomics.wait(words, word.busy, busy, lookMs);
      if (performance.now() > endMs) throw new Error('a write to the volume does not end');
    }
    Atomics.store(words, word.sourceWaits, 0);
  }

  /** At most so many, in about that time. */
  #take(most: number, limitMs: number): void {
    if (this.#taking) throw new Error('writes are taken within taking one');
    this.#taking = true;
    const endMs = performance.now() + limitMs;
    let count = 0;
    while (count < most && this.#tail.take(this.#using)) {
      count += 1;
      if (count % 16 === 0 && performance.now() > endMs) break;
    }
    this.#taking = false;
    if (count === 0) return;
    this.#dozes = 0;
    this.#lookAgain();
  }

  readonly #using = (record: WriteRecord, contents: Buffer): void => {
    const { ticket } = record;
    const answer = ticket === 0 ? null : (outcome: number): void => this.#answer(ticket, outcome);
    this.#ports.take(record, contents, answer);
  };

  readonly #turn = (): void => {
    this.#timer = null;
    if (this.#closed) return;
    this.#shared.store(word.sourceRests, rest.awake);
    const before = this.#tail.waiting;
    this.#take(Infinity, turnMs);
    this.#ports.taken();
    if (before > 0 && this.#tail.waiting > 0 && this.#tail.urgent) this.#timer = setImmediate(this.#turn);
    else this.#rest();
  };

  /** K3. */
  #rest(): void {
    this.#dozes += 1;
    // Where every write is waited for, it is woken for every write.
    const dozing = this.#dozes <= dozesMax && this.#shared.load(word.answering) === 0;
    this.#shared.store(word.sourceRests, dozing ? rest.dozing : rest.asleep);
    // Whoever wrote before that did not wake it.
    if (dozing ? this.#tail.urgent : this.#tail.waiting > 0) this.#timer = setImmediate(this.#turn);
    else if (dozing) this.#timer = setTimeout(this.#turn, dozeMs);
  }

  #pause(): void {
    if (this.#timer === null) return;
    clearTimeout(this.#timer as NodeJS.Timeout);
    clearImmediate(this.#timer as NodeJS.Immediate);
    this.#timer = null;
  }

  /** Turns begin here when it is woken. */
  async #listen(): Promise<void> {
    const { words } = this.#shared;
    for (let heard = Atomics.load(words, word.wake); ;) {
      const woken = Atomics.waitAsync(words, word.wake, heard);
      if (woken.async) await woken.value;
      if (this.#closed) return;
      heard = Atomics.load(words, word.wake);
      this.#pause();
      this.#turn();
    }
  }
}

/** Of the export. */
export function wakeIntake({ words }: SharedMemory): void {
  Atomics.add(words, word.wake, 1);
  Atomics.notify(words, word.wake);
}
