/** Splits what comes over a socket into lines. A line that is too long is dropped, and said. */

import { StringDecoder } from 'node:string_decoder';

export class LineReader {
  readonly #decoder = new StringDecoder('utf8');
  readonly #lengthMax: number;
  readonly #onTooLong: () => void;
  #pending = '';
  #skipping = false;

  constructor(lengthMax: number, onTooLong: () => void) {
    this.#lengthMax = lengthMax;
    this.#onTooLong = onTooLong;
  }

  /** The lines that are complete now, without their ends. */
  push(chunk: Buffer): readonly string[] {
    const parts = (this.#pending + this.#decoder.write(chunk)).split('\n');
    this.#pending = parts.pop() ?? '';
    if (this.#skipping && parts.length > 0) {
      parts.shift();
      this.#skipping = false;
    }
    if (this.#pending.length > this.#lengthMax) {
      this.#pending = '';
      if (!this.#skipping) this.#onTooLong();
      this.#skipping = true;
    }
    return parts.filter((line) => line !== '');
  }
}
