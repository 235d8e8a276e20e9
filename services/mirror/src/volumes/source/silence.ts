/**
 * Whether a target that is there, and answers beats, answers what it was sent. One whose disk hangs does not: its line never
 * ends, and whoever waits for it would wait for ever.
 *
 *   N1  lost is one that owes an answer for so long as somebody who waits for it is to wait, and one that made nothing durable for
 *       `mostMs`: what is under way to it would grow for ever
 *   N2  it is seen twice: what arrived while this thread stood still is taken between two looks
 */

/** When the oldest was sent that has no answer (forwarding.ts); null: there is none. */
interface Unanswered {
  /** Of what somebody may wait for. */
  readonly unansweredMs: number | null;
  readonly undurableMs: number | null;
}

const leastMs = 500;
const mostMs = 60_000;

export class Silence {
  #seenMs: number | null = null;

  /** Since when it is lost; null: it is not. `fromMs`: what was sent before is not looked at. `lossMs`: of who waits for it. */
  look(
    { unansweredMs, undurableMs }: Unanswered,
    fromMs: number,
    nowMs: number,
    lossMs: number,
  ): number | null {
    const limitMs = Math.min(mostMs, Math.max(leastMs, lossMs));
    const lateMs =
      lateOf(unansweredMs, fromMs, nowMs - limitMs) ?? lateOf(undurableMs, fromMs, nowMs - mostMs);
    const lost = lateMs !== null && lateMs === this.#seenMs; // N2
    this.#seenMs = lateMs;
    return lost ? lateMs : null;
  }
}

/** Null: it is none. */
function lateOf(atMs: number | null, fromMs: number, beforeMs: number): number | null {
  if (atMs === null) return null;
  const sinceMs = Math.max(atMs, fromMs);
  return sinceMs <= beforeMs ? sinceMs : null;
}
