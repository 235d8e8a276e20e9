/** The protection of a target's root against others (os/read-only.ts), from its first consistent state on. */

import { protect, refusesWrites, unprotect } from '../../os/read-only.ts';

export interface Protection {
  readonly kind: 'read-only' | 'unprotected';
  /** Of 'unprotected': the reason. */
  readonly says: string;
}

const taken: Protection = {
  kind: 'unprotected',
  says: 'somebody took its read-only mount away; the next change of the source sets it anew',
};

export class Cover {
  readonly #root: string;
  readonly #wanted: boolean;
  #tried = false;
  #protection: Protection = { kind: 'unprotected', says: 'it is not consistent yet' };

  constructor(root: string, wanted: boolean) {
    this.#root = root;
    this.#wanted = wanted;
  }

  get protection(): Protection {
    return this.isTaken ? taken : this.#protection;
  }

  /** An administrator may unmount as we do (O4 of read-only.ts). */
  get isTaken(): boolean {
    return this.#protection.kind === 'read-only' && !refusesWrites(this.#root);
  }

  /** Once, and again when it was taken away. Answers why it could not be done; empty: nothing to tell. */
  protect(): string {
    if (this.#tried && !this.isTaken) return '';
    this.#tried = true;
    if (!this.#wanted) {
      this.#protection = { kind: 'unprotected', says: 'not asked for' };
      return '';
    }
    this.#protection = protect(this.#root);
    const { kind, says } = this.#protection;
    return kind === 'unprotected' ? `${this.#root} is not protected: ${says}` : '';
  }

  end(): void {
    this.#protection = { kind: 'unprotected', says: 'it is not a target' };
    if (this.#wanted) unprotect(this.#root);
  }
}
