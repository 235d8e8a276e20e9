/**
 * The export of a volume that runs in a thread of its own, as the source sees it.
 *
 *   T1  a thread that fails takes the process with it (threaded-source.ts, H1)
 *   T2  it is woken by eventfd(2), since it has no event loop
 *   T3  the socket's name is gone when close() has answered: the next export of the volume may have it at once
 */

import { closeSync, rmSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { checked, libc, O_CLOEXEC, O_NONBLOCK } from '../os/libc.ts';
import { orders, SharedMemory, word } from '../volumes/export/shared-memory.ts';
import type { ExportTerms, FromExportThread } from './export-thread.ts';

/** It wakes up several times in that, whatever happens. */
const endMs = 5_000;
const one = Buffer.alloc(8);
one[0] = 1;

export interface ExportEars {
  readonly says: (sentence: string) => void;
  /** The disk refused something to a client. */
  readonly refused: (sentence: string) => void;
}

export class ThreadedExport {
  readonly #worker: Worker;
  readonly #wakeFd: number;
  readonly #ended: Promise<void>;
  #shared: SharedMemory | null = null;
  #socketPath: string | null = null;
  #over = false;
  #listened: ((says: string) => void) | null = null;
  #ears: ExportEars = { says: () => undefined, refused: () => undefined };

  private constructor(worker: Worker, wakeFd: number) {
    this.#worker = worker;
    this.#wakeFd = wakeFd;
    worker.on('message', (message: FromExportThread) => this.#heard(message));
    // T1.
    worker.on('error', (error) => {
      throw error;
    });
    this.#ended = new Promise((resolve) => {
      worker.once('exit', () => {
        this.#over = true;
        closeSync(wakeFd);
        this.#listened?.('the thread of its clients ended');
        resolve();
      });
    });
  }

  /** It waits for what it is to serve. */
  static begun(): ThreadedExport {
    const worker = new Worker(new URL('./export-thread.js', import.meta.url), { execArgv: [] });
    const wakeFd = checked(libc.eventfd(0, O_NONBLOCK | O_CLOEXEC), 'eventfd', null);
    return new ThreadedExport(worker, wakeFd);
  }

  /** Once. Empty when clients can come; otherwise why not. */
  listen(terms: Omit<ExportTerms, 'wakeFd'>, ears: ExportEars): Promise<string> {
    this.#shared = new SharedMemory(terms.shared);
    this.#socketPath = terms.socketPath;
    this.#ears = ears;
    return new Promise((resolve) => {
      this.#listened = resolve;
      this.#worker.postMessage({ ...terms, wakeFd: this.#wakeFd } satisfies ExportTerms);
    });
  }

  /** T2. */
  wake(): void {
    if (!this.#over) writeSync(this.#wakeFd, one);
  }

  /** Resolves when nothing is answered any more. */
  async hangUp(): Promise<void> {
    this.#order(orders.hangUp);
    const late = setTimeout(() => void this.#worker.terminate(), endMs);
    await this.#ended;
    clearTimeout(late);
  }

  /** It goes on for a moment, and ends by itself. T3. */
  close(): void {
    if (this.#socketPath !== null) rmSync(this.#socketPath, { force: true });
    this.#order(orders.close);
  }

  /** It never listened. */
  end(): void {
    void this.#worker.terminate();
  }

  #order(order: number): void {
    this.#shared?.store(word.orders, order);
    this.wake();
  }

  #heard(message: FromExportThread): void {
    switch (message.kind) {
      case 'listens':
        this.#listened?.('');
        return;
      case 'failed':
        this.#listened?.(message.says);
        return;
      case 'says':
        this.#ears.says(message.sentence);
        return;
      case 'refused':
        this.#ears.refused(message.sentence);
    }
  }
}
