/**
 * Memory for what clients send, used again and again: memory that is new costs more than copying into it, since the kernel
 * has to find and clear each page, and V8 to collect it afterwards.
 *
 *   M1  a slab is given out again only when everybody who held it has let go
 */

/** One large request and the header of the next one. */
const usualBytes = 1_048_576 + 4_096;
const sparesMax = 16;

export class Slab {
  readonly bytes: Buffer;
  readonly #free: (slab: Slab) => void;
  #holders = 0;

  constructor(bytes: Buffer, free: (slab: Slab) => void) {
    this.bytes = bytes;
    this.#free = free;
  }

  /** Only one holds it. */
  get alone(): boolean {
    return this.#holders === 1;
  }

  hold(): void {
    this.#holders += 1;
  }

  letGo(): void {
    if (this.#holders === 0) throw new Error('a slab that nobody holds');
    this.#holders -= 1;
    if (this.#holders === 0) this.#free(this);
  }
}

/** Of all clients of an export. */
export class Slabs {
  readonly #spares: Slab[] = [];

  /** At least so large; held once, by who took it. */
  take(bytes: number): Slab {
    const slab = (bytes <= usualBytes ? this.#spares.pop() : undefined) ?? this.#made(bytes);
    slab.hold();
    return slab;
  }

  #made(bytes: number): Slab {
    return new Slab(Buffer.allocUnsafeSlow(Math.max(bytes, usualBytes)), (slab) => {
      if (slab.bytes.length === usualBytes && this.#spares.length < sparesMax) this.#spares.push(slab);
    });
  }
}
