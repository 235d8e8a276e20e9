/** Clusters that were broken on purpose: each must be caught, or a green run proves nothing. */

import { runSeed } from '../src/run.ts';
import { variants, type Variant } from '../src/variants.ts';

/** The first seed that catches it, and what it says; null when none does. */
function caught({ tampering, within }: Variant): string | null {
  for (let seed = 1; seed <= within; seed += 1) {
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
