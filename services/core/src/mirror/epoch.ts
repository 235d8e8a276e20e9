/**
 * The epoch of a mirror without a failover: a number that rises whenever another server, or other data, become its
 * source, so that a target refuses the former one. It is the store's revision at which that was applied, and stays the
 * same as long as the source does. A mirror that is removed and comes back gets a higher one, because revisions never
 * fall.
 */

import { placeOf } from '../config/dataset.ts';
import type { ClusterConfig, CopyConfig, DatasetConfig } from '../config/types.ts';
import type { Revision } from '../names.ts';

/** `revision`: of the store, as late as is known; at least that of the configuration `before`. */
export function withEpochs(
  before: ClusterConfig | null,
  after: ClusterConfig,
  revision: Revision,
): ClusterConfig {
  const mirrors = [...after.mirrors.values()].map((copy): CopyConfig => {
    const { from } = copy;
    if (from.kind === 'group') return copy;
    const old = before?.mirrors.get(copy.name)?.from;
    const same = old?.kind === 'server' && old.server === from.server && sameData(old.dataset, from.dataset);
    return { ...copy, from: { ...from, epoch: same ? old.epoch : revision + 1n } };
  });
  return { ...after, mirrors: new Map(mirrors.map((copy) => [copy.name, copy])) };
}

function sameData(a: DatasetConfig, b: DatasetConfig): boolean {
  return a.kind === b.kind && placeOf(a) === placeOf(b);
}
