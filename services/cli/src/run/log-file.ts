/**
 * A log of bounded size: the file and one older one (`.1`). Written off the event loop, for a disk may hang; what has
 * no room meanwhile is counted, and the count is written when there is room again.
 */

import { appendFile, rename, stat } from 'node:fs/promises';
import { isErrno } from './errno.ts';

export const logBytesMax = 4 * 1024 * 1024;
const waitingMax = 4_096;

export class LogFile {
  readonly path: string;
  readonly #bytesMax: number;
  #waiting: string[] = [];
  #writing: Promise<void> | null = null;
  #lost = 0;

  constructor(path: string, bytesMax = logBytesMax) {
    this.path = path;
    this.#bytesMax = bytesMax;
  }

  /** Adds a line, with the wall time before it. */
  write(line: string): void {
    if (this.#waiting.length >= waitingMax) {
      this.#lost += 1;
      return;
    }
    const lost = this.#lost === 0 ? '' : `(${this.#lost} lines were lost)\n`;
    this.#lost = 0;
    this.#waiting.push(`${lost}${new Date().toISOString()} ${line}\n`);
    this.#writing ??= this.#drain();
  }

  /** Waits until all is written. */
  async flush(): Promise<void> {
    await this.#writing;
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#waiting;
      this.#waiting = [];
      try {
        await rotateLog(this.path, this.#bytesMax);
        await appendFile(this.path, lines.join(''), { mode: 0o600 });
      } catch {
        // A full disk must not stop the member; the next line that gets through tells how many are missing.
        this.#lost += lines.length;
      }
    }
    this.#writing = null;
  }
}

/** Moves the file aside when it has reached its size. */
export async function rotateLog(path: string, bytesMax = logBytesMax): Promise<void> {
  let size: number;
  try {
    size = (await stat(path)).size;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return;
    throw error;
  }
  if (size >= bytesMax) await rename(path, `${path}.1`);
}
