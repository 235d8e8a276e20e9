/** What the parts of a session share. */

import type { History } from '@holdfast/core';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { PartFile } from '../../transport/types.ts';
import type { BlockRecords } from '../../catalog/blocks.ts';
import type { Capture } from './capture.ts';
import type { Link } from './link.ts';
import type { Progress } from './progress.ts';
import type { Slice } from './slice.ts';

export interface SessionGround {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly capture: Capture;
  readonly blocks: BlockRecords;
  readonly link: Link;
  readonly slice: Slice;
  readonly progress: Progress;
  readonly settleMs: number;
  /** Of this source, up to a number; the last one when left out. */
  readonly history: (upTo?: number) => History;
  /** Files of which the target holds the beginning, by key of their path. */
  readonly parts: ReadonlyMap<string, PartFile>;
  /** The moment of the names of the copy under way; null: it is complete. Kept over a break. */
  readonly keepCopyEnd: (end: number | null) => void;
  /** Everything that the target lacked is on its way, up to this number. */
  readonly caughtUp: () => void;
}
