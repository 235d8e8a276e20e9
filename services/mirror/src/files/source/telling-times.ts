/**
 * Since when each sequence number is known: how old the oldest change is that a target lacks.
 *
 * Bounded: neighbours are joined, and the older time stands for both, so that a lag is told too long rather than too short.
 */

const rowsMax = 4_096;

interface Row {
  /** Numbers up to this one, above that of the row before. */
  readonly sequence: number;
  readonly atMs: number;
}

export class TellingTimes {
  #rows: Row[] = [];
  readonly #from: number;

  /** `from`: numbers up to this one were given in a former life. */
  constructor(from: number) {
    this.#from = from;
  }

  /** `atMs`: performance.now() when the oldest of the new numbers, up to this one, was told. */
  note(sequence: number, atMs: number): void {
    if (this.#rows.length >= rowsMax) {
      this.#rows = this.#rows
        .filter((_, i) => i % 2 === 1)
        .map((row, i) => ({ ...row, atMs: this.#rows[i * 2]?.atMs ?? row.atMs }));
    }
    this.#rows.push({ sequence, atMs });
  }

  /** performance.now() when the oldest change above this number was told; null: it is of a former life. */
  oldestAbove(sequence: number): number | null {
    if (sequence < this.#from) return null;
    let [low, high] = [0, this.#rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#rows[middle]?.sequence ?? 0) > sequence) high = middle;
      else low = middle + 1;
    }
    return this.#rows[low]?.atMs ?? null;
  }
}
