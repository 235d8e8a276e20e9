/**
 * What is under way to one target: bytes and zeros that it has not received yet, and chunks whose new contents are not durable there.
 *
 *   U1  a chunk is forgotten only when the frame that carried it, or one after it, is durable at the target
 */

interface Sent {
  readonly number: number;
  readonly sequence: number;
  readonly bytes: number;
  /** Of the volume, that its zeros cover. */
  readonly zeroBytes: number;
  readonly atMs: number;
}

interface Undurable {
  readonly number: number;
  readonly sequence: number;
  readonly atMs: number;
  /** Somebody waits until it is durable. */
  readonly barrier: boolean;
}

export class Outstanding {
  #open = new Set<number>();
  readonly #closed: { readonly number: number; readonly chunks: ReadonlySet<number> }[] = [];
  #unreceived: Sent[] = [];
  #firstUnreceived = 0;
  #undurable: Undurable[] = [];
  #firstUndurable = 0;
  #bytes = 0;
  #zeroBytes = 0;
  #chunkCount = 0;

  /** Of contents, that the target has not received. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Of the volume, covered by zeros that it has not received. */
  get zeroBytes(): number {
    return this.#zeroBytes;
  }

  /** Of what chunks() answers. */
  get chunkCount(): number {
    return this.#chunkCount;
  }

  /** When the oldest frame was sent that is not durable there; null: all are. */
  get undurableMs(): number | null {
    return this.#undurable[this.#firstUndurable]?.atMs ?? null;
  }

  /** When the oldest of what somebody may wait for was sent: a frame that was not received, or a barrier that is not durable. */
  get unansweredMs(): number | null {
    for (let at = this.#firstUndurable; at < this.#undurable.length; at += 1) {
      const one = this.#undurable[at];
      if (one?.barrier === true) return Math.min(one.atMs, this.oldestMs ?? Infinity);
    }
    return this.oldestMs;
  }

  /** When the oldest frame was sent that the target has not received; null: there is none. */
  get oldestMs(): number | null {
    return this.#unreceived[this.#firstUnreceived]?.atMs ?? null;
  }

  add(chunk: number): void {
    const before = this.#open.size;
    this.#chunkCount += this.#open.add(chunk).size - before;
  }

  /** `all`: the chunks that were added so far are in this frame or before it; otherwise the next ones carry some of them. */
  sent({ number, sequence, bytes, zeroBytes, atMs, barrier }: Sent & Undurable, all: boolean): void {
    this.#unreceived.push({ number, sequence, bytes, zeroBytes, atMs });
    this.#undurable.push({ number, sequence, atMs, barrier });
    this.#bytes += bytes;
    this.#zeroBytes += zeroBytes;
    if (!all || this.#open.size === 0) return;
    this.#closed.push({ number, chunks: this.#open });
    this.#open = new Set();
  }

  /** The sequence that the target has received with this frame; null: nothing new. */
  received(number: number): number | null {
    let sequence: number | null = null;
    for (;;) {
      const first = this.#unreceived[this.#firstUnreceived];
      if (first === undefined || first.number > number) break;
      sequence = first.sequence;
      this.#bytes -= first.bytes;
      this.#zeroBytes -= first.zeroBytes;
      this.#firstUnreceived += 1;
    }
    if (this.#firstUnreceived > 1_024 || this.#firstUnreceived === this.#unreceived.length) {
      this.#unreceived = this.#unreceived.slice(this.#firstUnreceived);
      this.#firstUnreceived = 0;
    }
    return sequence;
  }

  /** U1. The sequence that is durable there with this frame; null: nothing new. */
  durable(number: number): number | null {
    let sequence: number | null = null;
    for (;;) {
      const first = this.#undurable[this.#firstUndurable];
      if (first === undefined || first.number > number) break;
      sequence = first.sequence;
      this.#firstUndurable += 1;
    }
    if (this.#firstUndurable > 1_024 || this.#firstUndurable === this.#undurable.length) {
      this.#undurable = this.#undurable.slice(this.#firstUndurable);
      this.#firstUndurable = 0;
    }
    const kept = this.#closed.findIndex((one) => one.number > number);
    const gone = this.#closed.splice(0, kept === -1 ? this.#closed.length : kept);
    for (const { chunks } of gone) this.#chunkCount -= chunks.size;
    return sequence;
  }

  /** Every chunk that may not be durable at the target. */
  *chunks(): Iterable<number> {
    yield* this.#open;
    for (const { chunks } of this.#closed) yield* chunks;
  }

  /** Frames stay under way; the chunks are somebody else's from now on. */
  forgetChunks(): void {
    this.#open = new Set();
    this.#closed.length = 0;
    this.#chunkCount = 0;
  }
}
