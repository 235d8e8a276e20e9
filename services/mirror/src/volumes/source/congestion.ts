/**
 * Whether more is under way to a target than it takes (volume-line.ts, L3). What counts is what is held in memory for it until it
 * answers: contents, and the chunks that are to be remembered (forwarding.ts, `heldBytes`). Zeros have no contents: they count by
 * their chunks.
 */

const softBytes = 33_554_432;
const hardBytes = 67_108_864;
const congestedMs = 500;

/** Of contents of a resync, at most. */
export const resyncBytesMax = softBytes;

export const isTooMuch = (heldBytes: number): boolean => heldBytes > hardBytes;

export class Congestion {
  #sinceMs: number | null = null;

  begin(): void {
    this.#sinceMs = null;
  }

  /** True: it has more than `softBytes` under way, and had for too long. */
  look(heldBytes: number, nowMs: number): boolean {
    if (heldBytes <= softBytes) {
      this.#sinceMs = null;
      return false;
    }
    this.#sinceMs ??= nowMs;
    return nowMs - this.#sinceMs > congestedMs;
  }
}
