/**
 * A connection: queue, throttle, compression and beats over anything that carries bytes in order (`Wire`).
 *
 * N1. The system never has more than `unsentBytesMax` of ours to take, nor the line more than the window allows: what
 *     waits, waits in the outbox, where beats overtake it.
 * N2. While the consumer holds, frames are kept in the inbox until it is full; then nothing is read any more. Until then beats and
 *     reports are heard, so that a side that holds can still send, and notices a dead line.
 * N3. The end is told once, whatever comes first; after it nothing is delivered.
 */

import type { Peer } from '@holdfast/wire/directory';
import { Assembly, type RawFrame } from './assembly.ts';
import { bytesOf, Compression } from './compression.ts';
import {
  beatKind,
  decodeFrame,
  decodeHeard,
  encodeCompressed,
  encodeFrame,
  encodeHeard,
  heardKind,
} from './frame.ts';
import { Inbox } from './inbox.ts';
import { Outbox } from './outbox.ts';
import { Pulse } from './pulse.ts';
import { newTally, type Tally } from './tally.ts';
import { Throttle } from './throttle.ts';
import { contentBytesOf, contentsOf } from './volume-codec.ts';
import { Window } from './window.ts';
import type { Wire } from './wire.ts';
import type { BeatFacts, Connection, Counters, Ended, Frame, LineOptions } from './types.ts';

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
/** What was heard is told after so many bytes, and so many milliseconds later (window.ts). */
const reportBytes = 16_384;
const reportMs = 5;
/** How much of a low rate beats may take. */
const beatShare = 0.25;
const beatWireBytes = 120;

/** What comes after the end. */
const forgotten = Buffer.allocUnsafeSlow(16_384);

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
  readonly #tally: Tally = newTally();
  readonly #forgetThrottle: () => void;
  #timer: NodeJS.Timeout;
  #throttled: NodeJS.Timeout | null = null;
  #lingering: NodeJS.Timeout | null = null;
  #reporting: NodeJS.Timeout | null = null;
  #unsent = 0;
  readonly #window = new Window();
  /** Bytes of the other side since the beginning, and what it knows of them. */
  #heardBytes: number;
  #reportedBytes = 0;
  /** Bytes for each millisecond in the last period, when there was always something to send; else null. */
  #carried: number | null = null;
  #drained = true;
  #measuredBytes = 0;
  #measuredAtMs = performance.now();
  #beating = false;
  #beatAtMs = 0;
  #ended: Ended | null = null;
  #held = true;
  readonly #inbox = new Inbox();
  #paused = false;
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
    this.#heardBytes = assembly.unread;
    this.#throttle = options.throttle ?? new Throttle();
    this.#compression = new Compression(options.compression ?? 'auto');
    this.#beatMs = options.beatMs ?? 250;
    this.#silentMs = options.silentMs ?? 5_000;
    this.#pulse = new Pulse(this.#beatMs, performance.now());
    this.#timer = setInterval(() => this.#tick(), this.#beatMs);
    this.#forgetThrottle = this.#throttle.onChange(() => this.#pump());
    this.#keep();
  }

  get ended(): Ended | null {
    return this.#ended;
  }

  get rttMs(): number | null {
    return this.#pulse.rttMs;
  }

  get dataBytes(): number {
    const rate = this.#throttle.bitsPerSecond;
    const bytesPerMs = Math.min(rate === null ? Infinity : rate / 8_000, this.#carried ?? Infinity);
    return Math.floor(Math.min(dataBytesDefault, Math.max(dataBytesMin, bytesPerMs * dataFrameMs)));
  }

  send(frame: Frame): boolean {
    if (this.#ended !== null) return false;
    this.#encode(frame);
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
    this.#held = true;
  }

  go(): void {
    if (!this.#held || this.#ended !== null || this.#listener === null) return;
    this.#held = false;
    this.#deliver();
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

  /** Where the next bytes are to be put. */
  room(): Buffer {
    return this.#ended === null ? this.#assembly.room() : forgotten;
  }

  /** So many came there. After the end they are forgotten, so that the other side's last words do not become a reset. */
  came(bytes: number): void {
    this.#tally.receivedWireBytes += this.#wire.wireBytes(bytes);
    if (this.#ended !== null) return;
    this.#heardBytes += bytes;
    this.#reportSoon();
    this.#pulse.silentMs = 0;
    this.#assembly.came(bytes);
    if (this.#held) this.#keep();
    else this.#deliver();
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
        const raw = this.#inbox.take() ?? this.#next();
        if (raw === null) break;
        const frame = decodeFrame(raw.kind, raw.payload, () => {
          this.#assembly.spare(raw.payload);
        });
        if (frame.kind === 'garbage') this.#end({ kind: 'garbage', says: frame.says }, 0);
        else this.#hand(frame);
      }
    } finally {
      this.#delivering = false;
    }
    if (this.#held) this.#keep();
    else if (this.#paused && this.#ended === null) {
      this.#paused = false;
      this.#wire.resume();
    }
  }

  /** N2. Always reads to the end of what came, which is one chunk. */
  #keep(): void {
    for (let raw = this.#next(); raw !== null; raw = this.#next()) {
      this.#inbox.add(raw);
    }
    if (!this.#inbox.full || this.#paused) return;
    this.#paused = true;
    this.#wire.pause();
  }

  /** The next frame that is not the line's own; null when there is none, or no more. */
  #next(): RawFrame | null {
    while (this.#ended === null) {
      const raw = this.#assembly.next();
      if (raw === null) return null;
      if (typeof raw === 'string') this.#end({ kind: 'garbage', says: raw }, 0);
      else if (raw.kind === heardKind) this.#heard(raw.payload);
      else {
        if (raw.kind === beatKind) this.#beatCame(raw.payload);
        return raw;
      }
    }
    return null;
  }

  /** Before it may lie in the inbox: the round trip is that of the line. */
  #beatCame(payload: Buffer): void {
    const beat = decodeFrame(beatKind, payload);
    if (beat.kind === 'beat') this.#pulse.heard(beat, performance.now());
  }

  /** The other side tells how much it heard. */
  #heard(payload: Buffer): void {
    const total = decodeHeard(payload);
    if (total === null || !this.#window.heard(total, performance.now())) {
      this.#end({ kind: 'garbage', says: 'it heard what was never sent' }, 0);
    } else {
      this.#pump();
    }
  }

  #reportSoon(): void {
    if (this.#reporting !== null || this.#heardBytes - this.#reportedBytes < reportBytes) return;
    this.#reporting = setTimeout(() => {
      this.#reporting = null;
      this.#reportedBytes = this.#heardBytes;
      this.#outbox.setReport(encodeHeard(this.#heardBytes));
      this.#pump();
    }, reportMs);
  }

  #hand(frame: Frame): void {
    this.#tally.receivedFrames += 1;
    if (frame.kind === 'data') this.#tally.receivedContentBytes += frame.contents.length;
    else if (frame.kind === 'volume-writes') this.#tally.receivedContentBytes += contentBytesOf(frame);
    this.#listener?.(frame);
  }

  #encode(frame: Frame): void {
    if (frame.kind !== 'data' && frame.kind !== 'volume-writes') {
      this.#outbox.add(encodeFrame(frame));
      return;
    }
    const contents = frame.kind === 'data' ? [frame.contents] : contentsOf(frame);
    const { done } = frame;
    this.#tally.sentContentBytes += bytesOf(contents);
    const packed = this.#compression.compress(contents, this.#lineBytesPerMs());
    if (packed === null) {
      this.#tally.plainFrames += 1;
      this.#outbox.add(encodeFrame(frame), done);
    } else {
      this.#tally.compressedFrames += 1;
      this.#outbox.add(encodeCompressed(frame, packed));
      done?.();
    }
  }

  /** What the line carries while frames wait for it, or null while they do not. */
  #lineBytesPerMs(): number | null {
    if (this.#outbox.bytes === 0) return null;
    const rate = this.#throttle.bitsPerSecond;
    return rate === null ? this.#carried : Math.min(rate / 8_000, this.#carried ?? Infinity);
  }

  #pump(): void {
    while (!this.#outbox.empty && this.#unsent < unsentBytesMax && this.#throttled === null) {
      const wanted = this.#wanted();
      if (wanted === 0) return;
      const room = this.#throttle.room(this.#wire.wireBytes(wanted));
      if (room === 0) {
        this.#waitForRate(wanted);
        return;
      }
      this.#write(Math.min(wanted, this.#payloadOf(room)));
    }
  }

  /** What is to be written next, as far as the window goes; 0: the other side has to be heard first. */
  #wanted(): number {
    const wanted = Math.min(writeBytesMax, Math.max(1, this.#outbox.bytes));
    const room = this.#window.room(wanted, performance.now());
    if (room > 0) return room;
    // Beat and report are small, and the other side may wait for the report.
    return this.#outbox.urgent && this.#outbox.between ? 1 : 0;
  }

  /** Of `room` bytes on the line, those that are ours. */
  #payloadOf(room: number): number {
    return room === Infinity ? room : Math.max(1, room - (this.#wire.wireBytes(room) - room));
  }

  #write(bytes: number): void {
    const pieces: Uint8Array[] = [];
    const done: (() => void)[] = [];
    const taken = this.#outbox.take(bytes, pieces, done);
    const wireBytes = this.#wire.wireBytes(taken);
    this.#throttle.take(wireBytes);
    this.#tally.sentWireBytes += wireBytes;
    this.#unsent += taken;
    this.#window.sent(taken, performance.now());
    this.#wire.write(pieces, () => {
      for (const one of done) one();
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
    this.#pulse.tick(now, !this.#paused);
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
      if (this.#paused) this.#wire.resume();
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
    if (this.#reporting !== null) clearTimeout(this.#reporting);
    this.#outbox.clear();
    this.#unsent = 0;
    this.#wire.destroy();
    const waiting = this.#flushWaiters;
    this.#flushWaiters = [];
    for (const fulfil of waiting) fulfil();
  }
}
