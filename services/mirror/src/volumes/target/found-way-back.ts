/**
 * What is found of a way back when a volume is opened, in whatever role.
 *
 *   W1  a snapshot that is not the one on record is no way back: nobody goes back by it, and the copy counts as incomplete
 *   W2  without a way back on record nothing of one stays: a snapshot takes room for as long as it is there, whoever writes
 */

import type { VolumeGround } from '../ground.ts';
import type { Snapshots } from '../store/store.ts';
import { marksName } from './marks.ts';
import { undoLogName } from './undo-log.ts';

/** Of another store than the one on record it is not asked. What to tell: the way back that was lost; empty: none. */
export async function settleWayBack(ground: VolumeGround, snapshots: Snapshots | null): Promise<string> {
  const { undoTo } = ground.record;
  const lost = undoTo !== null && undoTo.snapshot !== null && undoTo.snapshot !== (snapshots?.name ?? '');
  if (lost) await ground.save({ undoTo: null, consistent: false }); // W1
  clearWayBack(ground, snapshots);
  return lost ? 'the snapshot of before the resync is gone: the copy is incomplete until it is in step' : '';
}

/** W2. */
export function clearWayBack({ record, disk }: VolumeGround, snapshots: Snapshots | null): void {
  if (record.undoTo !== null) return;
  disk.remove(undoLogName);
  snapshots?.remove();
  disk.remove(marksName);
}
