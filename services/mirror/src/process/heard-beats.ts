/** A connection of which somebody else also hears the beats: what the source says that this copy lacks. */

import type { Beat, BeatFacts, Connection, Counters, Ended, Frame } from '../transport/types.ts';

export class HeardBeats implements Connection {
  readonly #inner: Connection;
  readonly #heard: (beat: Beat) => void;

  constructor(inner: Connection, heard: (beat: Beat) => void) {
    this.#inner = inner;
    this.#heard = heard;
  }

  get peer(): Connection['peer'] {
    return this.#inner.peer;
  }

  get encrypted(): boolean {
    return this.#inner.encrypted;
  }

  get ended(): Ended | null {
    return this.#inner.ended;
  }

  get rttMs(): number | null {
    return this.#inner.rttMs;
  }

  get dataBytes(): number {
    return this.#inner.dataBytes;
  }

  onFrame(listener: (frame: Frame) => void): void {
    this.#inner.onFrame((frame) => {
      if (frame.kind === 'beat') this.#heard(frame);
      listener(frame);
    });
  }

  send(frame: Frame): boolean {
    return this.#inner.send(frame);
  }

  writable(): Promise<void> {
    return this.#inner.writable();
  }

  flushed(): Promise<void> {
    return this.#inner.flushed();
  }

  onEnd(listener: (ended: Ended) => void): void {
    this.#inner.onEnd(listener);
  }

  hold(): void {
    this.#inner.hold();
  }

  go(): void {
    this.#inner.go();
  }

  beats(facts: () => BeatFacts): void {
    this.#inner.beats(facts);
  }

  beatNow(): void {
    this.#inner.beatNow();
  }

  close(says: string, lingerMs?: number): void {
    this.#inner.close(says, lingerMs);
  }

  counters(): Counters {
    return this.#inner.counters();
  }
}
