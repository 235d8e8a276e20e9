/**
 * Whether a line can't keep up. Pure.
 *
 * G1. The line has to be full (outlet.ts, U3), and what the target lacks has to be more than it was at its least since then,
 *     by more than the line carries in a second, for longer than a limit.
 * G2. What counts is the least, not the first: a backlog that shrinks does not hide that it grows later.
 */

export interface LineFacts {
  readonly full: boolean;
  /** What the target lacks. */
  readonly behindBytes: number;
  /** Of contents, as they go out now. */
  readonly bytesPerSecond: number;
}

/** The least that the target lacked since the line was full, and when that was seen. */
export interface Lag {
  readonly sinceMs: number;
  readonly bytes: number;
}

/** Null: the line has room. */
export function lagAfter(before: Lag | null, { full, behindBytes }: LineFacts, nowMs: number): Lag | null {
  if (!full) return null;
  if (before === null || behindBytes <= before.bytes) return { sinceMs: nowMs, bytes: behindBytes };
  return before;
}

export function isTooSlow(
  lag: Lag | null,
  { behindBytes, bytesPerSecond }: LineFacts,
  nowMs: number,
  limitMs: number,
): boolean {
  return lag !== null && nowMs - lag.sinceMs > limitMs && behindBytes - lag.bytes > bytesPerSecond;
}
