/**
 * Contents on their way into one file of the staging folder: other threads write them, because a write waits for memory
 * and for the disk, and the connection would wait with it.
 *
 * Invariants:
 * W1  What the disk refused is kept, and written again by finish(), until it is taken.
 */

import { write, writeSync } from 'node:fs';

interface Piece {
  readonly contents: Buffer;
  readonly position: number;
  /** How much of it is written. */
  written: number;
  readonly done: () => void;
}

export class Writes {
  readonly #fd: number;
  readonly #idle: () => void;
  readonly #running = new Set<Piece>();
  #refused: Piece[] = [];
  #bytes = 0;
  #waiters: (() => void)[] = [];

  /** `idle`: called each time that no write is running any more. */
  constructor(fd: number, idle: () => void) {
    this.#fd = fd;
    this.#idle = idle;
  }

  get running(): boolean {
    return this.#running.size > 0;
  }

  /** Of what is not written. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Everything below it is written, as far as it was begun; Infinity: everything is. */
  get lowest(): number {
    return Math.min(Infinity, ...[...this.#running, ...this.#refused].map(({ position }) => position));
  }

  /** `done`: the contents are not needed any more. */
  begin(contents: Buffer, position: number, done: () => void): void {
    const piece = { contents, position, written: 0, done };
    this.#bytes += contents.length;
    this.#running.add(piece);
    this.#go(piece);
  }

  /** Resolves when one more piece is written or refused; at once when none is being written. */
  async progress(): Promise<void> {
    if (!this.running) return;
    await new Promise<void>((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** While nothing is being written: writes what was refused. Throws what the file system says, and can be repeated. */
  finish(): void {
    if (this.running) throw new Error('contents are still being written');
    for (let piece = this.#refused[0]; piece !== undefined; piece = this.#refused[0]) {
      while (piece.written < piece.contents.length) {
        const { contents, position, written } = piece;
        piece.written += writeSync(
          this.#fd,
          contents,
          written,
          contents.length - written,
          position + written,
        );
      }
      this.#refused.shift();
      this.#written(piece);
    }
  }

  /** What was refused is of no use any more. */
  forget(): void {
    for (const piece of this.#refused) this.#written(piece);
    this.#refused = [];
  }

  /** Or of no use any more. */
  #written({ contents, done }: Piece): void {
    this.#bytes -= contents.length;
    done();
  }

  #go(piece: Piece): void {
    const { contents, position, written } = piece;
    const left = contents.length - written;
    write(this.#fd, contents, written, left, position + written, (error, bytes) => {
      if (error === null) {
        piece.written += bytes;
        if (piece.written < contents.length) {
          this.#go(piece);
          return;
        }
        this.#written(piece);
      } else {
        this.#refused.push(piece);
      }
      this.#running.delete(piece);
      if (!this.running) this.#idle();
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const wake of waiters) wake();
    });
  }
}
