/** A small file system in memory that a test fills, and empties again. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export class SmallDisk {
  readonly #folder: string;

  /** Mounted over `folder`, which is made when missing. */
  constructor(folder: string, bytes: number) {
    mkdirSync(folder, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${String(bytes)}`, 'none', folder]);
    this.#folder = folder;
  }

  fill(): void {
    const fd = openSync(this.#filling, 'a');
    try {
      for (const bytes of [65_536, 4_096]) {
        for (const piece = Buffer.alloc(bytes, 1); ;) {
          try {
            if (writeSync(fd, piece) < bytes) break;
          } catch {
            break;
          }
        }
      }
    } finally {
      closeSync(fd);
    }
  }

  makeRoom(): void {
    rmSync(this.#filling, { force: true });
  }

  unmount(): void {
    execFileSync('umount', ['--lazy', this.#folder]);
  }

  get #filling(): string {
    return join(this.#folder, 'filling');
  }
}
