/**
 * The highest epoch that this target ever saw, durable before anything is answered at it: a source that lost its group
 * can't write here any more, whatever happens to either side (docs/guarantees.md, rule 6).
 */

import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Epoch } from '@holdfast/core';
import { codeOf } from './trouble.ts';

export class SeenEpoch {
  readonly #folder: string;
  #epoch: Epoch;

  /** Throws what the file system says, and for a file that is not ours. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#epoch = read(join(folder, 'epoch'));
  }

  get epoch(): Epoch {
    return this.#epoch;
  }

  /** False: lower than what was seen. Throws what the file system says; nothing counts as seen then. */
  see(epoch: Epoch): boolean {
    if (epoch <= this.#epoch) return epoch === this.#epoch;
    const next = join(this.#folder, 'epoch.next');
    writeFileSync(next, `${epoch.toString()}\n`, { mode: 0o600, flush: true });
    renameSync(next, join(this.#folder, 'epoch'));
    const fd = openSync(this.#folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
    this.#epoch = epoch;
    return true;
  }
}

function read(file: string): Epoch {
  try {
    const text = readFileSync(file, 'utf8').trim();
    if (!/^\d+$/.test(text)) throw new Error(`${file} holds no epoch`);
    return BigInt(text);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 0n;
    throw error;
  }
}
