/**
 * Where what a batch speaks of was before it. What leaves its name is named as it is called before the batch, what gets one as
 * it is called afterwards (the order of the wire contract), so a folder that moved takes along what is in it.
 */

import type { Redo } from './redo.ts';

const slashByte = 0x2f;

export class FormerNames {
  /** By slot. */
  readonly #slots = new Map<number, Buffer>();
  /** By the name before the batch. */
  readonly #taken = new Set<string>();
  /** By the name after it: where it was before; null: it is new. */
  readonly #made = new Map<string, Buffer | null>();

  /** In the order of the batch, each after everything was asked about it. */
  note(operation: Redo): void {
    switch (operation.kind) {
      case 'move':
        this.#slots.set(operation.slot, operation.from);
        this.#taken.add(keyOf(operation.from));
        return;
      case 'remove':
        this.#taken.add(keyOf(operation.path));
        return;
      case 'place':
        this.#made.set(keyOf(operation.to), this.#slots.get(operation.slot) ?? null);
        return;
      case 'put':
        // A folder that is put where one was keeps what is in it.
        if (operation.attributes.kind !== 'folder' || this.of(operation.path) === null)
          this.#made.set(keyOf(operation.path), null);
        return;
      case 'hard-link':
        this.#made.set(keyOf(operation.path), null);
        return;
      case 'patch':
      case 'set':
    }
  }

  /** What is at this name now was at the one that is answered before the batch; null: the batch made or took it. */
  of(path: Buffer): Buffer | null {
    if (this.#made.size > 0) {
      for (let end = path.length; end > 0; end = path.lastIndexOf(slashByte, end - 1)) {
        const made = this.#made.get(keyOf(path.subarray(0, end)));
        if (made === undefined) continue;
        if (made === null) return null;
        return this.#left(Buffer.concat([made, path.subarray(end)]), made.length);
      }
    }
    return this.#left(path, 0);
  }

  /** Null: it, or a folder above it that is longer than so many bytes, left its name. */
  #left(path: Buffer, above: number): Buffer | null {
    if (this.#taken.size === 0) return path;
    for (let end = path.length; end > above; end = path.lastIndexOf(slashByte, end - 1))
      if (this.#taken.has(keyOf(path.subarray(0, end)))) return null;
    return path;
  }
}

const keyOf = (path: Buffer): string => path.toString('latin1');
