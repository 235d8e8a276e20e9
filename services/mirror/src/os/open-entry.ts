/**
 * An entry that is open: what is done to it is done to that same one, whoever gives its name to something else meanwhile.
 */

import { setOpen } from './attributes.ts';
import { readExtended, writeExtended } from './extended.ts';
import { statOpen } from './stat.ts';
import type { Extended, SettableAttributes, SkippedExtended, Stat } from './types.ts';

export class OpenEntry {
  readonly #fd: number;
  readonly #path: Buffer | null;

  /**
   * The descriptor is the caller's, and open for as long as this is used. `path`: of one that is open as a mere name
   * (O_PATH); null: it is open for writing.
   */
  constructor(fd: number, path: Buffer | null) {
    this.#fd = fd;
    this.#path = path;
  }

  get stat(): Stat {
    return statOpen(this.#fd, this.#path);
  }

  extended(): Extended[] {
    return readExtended(this.#fd, this.#path);
  }

  /** Answers what this host does not permit, or has no place for. */
  setExtended(list: readonly Extended[]): SkippedExtended[] {
    return writeExtended(this.#fd, list, this.#path);
  }

  setAttributes(attributes: SettableAttributes): void {
    setOpen(this.#fd, attributes, this.#path);
  }
}
