/**
 * Beats: what a side tells of itself, the round trip, and how long nothing was heard.
 *
 * P1. Silence counts only while this process runs: an event loop that was held up, or a host that slept, has not
 *     listened, so that one tick adds at most two periods.
 * P2. The echo of a beat is moved on by the time that it lay here, so that the round trip is that of the line.
 */

import type { Beat, BeatFacts } from './types.ts';

const nothing: BeatFacts = {
  behindBytes: 0,
  behindMs: 0,
  waiting: '',
  sequence: 0,
  receivedBytes: 0,
  diverged: false,
  says: '',
};

/** Share of an old round trip in the smoothed one (RFC 6298, alpha). */
const keep = 7 / 8;

export class Pulse {
  facts: () => BeatFacts = () => nothing;
  rttMs: number | null = null;
  /** Milliseconds for which nothing came. */
  silentMs = 0;
  readonly #periodMs: number;
  #tickAtMs: number;
  #heard: { readonly sentAtMs: number; readonly atMs: number } | null = null;

  constructor(periodMs: number, nowMs: number) {
    this.#periodMs = periodMs;
    this.#tickAtMs = nowMs;
  }

  /** Called on the period. `listening`: false while the consumer holds. */
  tick(nowMs: number, listening: boolean): void {
    const elapsed = nowMs - this.#tickAtMs;
    this.#tickAtMs = nowMs;
    // P1.
    if (listening) this.silentMs += Math.min(elapsed, 2 * this.#periodMs);
    else this.silentMs = 0;
  }

  beat(nowMs: number): Beat {
    const heard = this.#heard;
    this.#heard = null;
    return {
      ...this.facts(),
      kind: 'beat',
      sentAtMs: nowMs,
      // P2.
      echoSentAtMs: heard === null ? 0 : heard.sentAtMs + (nowMs - heard.atMs),
    };
  }

  /** A beat of the other side came. */
  heard(beat: Beat, nowMs: number): void {
    this.#heard = { sentAtMs: beat.sentAtMs, atMs: nowMs };
    if (beat.echoSentAtMs === 0) return;
    const rtt = Math.max(0, nowMs - beat.echoSentAtMs);
    this.rttMs = this.rttMs === null ? rtt : this.rttMs * keep + rtt * (1 - keep);
  }
}
