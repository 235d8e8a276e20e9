/** Whether this host lost its memory since the target last ran: then contents that were not synced may be missing. */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf } from './trouble.ts';

export class BootMark {
  readonly #file: string;
  readonly #boot: string;
  /** Also true when nobody knows. */
  readonly powerLost: boolean;

  constructor(folder: string, boot: string) {
    this.#file = join(folder, 'boot');
    this.#boot = boot;
    this.powerLost = boot === '' || read(this.#file) !== boot;
  }

  /** After everything was made good. */
  write(): void {
    if (this.powerLost) writeFileSync(this.#file, this.#boot, { mode: 0o600 });
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return '';
    throw error;
  }
}
