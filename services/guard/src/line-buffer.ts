/** Splits a byte stream into lines of a bounded length. A longer line is dropped whole and counted. */

const newline = 0x0a;

export class LineBuffer {
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #length = 0;
  #skipping = false;
  #dropped = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The lines that `chunk` completes, without their newlines; empty lines are left out. */
  push(chunk: Buffer): string[] {
    const lines: string[] = [];
    let from = 0;
    for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
      this.#take(chunk.subarray(from, at));
      from = at + 1;
      const line = this.#end();
      if (line !== null && line !== '') lines.push(line);
    }
    this.#take(chunk.subarray(from));
    return lines;
  }

  /** How many lines were dropped since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  #take(part: Buffer): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#length + part.length > this.#bytesMax) {
      this.#skipping = true;
      this.#dropped += 1;
      this.#parts = [];
      this.#length = 0;
      return;
    }
    this.#parts.push(part);
    this.#length += part.length;
  }

  #end(): string | null {
    const line = this.#skipping ? null : Buffer.concat(this.#parts, this.#length).toString('utf8').trim();
    this.#parts = [];
    this.#length = 0;
    this.#skipping = false;
    return line;
  }
}
