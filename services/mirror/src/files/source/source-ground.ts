/** What all targets of a source share. */

import type { History } from '@holdfast/core';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { BlockRecords } from '../../catalog/blocks.ts';
import type { Capture } from './capture.ts';
import type { SourceOptions } from './types.ts';

export interface SourceGround {
  readonly options: SourceOptions;
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly capture: Capture;
  readonly blocks: BlockRecords;
  /** Why nothing may be sent; null: it may. */
  readonly stopped: () => string | null;
  /** Of this source; the last row ends at this number. */
  readonly history: (sequence: number) => History;
  readonly copyEnd: (member: string) => number | null;
  readonly keepCopyEnd: (member: string, end: number | null) => void;
  /** Resolves when everything was looked at once. */
  readonly firstWalk: () => Promise<void>;
  /** A session with this target ended by a fault of ours, or of the disk. */
  readonly failed: (member: string, error: unknown) => void;
  /** It has caught up. */
  readonly recovered: (member: string) => void;
}
