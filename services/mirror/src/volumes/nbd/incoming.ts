/**
 * Bytes of one client as they come, given out in the pieces that the protocol asks for. A piece that lies whole within
 * what the system delivered is a view of it; one that comes in parts is copied once, into a buffer of its own.
 *
 *   I1  it holds one chunk of the system and one piece that is not whole; who asks for a piece says how long it is, and
 *       asks within the limits of protocol.ts
 */

export class Incoming {
  #chunk: Buffer | null = null;
  #at = 0;
  #partial: Buffer | null = null;
  #filled = 0;

  /** Everything that came before has to be taken: ask until there is null. */
  push(chunk: Buffer): void {
    if (this.#chunk !== null) throw new Error('bytes came before the last ones were read');
    if (chunk.length === 0) return;
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** True: nothing is left of what came. */
  get empty(): boolean {
    return this.#chunk === null;
  }

  /** The next `bytes`; null: they have not come yet, and have to be asked for again with the same number. */
  take(bytes: number): Buffer | null {
    const chunk = this.#chunk;
    if (chunk === null) return bytes === 0 && this.#partial === null ? Buffer.alloc(0) : null;
    if (this.#partial === null) {
      const end = this.#at + bytes;
      if (end <= chunk.length) {
        const piece = chunk.subarray(this.#at, end);
        this.#advance(chunk, bytes);
        return piece;
      }
      this.#partial = Buffer.allocUnsafeSlow(bytes);
      this.#filled = 0;
    }
    const partial = this.#partial;
    const copied = chunk.copy(partial, this.#filled, this.#at);
    this.#filled += copied;
    this.#advance(chunk, copied);
    if (this.#filled < partial.length) return null;
    this.#partial = null;
    return partial;
  }

  #advance(chunk: Buffer, bytes: number): void {
    this.#at += bytes;
    if (this.#at === chunk.length) this.#chunk = null;
  }
}
