/**
 * How much may be under way at once. Without it the buffers of the kernel and of routers fill, and a beat arrives seconds
 * late; with too little of it a long line stays empty. The other side tells how much it heard, at most every few
 * milliseconds; from that come the round trip and the rate of the line, and from these the window:
 *
 *   window = rate x (shortest round trip + 100 ms), at least twice rate x round trip
 *
 * W1. What waits on the line beyond what it holds is at most 100 ms of its rate, or one round trip where that is longer.
 * W2. As long as the window is what limits, the next one is larger: it grows until the line is the limit.
 * W3. A rate that was low because there was nothing to send says nothing: it never lowers the window.
 * W4. Every 10 s the queue is let run empty for a moment to see the shortest round trip anew; routes change.
 *
 * Source: Cardwell et al., BBR: Congestion-Based Congestion Control (2016), of which this takes the model of the line.
 */

const queueMs = 100;
/** More than one report of the other side, or it would wait for us and we for it. */
const windowBytesMin = 65_536;
const crumbBytes = 16_384;
const sampleMs = 50;
/** Of an old rate in a lower one. */
const keep = 3 / 4;
const probeEveryMs = 10_000;
const markBytes = 16_384;
const marksMax = 4_096;

interface Mark {
  readonly totalBytes: number;
  readonly atMs: number;
}

export class Window {
  #sent = 0;
  #heard = 0;
  #bytesPerMs = 0;
  #shortestMs = Infinity;
  /** When what was sent; oldest first. */
  readonly #marks: Mark[] = [];
  #sampleFrom: Mark | null = null;
  /** Something waited for the window or the line in this sample. */
  #wasFull = false;
  #probeAtMs = Infinity;
  /** The shortest round trip of the probe that runs, or null. */
  #probing: { readonly untilMs: number; shortestMs: number } | null = null;

  /** How many of `wanted` bytes may leave now; 0 rather than a crumb of them. */
  room(wanted: number, nowMs: number): number {
    const room = Math.floor(this.#limit(nowMs) - (this.#sent - this.#heard));
    if (room >= wanted) return wanted;
    this.#wasFull = true;
    return room >= crumbBytes ? room : 0;
  }

  sent(bytes: number, nowMs: number): void {
    this.#sent += bytes;
    const last = this.#marks.at(-1);
    const enough = last === undefined || this.#sent - last.totalBytes >= markBytes;
    if (enough && this.#marks.length < marksMax) this.#marks.push({ totalBytes: this.#sent, atMs: nowMs });
  }

  /** The other side heard so many bytes since the beginning. False: it can't have. */
  heard(totalBytes: number, nowMs: number): boolean {
    if (totalBytes < this.#heard || totalBytes > this.#sent) return false;
    this.#heard = totalBytes;
    this.#roundTrip(totalBytes, nowMs);
    this.#rate(totalBytes, nowMs);
    return true;
  }

  #roundTrip(totalBytes: number, nowMs: number): void {
    let reached = 0;
    while ((this.#marks[reached]?.totalBytes ?? Infinity) <= totalBytes) reached += 1;
    const mark = this.#marks[reached - 1];
    if (mark === undefined) return;
    this.#marks.splice(0, reached);
    const tripMs = Math.max(0.1, nowMs - mark.atMs);
    this.#shortestMs = Math.min(this.#shortestMs, tripMs);
    if (this.#probeAtMs === Infinity) this.#probeAtMs = nowMs + probeEveryMs;
    this.#probe(tripMs, nowMs);
  }

  /** W4. */
  #probe(tripMs: number, nowMs: number): void {
    const probing = this.#probing;
    if (probing !== null) {
      probing.shortestMs = Math.min(probing.shortestMs, tripMs);
      if (nowMs < probing.untilMs) return;
      this.#shortestMs = probing.shortestMs;
      this.#probing = null;
      this.#probeAtMs = nowMs + probeEveryMs;
    } else if (nowMs >= this.#probeAtMs) {
      this.#probing = { untilMs: nowMs + this.#shortestMs * 2 + queueMs, shortestMs: Infinity };
    }
  }

  #rate(totalBytes: number, nowMs: number): void {
    const from = this.#sampleFrom;
    if (from !== null && nowMs - from.atMs < Math.max(sampleMs, this.#shortestMs)) return;
    this.#sampleFrom = { totalBytes, atMs: nowMs };
    const full = this.#wasFull;
    this.#wasFull = false;
    if (from === null) return;
    const rate = (totalBytes - from.totalBytes) / (nowMs - from.atMs);
    if (rate > this.#bytesPerMs) this.#bytesPerMs = rate;
    // W3; and a probe is not what the line can do.
    else if (full && this.#probing === null) this.#bytesPerMs = this.#bytesPerMs * keep + rate * (1 - keep);
  }

  #limit(nowMs: number): number {
    if (this.#shortestMs === Infinity) return windowBytesMin;
    if (this.#probing !== null && nowMs < this.#probing.untilMs) {
      return Math.max(windowBytesMin, (this.#bytesPerMs * this.#shortestMs) / 2);
    }
    // W1, W2.
    return Math.max(
      windowBytesMin,
      this.#bytesPerMs * Math.max(2 * this.#shortestMs, this.#shortestMs + queueMs),
    );
  }
}
