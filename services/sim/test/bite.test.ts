/** Clusters that were broken on purpose: each must be caught, or a green run proves nothing. */

import { runSeed } from '../src/run.ts';
import { variants, type Variant } from '../src/variants.ts';

/** Within so many seeds it must be caught. */
const within = 300;

/** A seed that catches it, and what it says; null when none does. Any change of a rule moves the seeds: then all are tried. */
function caught({ tampering, seed: known }: Variant): string | null {
  const others = Array.from({ length: within }, (_, i) => i + 1).filter((seed) => seed !== known);
  for (const seed of [known, ...others]) {
    const { violation } = runSeed(seed, { minutes: 10, tampering });
    if (violation !== null) return `seed ${String(seed)}, ${violation.invariant}: ${violation.says}`;
  }
  return null;
}

describe('the audit bites when', () => {
  it.each(variants.map((v) => [v.name, v] as const))(
    '%s',
    (_name, variant) => {
      expect(caught(variant)).not.toBeNull();
    },
    600_000,
  );
});
