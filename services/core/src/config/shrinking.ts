/** What a new configuration may not do to a volume: blocks beyond a smaller size would be out of reach, on every server. */

import { formatSize } from './quantity.ts';
import type { ClusterConfig, DatasetConfig } from './types.ts';

/** Sentences for `apply`; none: it may be applied. Another path is another volume, of any size. */
export function refuseShrinking(before: ClusterConfig | null, after: ClusterConfig): readonly string[] {
  const now = volumesOf(after);
  return [...(before === null ? [] : volumesOf(before))].flatMap(([place, volume]) => {
    const next = now.get(place);
    if (next?.path !== volume.path || next.sizeBytes >= volume.sizeBytes) return [];
    const [from, to] = [volume.sizeBytes, next.sizeBytes].map(formatSize);
    return [
      `${place}.size: a volume can't become smaller than it is (${from}, not ${to}); ` +
        'make a new one with a path of its own, and copy what is needed',
    ];
  });
}

type Volume = DatasetConfig & { readonly kind: 'volume' };

/** By where they are written. */
function volumesOf(config: ClusterConfig): ReadonlyMap<string, Volume> {
  const found = new Map<string, Volume>();
  const add = (place: string, dataset: DatasetConfig): void => {
    if (dataset.kind === 'volume') found.set(place, dataset);
  };
  for (const group of config.groups.values())
    for (const { name, dataset } of group.mirrors)
      add(`groups.${group.name}.mirrors.${name}.volume`, dataset);
  for (const { name, from } of config.mirrors.values())
    if (from.kind === 'server') add(`mirrors.${name}.from.volume`, from.dataset);
  return found;
}
