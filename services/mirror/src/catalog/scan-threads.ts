/**
 * Worker threads that look through folders for a scan: which hold what the catalog says, and which do not. They read disk
 * and catalog and write neither.
 */
import { Worker } from 'node:worker_threads';

/** Ids of folders, to a thread. Null: the end. */
export type ToScanThread = Float64Array | null;

export interface FromScanThread {
  /** Entries in the folders that are as the catalog says. */
  readonly entries: number;
  /** Folders in those folders. */
  readonly folders: Float64Array;
  /** Folders that are not as the catalog says, or could not be listed. */
  readonly different: Float64Array;
}

export interface ScanThreadOptions {
  /** Of the catalog. */
  readonly dir: string;
  /** Of the tree, latin1. */
  readonly root: string;
}

/** Batches that a thread has at a time: it need not wait for the next. */
const batchesEach = 2;
/** A batch is some thousand system calls; a disk that takes longer has failed. */
const answerMsMax = 120_000;

export class ScanThreads {
  readonly #threads: { readonly worker: Worker; batches: number }[] = [];
  readonly #answers: FromScanThread[] = [];
  #failed: Error | null = null;
  #wake: (() => void) | null = null;

  constructor({ dir, root, threads }: { dir: string; root: Buffer; threads: number }) {
    const workerData: ScanThreadOptions = { dir, root: root.toString('latin1') };
    for (let i = 0; i < threads; i += 1) {
      const worker = new Worker(new URL('./scan-thread.js', import.meta.url), { workerData, execArgv: [] });
      const thread = { worker, batches: 0 };
      worker.on('message', (answer: FromScanThread) => {
        thread.batches -= 1;
        this.#answers.push(answer);
        this.#wake?.();
      });
      worker.on('error', (error: unknown) => {
        this.#fail(error);
      });
      worker.on('exit', (code) => {
        if (thread.batches > 0) this.#fail(new Error(`a thread of a scan ended with ${String(code)}`));
      });
      this.#threads.push(thread);
    }
  }

  /** Batches that can be given. */
  get free(): number {
    return this.#threads.reduce((sum, { batches }) => sum + batchesEach - batches, 0);
  }

  /** Answers that will come. */
  get busy(): number {
    return this.#threads.reduce((sum, { batches }) => sum + batches, this.#answers.length);
  }

  give(folders: readonly number[]): void {
    const thread = this.#threads.reduce((least, one) => (one.batches < least.batches ? one : least));
    thread.batches += 1;
    const message: ToScanThread = Float64Array.from(folders);
    thread.worker.postMessage(message);
  }

  /** Of the oldest batch that is done. Throws when a thread failed, or none answers. */
  async answer(): Promise<FromScanThread> {
    const deadline = performance.now() + answerMsMax;
    for (;;) {
      if (this.#failed !== null) throw this.#failed;
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      if (performance.now() >= deadline) throw new Error('the threads of a scan do not answer');
      await this.#woken(deadline);
    }
  }

  async close(): Promise<void> {
    const end: ToScanThread = null;
    for (const { worker } of this.#threads) worker.postMessage(end);
    await Promise.all(this.#threads.map(({ worker }) => exited(worker)));
  }

  #fail(error: unknown): void {
    this.#failed ??= new Error('a thread of a scan failed', { cause: error });
    this.#wake?.();
  }

  async #woken(deadline: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadline - performance.now());
      this.#wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}

/** By itself, or within 5 s by force. */
async function exited(worker: Worker): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      worker.terminate().then(() => {
        resolve();
      }, reject);
    }, 5_000);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (worker.threadId < 0) done();
    else worker.once('exit', done);
  });
}
