/** A small seeded generator of random numbers (sfc32). Each use has a stream of its own, so that one more draw in one
 * place does not change what happens in another. */

export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream = 0) {
    this.a = seed >>> 0;
    this.b = Math.floor(seed / 4_294_967_296) >>> 0;
    this.c = (stream * 0x9e3779b9) >>> 0;
    for (let i = 0; i < 16; i += 1) this.next();
  }

  /** From 0 up to, and without, 1. */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = (this.c << 21) | (this.c >>> 11);
    this.c = (this.c + t) | 0;
    return (t >>> 0) / 4_294_967_296;
  }

  between(from: number, to: number): number {
    return from + (to - from) * this.next();
  }

  /** A whole number from 0 up to, and without, n. */
  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  chance(p: number): boolean {
    return this.next() < p;
  }

  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error('pick from an empty list');
    return found;
  }

  /** Waiting time of a memoryless process with this mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next());
  }

  shuffled<T>(list: readonly T[]): T[] {
    return list
      .map((value) => ({ value, order: this.next() }))
      .sort((x, y) => x.order - y.order)
      .map((x) => x.value);
  }
}
