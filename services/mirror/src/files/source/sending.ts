/** One batch on its way: from its plan to its commit. */

import { unknownChecksum, type History } from '@holdfast/core';
import type { Ahead } from './ahead.ts';
import { BatchOutlet } from './outlet.ts';
import type { BatchPlan } from './plan.ts';
import type { SessionGround } from './session-ground.ts';
import { BatchWriter, type Readings, type WriterOptions } from './batch-writer.ts';
import { confirm } from './confirming.ts';

export interface BatchTerms {
  readonly plan: BatchPlan;
  /** The target is at a point in time of the source afterwards. */
  readonly consistent: boolean;
  /** The number that the target holds afterwards. */
  readonly sequence: number;
  /** Over all entries at `sequence`. */
  readonly checksum: string;
  readonly history: History;
  readonly readings: Readings;
  /** Null: the target's number tells nothing of blocks. */
  readonly ahead: Ahead | null;
  /** Bytes that may wait for what was read to be judged; 0: everything goes out at once. */
  readonly heldBytesMax: number;
  readonly placeOf: WriterOptions['placeOf'];
}

/** A batch that was read, and that went out as far as it could not be held. */
export interface ReadBatch {
  /** Nothing of it went out: it may be forgotten. */
  readonly isHeld: boolean;
  /** Places of what did not hold still. */
  readonly moving: readonly Buffer[];
  /** Sends what was held, and the commit. `hot`: files that never held still. */
  commit(hot: readonly Buffer[]): Promise<void>;
}

/** Paths in one commit. */
const hotMax = 1_000;

/** Throws SessionOver. */
export async function readBatch(ground: SessionGround, terms: BatchTerms): Promise<ReadBatch> {
  const { link, progress, capture } = ground;
  const { consistent, sequence, checksum, history } = terms;
  const outlet = new BatchOutlet(link.outlet, terms.heldBytesMax);
  const number = link.nextNumber();
  const ahead = terms.ahead?.batch(sequence) ?? null;
  await outlet.frame({ kind: 'begin', number, consistent }, 16);
  const writer = new BatchWriter({
    tree: ground.tree,
    catalog: ground.catalog,
    blocks: ground.blocks,
    outlet,
    slice: ground.slice,
    readings: terms.readings,
    ahead,
    parts: ground.parts,
    placeOf: terms.placeOf,
    nextStream: () => link.nextStream(),
    sent: (bytes) => {
      progress.sent(bytes);
    },
  });
  await writer.write(terms.plan);
  return {
    get isHeld() {
      return outlet.isHeld;
    },
    moving: writer.moving,
    async commit(hot) {
      // Of the others nothing is thought to be unchanged that may not be (catalog/types.ts, C6).
      confirm(
        ground.catalog,
        writer.confirmed.filter(({ entry }) => entry.suspect),
      );
      renumber(ground, writer.leftOut);
      // Before the batch that may hold anything of them is committed.
      capture.confirmations.forget(writer.unstill);
      await outlet.release();
      // No number is sent before it can't be given again.
      await capture.onDisk(sequence);
      await link.commit({
        kind: 'commit',
        number,
        sequence,
        checksum: writer.isExact ? checksum : unknownChecksum,
        consistent,
        hot: hot.slice(0, hotMax),
        history,
      });
      ahead?.committed();
      capture.confirmations.add(writer.confirmed.filter(({ entry }) => !entry.suspect));
    },
  };
}

/** Before the batch that lacks them is committed: on disk with it, above its number. What is known of their blocks is not what is there. */
function renumber({ catalog, blocks }: SessionGround, leftOut: readonly number[]): void {
  if (leftOut.length === 0) return;
  for (const id of leftOut) blocks.forget(id);
  catalog.write(() => {
    for (const id of leftOut) catalog.renumber(id);
  });
}
