/**
 * Which host's kernel held an address when, from samples. A holding is as long as it may have been: from the last look
 * without the address to the first look without it again. So "never on both" is never an artefact of sampling.
 */

export interface Change {
  readonly held: boolean;
  readonly beforeMs: number;
  readonly atMs: number;
}

export interface Holding {
  readonly fromMs: number;
  /** Infinity while it goes on. */
  readonly toMs: number;
}

export function holdings(changes: readonly Change[]): Holding[] {
  const found: { fromMs: number; toMs: number }[] = [];
  for (const { held, beforeMs, atMs } of changes) {
    if (held) found.push({ fromMs: beforeMs, toMs: Number.POSITIVE_INFINITY });
    else {
      const open = found.at(-1);
      if (open !== undefined) open.toMs = atMs;
    }
  }
  return found;
}

/** Milliseconds during which two hosts may both have held it; 0: never on both. */
export function sharedMs(one: readonly Holding[], other: readonly Holding[], untilMs: number): number {
  let sum = 0;
  for (const left of one)
    for (const right of other)
      sum += Math.max(0, Math.min(left.toMs, right.toMs, untilMs) - Math.max(left.fromMs, right.fromMs));
  return sum;
}
