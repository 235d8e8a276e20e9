/**
 * What the guard did, one JSON object per line: { bootMs, wallMs, kind, says, group, epoch, fenceAtMs }, the last three
 * where it is about a group. `wallMs` is for people.
 *
 * Writing must never hold up a fence, and a disk may hang: one write is under way at a time, off the event loop, and
 * what comes meanwhile waits in a bounded queue. Lines that had no room, or that the disk refused, are counted in the
 * next line that gets through.
 */

import { appendFile, rename, stat } from 'node:fs/promises';
import { isErrno } from './errno.ts';

const queueMax = 256;
const fileBytesMax = 1_048_576;

export interface JournalEntry {
  readonly bootMs: number;
  readonly kind: string;
  readonly says: string;
  readonly group?: string;
  readonly epoch?: string;
  readonly fenceAtMs?: number;
}

export class Journal {
  readonly #file: string | null;
  #queue: string[] = [];
  #writing: Promise<void> | null = null;
  #lost = 0;

  /** Without a file nothing is kept. */
  constructor(file: string | null) {
    this.#file = file;
  }

  write(entry: JournalEntry): void {
    if (this.#file === null) return;
    if (this.#queue.length >= queueMax) {
      this.#lost += 1;
      return;
    }
    const lost = this.#lost === 0 ? {} : { lost: this.#lost };
    this.#lost = 0;
    const { bootMs, ...rest } = entry;
    const line = { bootMs: Math.round(bootMs * 10) / 10, wallMs: Date.now(), ...rest, ...lost };
    this.#queue.push(`${JSON.stringify(line)}\n`);
    this.#writing ??= this.#drain(this.#file);
  }

  /** Waits until all is written, at most this long. */
  async flush(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.#writing ?? Promise.resolve(), limit]);
    clearTimeout(timer);
  }

  async #drain(file: string): Promise<void> {
    while (this.#queue.length > 0) {
      const lines = this.#queue;
      this.#queue = [];
      try {
        await rotate(file);
        await appendFile(file, lines.join(''), { mode: 0o600 });
      } catch {
        // A full or broken disk: the guard has other duties. The next line tells how many are missing.
        this.#lost += lines.length;
      }
    }
    this.#writing = null;
  }
}

/** Keeps the file and one older one within a size. */
async function rotate(file: string): Promise<void> {
  let size: number;
  try {
    size = (await stat(file)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  if (size >= fileBytesMax) await rename(file, `${file}.1`);
}
