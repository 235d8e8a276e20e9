/**
 * Records that can't be read: of another version, or damaged. What they say is not known, so nothing is decided that they could
 * forbid. The store would refuse it in any case: what was read last is not what stands there (U1 of quorum.ts).
 */

import { keys } from '../keys.ts';
import type { Case } from './case.ts';

/** In words; null: everything that a decision about the group compares can be read. */
export function unreadable({ scene, config }: Pick<Case, 'scene' | 'config'>): string | null {
  const { garbage } = scene.view;
  const records = [
    [keys.group(config.name), `the record of ${config.name}`],
    [keys.maintenance, 'the record of maintenance'],
  ] as const;
  for (const [key, what] of records) {
    const says = garbage.get(key);
    if (says !== undefined)
      return `${what} can't be read (${says}): nothing is decided until it can; bring all members to the same version of holdfast`;
  }
  return null;
}
