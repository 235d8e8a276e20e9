/**
 * The change feed of one root: starts the reading, tells the listener, and answers barriers.
 *
 * C1. A barrier is a marker: an empty file with a number, made in a folder of ours on the same file system by the caller of
 *     barrier(). The kernel keeps the order of events (reader.ts, N2), and so do we: the listener hears everything from before
 *     the marker first.
 *     Where none can be made (a disk that is full, went read-only, or does not answer), the reading itself is asked to get to
 *     its end. Nobody waits for the disk but a thread of its own: whoever makes a file there may wait for ever.
 * C2. When changes were lost, a marker may have been among them: all open barriers answer false.
 */
import { existsSync, mkdirSync, readdirSync, statSync, unlinkSync } from 'node:fs';
import { open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { errorCode, errorText } from '@holdfast/wire/directory';
import { mountedBeneath } from '../os/mounts.ts';
import type { FromThread, ThreadOptions, ToThread } from './messages.ts';
import { type Batch, Pump } from './pump.ts';
import { MARKER } from './reader.ts';
import { reasonOf } from './reason.ts';
import type { Feed, FeedOptions, FeedStart } from './types.ts';

const BARRIER_MS = 5000;
const MARK_MS = 1000;
const START_MS = 10_000;

/** Whoever reads: a thread, or this one. */
interface Reading {
  taken(): void;
  /** Pump.ask(). */
  ask(number: number): void;
  close(): Promise<void>;
}

export function createFeed(options: FeedOptions): Feed {
  return new FanotifyFeed(options);
}

class FanotifyFeed implements Feed {
  readonly #options: FeedOptions;
  readonly #barriers = new Map<number, (known: boolean) => void>();
  #next = 1;
  #reading: Reading | null = null;
  /** The disk does not answer whoever makes a marker. */
  #stalled = false;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  async start(): Promise<FeedStart> {
    if (this.#reading !== null) throw new Error('the feed was started before');
    const { root, markers, where } = this.#options;
    // Before anything is made in it: a folder in the place of a root that is gone would be another root.
    const device = deviceOf(root);
    if (typeof device === 'string') return { kind: 'none', says: device };
    const lack = prepareMarkers(markers);
    if (lack !== '') return { kind: 'none', says: lack };
    if (deviceOf(markers) !== device) {
      return { kind: 'none', says: `${markers} is not on the file system of ${root}` };
    }
    const [mounted] = mountedBeneath(root);
    if (mounted !== undefined) {
      return {
        kind: 'none',
        says: `another file system is mounted beneath the root, at ${mounted.toString()}`,
      };
    }
    return where === 'here' ? this.#startHere() : this.#startThread();
  }

  barrier(): Promise<boolean> {
    const reading = this.#reading;
    if (reading === null) return Promise.resolve(false);
    const number = this.#next;
    this.#next += 1;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#answer(number, false);
      }, BARRIER_MS);
      this.#barriers.set(number, (known) => {
        clearTimeout(timer);
        resolve(known);
      });
      void this.#mark(number).then((made) => {
        if (!made && this.#reading === reading) reading.ask(number);
      });
    });
  }

  /** C1. False: the disk refuses it, or does not answer. */
  async #mark(number: number): Promise<boolean> {
    if (this.#stalled) return false;
    const made = makeMarker(join(this.#options.markers, `${MARKER}${String(number)}`));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        this.#stalled = true;
        void made.finally(() => (this.#stalled = false));
        resolve(false);
      }, MARK_MS);
    });
    const answer = await Promise.race([made, late]);
    clearTimeout(timer);
    return answer;
  }

  async close(): Promise<void> {
    const reading = this.#reading;
    this.#end();
    await reading?.close();
  }

  #startHere(): FeedStart {
    try {
      const pump = new Pump(this.#options, (batch) => {
        this.#take(batch);
      });
      this.#reading = {
        taken() {
          pump.taken();
        },
        ask(number) {
          pump.ask(number);
        },
        close() {
          pump.close();
          return Promise.resolve();
        },
      };
      return { kind: 'watching' };
    } catch (error) {
      return { kind: 'none', says: reasonOf(error) };
    }
  }

  async #startThread(): Promise<FeedStart> {
    const { root, markers, excluded } = this.#options;
    const workerData: ThreadOptions = {
      root,
      markers,
      excluded: excluded.map((path) => path.toString('latin1')),
    };
    const worker = new Worker(new URL('./thread.js', import.meta.url), { workerData, execArgv: [] });
    const say = (message: ToThread): void => {
      worker.postMessage(message);
    };
    const exited = new Promise<void>((resolve) =>
      worker.once('exit', () => {
        resolve();
      }),
    );
    const close = async (): Promise<void> => {
      say({ kind: 'close' });
      const timer = setTimeout(() => void worker.terminate(), START_MS);
      await exited;
      clearTimeout(timer);
    };
    const started = await new Promise<FeedStart>((resolve) => {
      const late = setTimeout(() => {
        resolve({ kind: 'none', says: 'the thread of the feed did not start in time' });
        worker.removeAllListeners('message');
      }, START_MS);
      worker.on('error', (error) => {
        clearTimeout(late);
        resolve({ kind: 'none', says: `the thread of the feed died: ${String(error)}` });
        this.#died(String(error));
      });
      worker.on('message', (message: FromThread) => {
        if (message.kind === 'batch') {
          this.#take(message.batch);
          return;
        }
        clearTimeout(late);
        if (message.kind === 'refused') {
          resolve({ kind: 'none', says: message.says });
          return;
        }
        // Now, and not when start() goes on: the next message may be a batch.
        this.#reading = {
          taken: () => {
            say({ kind: 'taken' });
          },
          ask: (asked) => {
            say({ kind: 'ask', number: asked });
          },
          close,
        };
        resolve(message);
      });
    });
    if (started.kind === 'none') await close();
    return started;
  }

  #take({ changes, markers, lost, ended }: Batch): void {
    const reading = this.#reading;
    if (reading === null) return;
    const { listener } = this.#options;
    if (changes.size > 0) {
      listener.changed(
        Array.from(changes, ([path, whole]) => ({ path: Buffer.from(path, 'latin1'), whole })),
      );
    }
    if (lost !== null) {
      listener.lost({ says: lost, ended });
      for (const number of [...this.#barriers.keys()]) this.#answer(number, false); // C2
    }
    for (const number of markers) this.#answer(number, true);
    if (ended) this.#end();
    else reading.taken();
  }

  #died(says: string): void {
    if (this.#reading === null) return;
    this.#end();
    this.#options.listener.lost({ says: `the thread of the feed died: ${says}`, ended: true });
  }

  #end(): void {
    this.#reading = null;
    for (const number of [...this.#barriers.keys()]) this.#answer(number, false);
  }

  #answer(number: number, known: boolean): void {
    this.#barriers.get(number)?.(known);
    this.#barriers.delete(number);
  }
}

async function makeMarker(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600);
    await file.close();
    await unlink(path);
    return true;
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return false;
  }
}

/** Or why it can't be told. */
function deviceOf(path: string): number | string {
  try {
    return statSync(path).dev;
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return errorText(error);
  }
}

/** What an earlier life left there goes, where it can. Empty; or why there is no such folder. */
function prepareMarkers(folder: string): string {
  try {
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.startsWith(MARKER)) unlinkSync(join(folder, name));
    return '';
  } catch (error) {
    if (errorCode(error) === '') throw error;
    return existsSync(folder) ? '' : errorText(error);
  }
}
