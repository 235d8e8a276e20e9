/**
 * The journal of a process: `journal/<process>.jsonl`, one JSON object per line, for audits of what was done when.
 *
 * J1. Every entry has the boot time and the wall time of the moment it was written down, and a rising number.
 * J2. Entries of one tick go to the kernel in one write, started in the same tick: a SIGKILL loses at most that.
 * J3. A failing disk never reaches the caller: it is reported once, entries wait in a bounded queue, and what had to be
 *     dropped is counted in the next entry that can be written.
 * J4. At most `filesMax` files of about `bytesMax`: the oldest goes.
 */
import { mkdir, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { bootMs } from './boot-clock.ts';
import { jsonLine } from './log-line.ts';
import { errorCode } from './outcome.ts';

export interface JournalOptions {
  /** A member's directory; the journal is in its folder `journal`. */
  readonly directory: string;
  readonly process: string;
  readonly bytesMax?: number;
  readonly filesMax?: number;
  readonly queueMax?: number;
  /** Told the first failure, and again only after a write succeeded in between. */
  readonly onFailure?: (error: unknown) => void;
  readonly clock?: () => number;
}

export type JournalFields = Readonly<Record<string, unknown>>;

export interface Journal {
  readonly file: string;
  /** Never throws and never waits. */
  write(kind: string, fields?: JournalFields): void;
  /** Everything written before is on the disk, or was reported as failed, when this resolves. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

class JournalFile implements Journal {
  readonly file: string;
  readonly #options: JournalOptions;
  readonly #bytesMax: number;
  readonly #filesMax: number;
  readonly #queueMax: number;
  #queue: string[] = [];
  #dropped = 0;
  #number = 0;
  #handle: FileHandle | null = null;
  #bytes = 0;
  #writing: Promise<void> | null = null;
  #failing = false;
  #closed = false;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.file = join(options.directory, 'journal', `${options.process}.jsonl`);
    this.#bytesMax = options.bytesMax ?? 16 * 1024 * 1024;
    this.#filesMax = options.filesMax ?? 4;
    this.#queueMax = options.queueMax ?? 4096;
  }

  write(kind: string, fields: JournalFields = {}): void {
    if (this.#closed) return;
    if (this.#queue.length >= this.#queueMax) {
      this.#queue.shift();
      this.#dropped += 1;
    }
    this.#queue.push(this.#line(kind, fields));
    this.#writing ??= this.#start();
  }

  async flush(): Promise<void> {
    await this.#writing;
    await this.#attempt(async () => {
      await this.#handle?.datasync();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    const handle = this.#handle;
    this.#handle = null;
    await this.#attempt(async () => {
      await handle?.close();
    });
  }

  #line(kind: string, fields: JournalFields): string {
    const at = { n: (this.#number += 1), bootMs: (this.#options.clock ?? bootMs)(), wallMs: Date.now() };
    try {
      return `${jsonLine({ ...at, kind, ...fields })}\n`;
    } catch (error) {
      // A value without a JSON form (a circle) must not cost the entry.
      return `${jsonLine({ ...at, kind, unprintable: String(error) })}\n`;
    }
  }

  async #start(): Promise<void> {
    // J2: the rest of this tick still joins the batch.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      if (!(await this.#attempt(() => this.#append(batch)))) {
        // Keep what fits for the next write, newest first to go (J3).
        const kept = [...batch, ...this.#queue].slice(-this.#queueMax);
        this.#dropped += batch.length + this.#queue.length - kept.length;
        this.#queue = kept;
        break;
      }
    }
    this.#writing = null;
  }

  async #append(batch: readonly string[]): Promise<void> {
    const lost = this.#dropped;
    const first = lost > 0 ? this.#line('journal-lost', { entries: lost }) : '';
    // After a failure the file may end in half a line.
    const text = (this.#failing ? '\n' : '') + first + batch.join('');
    const handle = await this.#ready(Buffer.byteLength(text));
    await handle.appendFile(text);
    this.#bytes += Buffer.byteLength(text);
    this.#dropped -= lost;
    this.#failing = false;
  }

  async #ready(bytes: number): Promise<FileHandle> {
    if (this.#handle !== null && this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      const full = this.#handle;
      this.#handle = null;
      await full.close();
      await this.#rotate();
    }
    if (this.#handle !== null) return this.#handle;
    await mkdir(dirname(this.file), { recursive: true, mode: 0o700 });
    const handle = await open(this.file, 'a', 0o600);
    this.#bytes = (await handle.stat()).size;
    this.#handle = handle;
    return handle;
  }

  async #rotate(): Promise<void> {
    await rm(`${this.file}.${this.#filesMax - 1}`, { force: true });
    for (let age = this.#filesMax - 2; age >= 1; age -= 1)
      await renameIfThere(`${this.file}.${age}`, `${this.file}.${age + 1}`);
    await renameIfThere(this.file, `${this.file}.1`);
  }

  async #attempt(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!this.#failing) this.#options.onFailure?.(error);
      this.#failing = true;
      return false;
    }
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}

/** Opens nothing yet: the first entry does. */
export function openJournal(options: JournalOptions): Journal {
  return new JournalFile(options);
}
