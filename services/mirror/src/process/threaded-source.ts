/**
 * A volume's source that lives in a thread of its own, as the seat sees it: neither files nor beats wait for its data path, nor
 * it for them.
 *
 *   H1  a thread that fails takes the process with it: what it held is on disk, and the next process goes on from there
 *   H2  every question has an answer: when the thread is gone, that it is
 *   H3  closed, the volume is closed before that is answered; the thread may tell clients so for a moment longer
 *   H4  what it told last is the truth, for it tells often; in a longer silence its targets fall behind by as much
 */

import type { Worker } from 'node:worker_threads';
import { unseenMs, type MemberId, type MirrorOrder } from '@holdfast/core';
import type { MirrorRun, MirrorRunRow } from '@holdfast/wire/mirror';
import type { Answered, Closing, Opened, RunPorts, SourceReport, SourceRole, SourceSide } from './side.ts';
import type { VolumeHome, VolumeOrder } from './volume-home.ts';

export interface SourceThreadOptions {
  readonly home: VolumeHome;
  readonly order: VolumeOrder;
  readonly role: SourceRole;
  readonly grantUntil: number | null;
}

export type ToSourceThread =
  /** The first one, once. */
  | { readonly kind: 'open'; readonly options: SourceThreadOptions }
  | { readonly kind: 'change'; readonly order: MirrorOrder; readonly role: SourceRole }
  | { readonly kind: 'drain'; readonly id: number; readonly to: MemberId | null; readonly limitMs: number }
  | { readonly kind: 'writable' }
  | { readonly kind: 'run'; readonly id: number; readonly run: MirrorRun }
  /** What was told is taken: more may be told. */
  | { readonly kind: 'room'; readonly id: number }
  /** Whoever asked went away. */
  | { readonly kind: 'abort'; readonly id: number }
  | { readonly kind: 'close'; readonly why: Closing };

export type FromSourceThread =
  | { readonly kind: 'opened' }
  | { readonly kind: 'failed'; readonly says: string }
  | { readonly kind: 'report'; readonly report: SourceReport }
  | { readonly kind: 'says'; readonly sentence: string }
  | { readonly kind: 'drained'; readonly id: number; readonly targets: readonly MemberId[] }
  | { readonly kind: 'row'; readonly id: number; readonly row: MirrorRunRow }
  /** It tells no more before it is told `room`. */
  | { readonly kind: 'full'; readonly id: number }
  | { readonly kind: 'answered'; readonly id: number; readonly answered: Answered }
  | { readonly kind: 'closed' };

interface Asked {
  readonly row: RunPorts['row'];
  readonly room: RunPorts['room'];
  readonly answered: (answered: Answered) => void;
}

/** A thread that does not end by itself is ended. */
const exitMs = 10_000;
const gone: Answered = { kind: 'failed', as: 'failed', says: 'the volume is closed' };

export class ThreadedSource implements SourceSide {
  readonly #worker: Worker;
  readonly #says: (sentence: string) => void;
  readonly #drains = new Map<number, (targets: readonly MemberId[]) => void>();
  readonly #runs = new Map<number, Asked>();
  #report: SourceReport | null = null;
  /** By performance.now(): when that was told. */
  #reportedMs = 0;
  #number = 0;
  #opened: ((says: string) => void) | null = null;
  #closed: (() => void) | null = null;
  #over = false;
  #told: string;

  private constructor(worker: Worker, options: SourceThreadOptions, says: (sentence: string) => void) {
    this.#says = says;
    this.#told = termsOf(options.order, options.role);
    this.#worker = worker;
    this.#worker.on('message', (message: FromSourceThread) => this.#heard(message));
    this.#worker.on('exit', () => this.#exited());
    // H1.
    this.#worker.on('error', (error) => {
      throw error;
    });
    this.#tell({ kind: 'open', options });
  }

  /** `worker`: that of source-thread.ts, which nobody told anything yet. */
  static async open(
    worker: Worker,
    options: SourceThreadOptions,
    says: (sentence: string) => void,
  ): Promise<Opened<SourceSide>> {
    const side = new ThreadedSource(worker, options, says);
    const why = await new Promise<string>((resolve) => {
      side.#opened = resolve;
    });
    return why === '' ? { kind: 'open', side } : { kind: 'failed', says: why };
  }

  change(order: MirrorOrder, role: SourceRole): void {
    const terms = termsOf(order, role);
    if (terms === this.#told) return;
    this.#told = terms;
    this.#tell({ kind: 'change', order, role });
  }

  /** H4. */
  report(): SourceReport {
    const report = this.#report;
    if (report === null) throw new Error('a volume that is open has told of itself');
    const unseen = unseenMs(performance.now() - this.#reportedMs);
    if (unseen === 0) return report;
    const targets = report.targets.map((row) => ({ ...row, behindMs: row.behindMs + unseen }));
    return { ...report, targets };
  }

  drain(to: MemberId | null, limitMs: number): Promise<readonly MemberId[]> {
    if (this.#over) return Promise.resolve([]);
    return new Promise((resolve) => {
      const id = this.#next();
      this.#drains.set(id, resolve);
      this.#tell({ kind: 'drain', id, to, limitMs });
    });
  }

  writable(): void {
    this.#tell({ kind: 'writable' });
  }

  run(run: MirrorRun, { row, room, signal }: RunPorts): Promise<Answered> {
    if (this.#over) return Promise.resolve(gone);
    return new Promise((answered) => {
      const id = this.#next();
      this.#runs.set(id, { row, room, answered });
      signal.addEventListener('abort', () => this.#tell({ kind: 'abort', id }), { once: true });
      this.#tell({ kind: 'run', id, run });
    });
  }

  /** H3. */
  async close(why: Closing): Promise<void> {
    if (this.#over) return;
    const closed = new Promise<void>((resolve) => {
      this.#closed = resolve;
    });
    this.#tell({ kind: 'close', why });
    await closed;
    const late = setTimeout(() => void this.#worker.terminate(), exitMs);
    late.unref();
    this.#worker.once('exit', () => clearTimeout(late));
  }

  #next(): number {
    this.#number += 1;
    return this.#number;
  }

  #tell(message: ToSourceThread): void {
    if (!this.#over) this.#worker.postMessage(message);
  }

  #heard(message: FromSourceThread): void {
    switch (message.kind) {
      case 'opened':
        this.#opened?.('');
        return;
      case 'failed':
        this.#opened?.(message.says);
        return;
      case 'report':
        this.#report = message.report;
        this.#reportedMs = performance.now();
        return;
      case 'says':
        this.#says(message.sentence);
        return;
      case 'drained':
        this.#drains.get(message.id)?.(message.targets);
        this.#drains.delete(message.id);
        return;
      case 'row':
        this.#runs.get(message.id)?.row(message.row);
        return;
      case 'full': {
        const { id } = message;
        void this.#runs
          .get(id)
          ?.room()
          .then(() => this.#tell({ kind: 'room', id }));
        return;
      }
      case 'answered':
        this.#runs.get(message.id)?.answered(message.answered);
        this.#runs.delete(message.id);
        return;
      case 'closed':
        this.#closed?.();
    }
  }

  /** H2. */
  #exited(): void {
    this.#over = true;
    this.#opened?.('the thread of the volume ended');
    this.#closed?.();
    for (const resolve of this.#drains.values()) resolve([]);
    for (const { answered } of this.#runs.values()) answered(gone);
    this.#drains.clear();
    this.#runs.clear();
  }
}

const termsOf = ({ dataset }: MirrorOrder, { targets, grantUntil }: SourceRole): string =>
  JSON.stringify([dataset, targets, grantUntil]);
