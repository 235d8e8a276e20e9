/** The nearest known word to a misspelt one, by edit distance. For `did you mean`. */

const comparedLengthMax = 40;

/** The nearest of `known`, or null when none is near enough to be what was meant. */
export function nearest(word: string, known: readonly string[]): string | null {
  const given = word.slice(0, comparedLengthMax).toLowerCase();
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(given.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(given, candidate.slice(0, comparedLengthMax).toLowerCase());
    // A distance of a whole word means that nothing is shared.
    if (distance < bestDistance && distance < candidate.length) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and substitutions from `a` to `b` (Levenshtein, 1966). */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const substituted = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
