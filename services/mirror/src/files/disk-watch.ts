/**
 * Whether data can be written where a mirror lies: who is told by nothing but its failing service learns it too late, and a
 * file system may take no more while a mirror that only reads goes on.
 *
 *   D1  what is written leaves no trace: a file without a name (open(2), O_TMPFILE), which no folder shows
 *   D2  one try at a time, and never a wait for it: a disk that does not answer is a trouble of its own
 *   D3  one failure is none: trouble is told at the second in a row, and is over with the first success
 */

import { constants, type StatsFs } from 'node:fs';
import { open, statfs } from 'node:fs/promises';
import { errorCode } from '@holdfast/wire/directory';

export interface DiskWatchOptions {
  /** A folder on the file system in question, writable for us. Asked for each try. */
  readonly folder: () => string;
  /** One sentence for the log of the process, whenever it changed. */
  readonly says: (sentence: string) => void;
  readonly everyMs?: number;
  readonly stalledMs?: number;
  /** Tests write elsewhere. */
  readonly tryIt?: (folder: string) => Promise<string>;
}

const everyMsDefault = 5_000;
const againMs = 1_000;
const stalledMsDefault = 10_000;
const probeBytes = 4_096;
const withoutName = 0o20_000_000 | constants.O_DIRECTORY;

/** What the disk says, for a person; anything else is not about the disk, and others tell it. */
const troubles = new Map([
  ['ENOSPC', 'no space left on device'],
  ['EDQUOT', 'disk quota exceeded'],
  ['EIO', 'input/output error'],
  ['EROFS', 'read-only file system'],
]);

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  #timer: NodeJS.Timeout;
  #sinceMs: number | null = null;
  #failed = '';
  #trouble = '';
  #closed = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#look(), 0).unref();
  }

  /** Why nothing can be written; empty when it can. */
  get trouble(): string {
    return this.#trouble;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #look(): void {
    const { everyMs = everyMsDefault, stalledMs = stalledMsDefault } = this.#options;
    if (this.#sinceMs === null) {
      this.#sinceMs = performance.now();
      void this.#try();
    } else if (performance.now() - this.#sinceMs > stalledMs) this.#tell('the disk does not answer'); // D2
    this.#timer = setTimeout(() => this.#look(), this.#failed === '' ? everyMs : againMs).unref();
  }

  async #try(): Promise<void> {
    const tryIt = this.#options.tryIt ?? written;
    const failed = await tryIt(this.#options.folder());
    this.#sinceMs = null;
    if (this.#closed) return;
    // D3.
    if (failed === '' || this.#failed !== '') this.#tell(failed);
    this.#failed = failed;
  }

  #tell(trouble: string): void {
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    const { folder, says } = this.#options;
    says(trouble === '' ? `${folder()} can be written again` : `${folder()} can't be written: ${trouble}`);
  }
}

/** D1. Empty when it could be done, or when that can't be told here. */
export async function written(folder: string): Promise<string> {
  try {
    const file = await open(folder, withoutName | constants.O_RDWR, 0o600);
    try {
      await file.writeFile(Buffer.alloc(probeBytes, 1));
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    const trouble = troubles.get(errorCode(error));
    if (trouble !== undefined) return trouble;
  }
  return isFull(await statfs(folder).catch(() => null)) ? 'no space left on device' : '';
}

/** Full for everybody but root. */
function isFull(stats: StatsFs | null): boolean {
  return stats !== null && stats.blocks > 0 && stats.bavail === 0;
}
