/**
 * What two groups must not share. Two groups with one address would each hold it rightly, on two servers, at the
 * same time: the rules of one group cannot prevent that, so the file is refused.
 */

import type { Claim } from './claims.ts';
import { claimsOf, keyOf } from './claims.ts';
import type { Place } from './place.ts';
import { within, wrong } from './place.ts';
import type { GroupConfig } from './types.ts';

/** A group that was read, and where it stands in the file. */
export interface ReadGroup {
  readonly config: GroupConfig;
  readonly place: Place;
}

/** Mirrors are overlap.ts' own: copies without a failover share servers with them, too. */
export function reportConflicts(groups: readonly ReadGroup[]): void {
  const takers = new Map<string, string>();
  for (const { config, place } of groups) {
    const reported = new Set<string>();
    for (const claim of claimsOf(config)) {
      if (claim.kind === 'mirror') continue;
      const key = keyOf(claim);
      const taker = takers.get(key);
      if (taker === undefined) {
        takers.set(key, config.name);
        continue;
      }
      // One error for each thing in the file, however many servers it concerns.
      const entry = entryOf(config, claim);
      if (reported.has(entry)) continue;
      reported.add(entry);
      const thing = claim.on === null ? claim.words : `${claim.words} on ${claim.on}`;
      const whose = taker === config.name ? 'the same group' : `groups.${taker}`;
      const where = claim.at.reduce((at, name) => within(at, name, null), place);
      wrong(where, `${thing} is already used by ${whose}; ${adviceFor(config, claim.kind)}`);
    }
  }
}

/** What stands in the file: of mode `replace`, no address does. */
function entryOf({ identity }: GroupConfig, { kind, words, at }: Claim): string {
  const thing = kind === 'address' && identity.mode === 'replace' ? '' : words;
  return [...at, thing].join(' ');
}

function adviceFor({ identity }: GroupConfig, kind: Exclude<Claim['kind'], 'mirror'>): string {
  switch (kind) {
    case 'address':
      if (identity.mode === 'replace') return 'a server can be in one group of mode replace only';
      return 'give each group its own';
    case 'host name':
      return 'give each group its own';
    case 'unit':
      return 'let one group run it';
    case 'mount point':
      return 'mount it elsewhere';
  }
}
