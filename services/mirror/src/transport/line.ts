/**
 * A connection: queue, throttle, compression and beats over anything that carries bytes in order (`Wire`).
 *
 * N1. The system never has more than `unsentBytesMax` of ours to take, nor the line more than the window allows: what
 *     waits, waits in the outbox, where beats overtake it.
 * N2. Nothing is read while the consumer holds; what was parsed already is one chunk at most.
 * N3. The end is told once, whatever comes first; after it nothing is delivered.
 */

import type { Peer } from '@holdfast/wire/directory';
import { Assembly } from './assembly.ts';
import { Compression } from './compression.ts';
import { decodeFrame, encodeCompressed, encodeFrame } from './frame.ts';
import { Outbox } from './outbox.ts';
import { Pulse } from './pulse.ts';
import { Throttle } from './throttle.ts';
import type { BeatFacts, Connection, Counters, Ended, Frame, LineOptions } from './types.ts';

/** What a line needs of a socket. */
export interface Wire {
  /** Sends the pieces in order; `taken` is called when the system has them. */
  write(pieces: readonly Uint8Array[], taken: () => void): void;
  /** After what was written: no more comes from here. */
  end(): void;
  destroy(): void;
  pause(): void;
  resume(): void;
  /** What `bytes` in one write, or as read, come to on the line. */
  wireBytes(bytes: number): number;
}

interface Tally {
  sentWireBytes: number;
  receivedWireBytes: number;
  sentContentBytes: number;
  receivedContentBytes: number;
  sentFrames: number;
  receivedFrames: number;
  plainFrames: number;
  compressedFrames: number;
}

const noTally: Tally = {
  sentWireBytes: 0,
  receivedWireBytes: 0,
  sentContentBytes: 0,
  receivedContentBytes: 0,
  sentFrames: 0,
  receivedFrames: 0,
  plainFrames: 0,
  compressedFrames: 0,
};

/** One write to the system. */
const writeBytesMax = 524_288;
/** N1. Two writes: one is on its way while the next is made. */
const unsentBytesMax = 2 * writeBytesMax;
/** send() answers false above it, and writable() waits for half of it. */
const queueBytesMax = 2_097_152;
const dataBytesDefault = 262_144;
const dataBytesMin = 4_096;
/** A data frame is worth at most this of the rate: a beat waits for it. */
const dataFrameMs = 50;
const lingerDefaultMs = 1_000;
/** How much of a low rate beats may take. */
const beatShare = 0.25;
const beatWireBytes = 120;

export class Line implements Connection {
  readonly peer: Peer;
  readonly encrypted: boolean;
  readonly #wire: Wire;
  readonly #assembly: Assembly;
  readonly #outbox = new Outbox();
  readonly #throttle: Throttle;
  readonly #compression: Compression;
  readonly #pulse: Pulse;
  readonly #silentMs: number;
  readonly #beatMs: number;
  readonly #tally: Tally = { ...noTally };
  readonly #forgetThrottle: () => void;
  #timer: NodeJS.Timeout;
  #throttled: NodeJS.Timeout | null = null;
  #lingering: NodeJS.Timeout | null = null;
  #unsent = 0;
  /** Bytes for each millisecond in the last period, when there was always something to send; else null. */
  #carried: number | null = null;
  #drained = true;
  #measuredBytes = 0;
  #measuredAtMs = performance.now();
  #beating = false;
  #beatAtMs = 0;
  #ended: Ended | null = null;
  #held = true;
  #delivering = false;
  #endListener: ((ended: Ended) => void) | null = null;
  #listener: ((frame: Frame) => void) | null = null;
  #roomWaiters: (() => void)[] = [];
  #flushWaiters: (() => void)[] = [];

  constructor(
    wire: Wire,
    peer: Peer,
    encrypted: boolean,
    options: LineOptions,
    assembly: Assembly = new Assembly(),
  ) {
    this.peer = peer;
    this.encrypted = encrypted;
    this.#wire = wire;
    this.#assembly = assembly;
    this.#throttle = options.throttle ?? new Throttle();
    this.#compression = new Compression(options.compression ?? 'auto');
    this.#beatMs = options.beatMs ?? 250;
    this.#silentMs = options.silentMs ?? 5_000;
    this.#pulse = new Pulse(this.#beatMs, performance.now());
    this.#timer = setInterval(() => {
      this.#tick();
    }, this.#beatMs);
    this.#forgetThrottle = this.#throttle.onChange(() => {
      this.#pump();
    });
    wire.pause();
  }

  get ended(): Ended | null {
    return this.#ended;
  }

  get rttMs(): number | null {
    return this.#pulse.rttMs;
  }

  get dataBytes(): number {
    const rate = this.#throttle.bitsPerSecond;
    if (rate === null) return dataBytesDefault;
    const bytes = Math.floor((rate / 8_000) * dataFrameMs);
    return Math.min(dataBytesDefault, Math.max(dataBytesMin, bytes));
  }

  send(frame: Frame): boolean {
    if (this.#ended !== null) return false;
    this.#outbox.add(this.#encoded(frame));
    this.#tally.sentFrames += 1;
    this.startBeats();
    this.#pump();
    return this.#outbox.bytes < queueBytesMax;
  }

  writable(): Promise<void> {
    if (this.#ended !== null || this.#outbox.bytes < queueBytesMax) return Promise.resolve();
    return new Promise((fulfil) => {
      this.#roomWaiters.push(fulfil);
    });
  }

  flushed(): Promise<void> {
    if (this.#ended !== null || (this.#outbox.empty && this.#unsent === 0)) return Promise.resolve();
    return new Promise((fulfil) => {
      this.#flushWaiters.push(fulfil);
    });
  }

  onFrame(listener: (frame: Frame) => void): void {
    this.#listener = listener;
    this.go();
  }

  onEnd(listener: (ended: Ended) => void): void {
    this.#endListener = listener;
    if (this.#ended !== null) this.#tellEnd(this.#ended);
  }

  hold(): void {
    if (this.#held || this.#ended !== null) return;
    this.#held = true;
    this.#wire.pause();
  }

  go(): void {
    if (!this.#held || this.#ended !== null || this.#listener === null) return;
    this.#held = false;
    this.#deliver();
    // The listener may have held again, or ended it.
    if (this.#reading()) this.#wire.resume();
  }

  beats(facts: () => BeatFacts): void {
    this.#pulse.facts = facts;
    this.startBeats();
  }

  beatNow(): void {
    if (this.#ended !== null) return;
    const now = performance.now();
    this.#beatAtMs = now;
    this.#outbox.setUrgent(encodeFrame(this.#pulse.beat(now)));
    this.#pump();
  }

  /** From the first frame on, or earlier for a side that has to think before its first frame. */
  startBeats(): void {
    if (this.#beating) return;
    this.#beating = true;
    this.beatNow();
  }

  close(says: string, lingerMs = lingerDefaultMs): void {
    if (this.#ended !== null) return;
    this.#end({ kind: 'closed', says }, lingerMs);
  }

  counters(): Counters {
    return { ...this.#tally, queuedBytes: this.#outbox.bytes + this.#unsent };
  }

  /** Bytes came. After the end they are read and forgotten, so that the other side's last words do not become a reset. */
  received(chunk: Buffer): void {
    this.#tally.receivedWireBytes += this.#wire.wireBytes(chunk.length);
    if (this.#ended !== null) return;
    this.#pulse.silentMs = 0;
    this.#assembly.push(chunk);
    this.#deliver();
  }

  /** The wire is over. */
  lost(ended: Ended): void {
    if (this.#ended === null) this.#end(ended, 0);
    else this.#destroy();
  }

  #reading(): boolean {
    return !this.#held && this.#ended === null;
  }

  #deliver(): void {
    // A listener that calls go() is within this loop already.
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#reading()) {
        const raw = this.#assembly.next();
        if (raw === null) break;
        const frame = typeof raw === 'string' ? raw : decodeFrame(raw.kind, raw.payload);
        if (typeof frame === 'string') this.#end({ kind: 'garbage', says: frame }, 0);
        else if (frame.kind === 'garbage') this.#end({ kind: 'garbage', says: frame.says }, 0);
        else this.#hand(frame);
      }
    } finally {
      this.#delivering = false;
    }
  }

  #hand(frame: Frame): void {
    this.#tally.receivedFrames += 1;
    if (frame.kind === 'data') this.#tally.receivedContentBytes += frame.contents.length;
    if (frame.kind === 'beat') this.#pulse.heard(frame, performance.now());
    this.#listener?.(frame);
  }

  #encoded(frame: Frame): readonly Uint8Array[] {
    if (frame.kind !== 'data') return encodeFrame(frame);
    this.#tally.sentContentBytes += frame.contents.length;
    const packed = this.#compression.compress(frame.contents, this.#lineBytesPerMs());
    if (packed === null) {
      this.#tally.plainFrames += 1;
      return encodeFrame(frame);
    }
    this.#tally.compressedFrames += 1;
    return encodeCompressed(frame, packed);
  }

  /** What the line carries while frames wait for it, or null while they do not. */
  #lineBytesPerMs(): number | null {
    if (this.#outbox.bytes === 0) return null;
    const rate = this.#throttle.bitsPerSecond;
    return rate === null ? this.#carried : Math.min(rate / 8_000, this.#carried ?? Infinity);
  }

  #pump(): void {
    while (!this.#outbox.empty && this.#unsent < unsentBytesMax && this.#throttled === null) {
      const wanted = Math.min(writeBytesMax, Math.max(1, this.#outbox.bytes));
      const room = this.#throttle.room(this.#wire.wireBytes(wanted));
      if (room === 0) {
        this.#waitForRate(wanted);
        return;
      }
      this.#write(Math.min(wanted, this.#payloadOf(room)));
    }
  }

  /** Of `room` bytes on the line, those that are ours. */
  #payloadOf(room: number): number {
    return room === Infinity ? room : Math.max(1, room - (this.#wire.wireBytes(room) - room));
  }

  #write(bytes: number): void {
    const pieces: Uint8Array[] = [];
    const taken = this.#outbox.take(bytes, pieces);
    const wireBytes = this.#wire.wireBytes(taken);
    this.#throttle.take(wireBytes);
    this.#tally.sentWireBytes += wireBytes;
    this.#unsent += taken;
    this.#wire.write(pieces, () => {
      this.#unsent -= taken;
      if (this.#outbox.bytes === 0) this.#drained = true;
      this.#pump();
      this.#tellRoom();
      this.#finish();
    });
    this.#tellRoom();
  }

  #waitForRate(wanted: number): void {
    const waitMs = this.#throttle.waitMs(this.#wire.wireBytes(wanted));
    this.#throttled = setTimeout(
      () => {
        this.#throttled = null;
        this.#pump();
      },
      // A new rate is noticed at once by onChange, and within a second in any case.
      Math.min(1_000, Math.max(1, waitMs)),
    );
  }

  #tellRoom(): void {
    if (this.#ended === null && this.#outbox.bytes >= queueBytesMax / 2) return;
    const waiting = this.#roomWaiters;
    this.#roomWaiters = [];
    for (const fulfil of waiting) fulfil();
  }

  /** Everything left: who waits for that is told, and a side that closes says so. */
  #finish(): void {
    if (!this.#outbox.empty || this.#unsent > 0) return;
    const waiting = this.#flushWaiters;
    this.#flushWaiters = [];
    for (const fulfil of waiting) fulfil();
    if (this.#lingering !== null) this.#wire.end();
  }

  #tick(): void {
    const now = performance.now();
    this.#measure(now);
    this.#pulse.tick(now, this.#reading());
    if (this.#pulse.silentMs > this.#silentMs) {
      this.#end({ kind: 'silent', says: `nothing was heard for ${String(this.#silentMs)} ms` }, 0);
    } else if (this.#beating && now - this.#beatAtMs >= this.#beatEveryMs()) {
      this.beatNow();
    }
  }

  #measure(now: number): void {
    const bytes = this.#tally.sentWireBytes - this.#measuredBytes;
    this.#carried = this.#drained ? null : bytes / Math.max(1, now - this.#measuredAtMs);
    this.#measuredBytes = this.#tally.sentWireBytes;
    this.#measuredAtMs = now;
    this.#drained = this.#outbox.bytes === 0;
  }

  /** Low rates: beats leave the better part to the files, and still come often enough to be heard. */
  #beatEveryMs(): number {
    const rate = this.#throttle.bitsPerSecond;
    // Ticks come a little early or late.
    const periodMs = this.#beatMs / 2;
    if (rate === null) return periodMs;
    const cheapMs = (beatWireBytes * 8_000) / (rate * beatShare);
    return Math.min(this.#silentMs / 3, Math.max(periodMs, cheapMs));
  }

  #end(ended: Ended, lingerMs: number): void {
    this.#ended = ended;
    clearInterval(this.#timer);
    this.#tellRoom();
    if (lingerMs > 0) {
      this.#lingering = setTimeout(() => {
        this.#destroy();
      }, lingerMs);
      this.#wire.resume();
      this.#finish();
    } else {
      this.#destroy();
    }
    this.#tellEnd(ended);
  }

  #tellEnd(ended: Ended): void {
    const listener = this.#endListener;
    this.#endListener = null;
    listener?.(ended);
  }

  #destroy(): void {
    this.#forgetThrottle();
    if (this.#throttled !== null) clearTimeout(this.#throttled);
    if (this.#lingering !== null) clearTimeout(this.#lingering);
    this.#outbox.clear();
    this.#unsent = 0;
    this.#wire.destroy();
    const waiting = this.#flushWaiters;
    this.#flushWaiters = [];
    for (const fulfil of waiting) fulfil();
  }
}
