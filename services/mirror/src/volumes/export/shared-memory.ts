/**
 * What the thread that serves a volume's clients (exported-volume.ts) and the thread that has its targets (intake.ts) share:
 * words, writes on their way to the targets, and answers on their way to clients. Whoever writes a word is named beside it.
 *
 *   M1  a word has one writer, but for `wake`; words of the two threads lie in different lines of the processor's cache
 *   M2  everything else is written before the word that tells of it, and read after it: words are read and written with Atomics
 */

export const word = {
  /** Of the export: odd while it looks whether it may, does it, and tells of it; even otherwise. */
  busy: 0,
  /** Records that it wrote so far, bytes of contents, and answers that it has taken. They wrap around, as all such counts. */
  recordsWritten: 1,
  bytesWritten: 2,
  answersTaken: 3,
  /** What recordsWritten was after the last record that somebody waits for. */
  urgent: 4,
  /** 1: it sleeps, or is about to. */
  exportSleeps: 5,
  /** 1: something waits there that the source may make possible. */
  exportWaits: 6,
  /** Of the source: bits of `gate`. */
  gate: 16,
  /** 1: writes are answered by the source. */
  answering: 17,
  /** Changes with the grant. */
  grants: 18,
  recordsTaken: 19,
  bytesTaken: 20,
  answersWritten: 21,
  /** Changes when extents were made hot. */
  warmed: 22,
  /** One of `rest`. */
  sourceRests: 23,
  /** 1: it waits until the export is not busy. */
  sourceWaits: 24,
  /** One of `orders`. */
  orders: 25,
  /** Changes when something may be possible that was not. */
  news: 26,
  /** 1: no target takes contents now; that something was written is enough. */
  bare: 27,
  /** Changes when more is meant by durable than before. */
  terms: 28,
  /** Of both: counts the times that the source was woken. */
  wake: 40,
} as const;

/** Why the export does less than it is asked; 0: it does everything. */
export const gate = {
  /** Everything is answered with ESHUTDOWN. */
  closed: 1,
  /** Writes and flushes wait. */
  held: 2,
  /** The same, for a moment. */
  still: 4,
  /** Writes are answered with EIO. */
  failed: 8,
  /** Writes wait until there are sequence numbers for them. */
  numbers: 16,
} as const;

export const rest = {
  awake: 0,
  /** It looks again within a millisecond, and is woken only for what somebody waits for. */
  dozing: 1,
  asleep: 2,
} as const;

/** Of the source to the export's server. */
export const orders = {
  serve: 0,
  /** Clients are told that it is over, for a moment (nbd/server.ts, X3). */
  close: 1,
  /** Clients are hung up on; the socket stays. */
  hangUp: 2,
} as const;

/** Powers of two, since counts wrap around. */
export const recordsMax = 8_192;
export const answersMax = 16_384;
export const recordBytes = 32;
const contentsBytesUsual = 16_777_216;
const wordsBytes = 256;
const answerBytes = 8;

/** Plain data, which can be given to a thread. */
export interface SharedParts {
  readonly memory: SharedArrayBuffer;
  /** 1 for each extent that is hot (bitmap/hot-extents.ts). */
  readonly hot: SharedArrayBuffer;
  readonly extentBytes: number;
  readonly contentsBytes: number;
}

export class SharedMemory {
  readonly parts: SharedParts;
  readonly words: Int32Array;
  readonly records: Int32Array;
  /** The same, for what is no whole number of 32 bits. */
  readonly recordNumbers: Float64Array;
  readonly answers: Int32Array;
  readonly contents: Buffer;
  readonly hot: Uint8Array;
  /** Until when the source may act, in microseconds of boot time. */
  readonly #until: BigInt64Array;
  /** Of the volume. */
  readonly #size: BigInt64Array;

  constructor(parts: SharedParts) {
    const { memory, contentsBytes } = parts;
    const recordsAt = wordsBytes;
    const answersAt = recordsAt + recordsMax * recordBytes;
    const contentsAt = answersAt + answersMax * answerBytes;
    this.parts = parts;
    this.words = new Int32Array(memory, 0, 48);
    this.#until = new BigInt64Array(memory, 192, 1);
    this.#size = new BigInt64Array(memory, 200, 1);
    this.records = new Int32Array(memory, recordsAt, (recordsMax * recordBytes) / 4);
    this.recordNumbers = new Float64Array(memory, recordsAt, (recordsMax * recordBytes) / 8);
    this.answers = new Int32Array(memory, answersAt, (answersMax * answerBytes) / 4);
    this.contents = Buffer.from(memory, contentsAt, contentsBytes);
    // As long as what it shows, which grows with the volume.
    this.hot = new Uint8Array(parts.hot);
  }

  /** `contentsBytes`: a power of two. */
  static made(
    hot: SharedArrayBuffer,
    extentBytes: number,
    contentsBytes: number = contentsBytesUsual,
  ): SharedMemory {
    const bytes = wordsBytes + recordsMax * recordBytes + answersMax * answerBytes + contentsBytes;
    return new SharedMemory({ memory: new SharedArrayBuffer(bytes), hot, extentBytes, contentsBytes });
  }

  load(at: number): number {
    return Atomics.load(this.words, at);
  }

  store(at: number, value: number): void {
    Atomics.store(this.words, at, value);
  }

  /** Boot time; Infinity: no grant is needed. */
  grant(untilMs: number): void {
    const us = untilMs === Infinity ? foreverUs : BigInt(Math.floor(untilMs * 1_000));
    Atomics.store(this.#until, 0, us);
    Atomics.add(this.words, word.grants, 1);
  }

  /** Never less than before. */
  set sizeBytes(bytes: number) {
    Atomics.store(this.#size, 0, BigInt(bytes));
  }

  get sizeBytes(): number {
    return Number(Atomics.load(this.#size, 0));
  }

  get untilMs(): number {
    const us = Atomics.load(this.#until, 0);
    return us === foreverUs ? Infinity : Number(us) / 1_000;
  }
}

const foreverUs = 2n ** 62n;
