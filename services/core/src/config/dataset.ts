/** What is mirrored, whatever kind it is. */

import type { DatasetConfig } from './types.ts';

/** Its folder, or the path of the volume. */
export function placeOf(dataset: DatasetConfig): string {
  switch (dataset.kind) {
    case 'files':
      return dataset.root;
    case 'volume':
      return dataset.path;
  }
}
