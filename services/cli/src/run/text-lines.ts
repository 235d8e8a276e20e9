/** Turns what a process prints into lines for people. Nothing is dropped: a line that is too long comes in pieces. */

import { StringDecoder } from 'node:string_decoder';

const usualMax = 8_192;

export class TextLines {
  readonly #decoder = new StringDecoder('utf8');
  readonly #max: number;
  #rest = '';

  constructor(max = usualMax) {
    this.#max = max;
  }

  push(chunk: Buffer): string[] {
    const parts = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = parts.pop() ?? '';
    const lines = parts.flatMap((part) => pieces(part, this.#max));
    if (this.#rest.length > this.#max) {
      lines.push(...pieces(this.#rest, this.#max));
      this.#rest = '';
    }
    return lines;
  }

  /** What came after the last newline. */
  end(): string[] {
    const rest = this.#rest + this.#decoder.end();
    this.#rest = '';
    return rest === '' ? [] : pieces(rest, this.#max);
  }
}

function pieces(line: string, max: number): string[] {
  if (line.length <= max) return [line];
  const count = Math.ceil(line.length / max);
  return Array.from({ length: count }, (_, index) => line.slice(index * max, (index + 1) * max));
}
