/**
 * How long to wait before a line is dialed again.
 */

const firstMs = 100;
const lastMs = 5_000;

/**
 * Milliseconds to wait after `failures` attempts in a row that failed (1 or more): 100 ms, doubling up to 5 s, less up
 * to a quarter by `chance` (0 to 1), so that many mirrors do not dial at the same moment.
 */
export function redialMs(failures: number, chance: number): number {
  const doubled = firstMs * 2 ** Math.min(16, Math.max(0, failures - 1));
  return Math.min(lastMs, doubled) * (1 - chance / 4);
}
