/**
 * Buffers for contents that are used again. Each new one is memory outside of V8's heap, and some 10 MiB of these make it
 * collect garbage: 230 times for a file of 2 GiB, which cost more than encrypting it.
 *
 * S1. A buffer is given back once, when nobody reads or writes it any more. One that is never given back is merely lost.
 */

const sparesMaxUsual = 8;

export class SpareBuffers {
  readonly #bytes: number;
  readonly #sparesMax: number;
  readonly #spares: ArrayBuffer[] = [];

  /** `bytes`: of each. `sparesMax`: so many are kept. */
  constructor(bytes: number, sparesMax = sparesMaxUsual) {
    this.#bytes = bytes;
    this.#sparesMax = sparesMax;
  }

  /** At most so many as each has; what is in it is not told. */
  take(bytes: number): Buffer {
    const spare = this.#spares.pop() ?? new ArrayBuffer(this.#bytes);
    return Buffer.from(spare, 0, bytes);
  }

  /** Any view of a buffer that was taken. S1. */
  give({ buffer }: Buffer): void {
    if (
      buffer instanceof ArrayBuffer &&
      buffer.byteLength === this.#bytes &&
      this.#spares.length < this.#sparesMax
    )
      this.#spares.push(buffer);
  }
}
