/**
 * Files of which only their digest tells whether their contents changed: they have the size and the time of modification that
 * they had, and were moved, or got other attributes. They are read before a batch is planned.
 */

import type { Readings } from './batch-writer.ts';
import { confirm, type Confirmation } from './confirming.ts';
import { allChanges } from './copying.ts';
import { patchBytesMin } from './plan-changes.ts';
import { digestOf, isGone, readSmall } from './reading.ts';
import type { SessionGround } from './session-ground.ts';

/** Contents that are kept, so that they are not read again when they are sent. */
const keptBytesMax = 8 << 20;
/** In one transaction. */
const confirmedMax = 2_000;

/** Those that changed after `from`. `readings` gets what was read. Throws CatalogError, and what the disk says. */
export async function settleSuspects(ground: SessionGround, from: number, readings: Readings): Promise<void> {
  const { catalog, tree, slice } = ground;
  const confirmed: Confirmation[] = [];
  let keptBytes = 0;
  for (const change of allChanges(ground, from)) {
    if (confirmed.length >= confirmedMax) confirm(catalog, confirmed.splice(0));
    if (slice.isOver) await slice.turn();
    if (change.kind !== 'entry') continue;
    const { entry } = change;
    const { id, sequence, attributes } = entry;
    if (!entry.suspect || entry.digest === null || attributes.size >= patchBytesMin) continue;
    const path = catalog.pathOf(id);
    if (path === null) continue;
    try {
      const file = readSmall(tree, path, entry);
      if (!file.heldStill) continue;
      confirmed.push({ entry, digest: digestOf(file.contents), readAtMs: file.readAtMs, changed: null });
      keptBytes += file.contents.length;
      if (keptBytes <= keptBytesMax) readings.set(id, { sequence, file });
    } catch (error) {
      if (!isGone(error)) throw error;
    }
  }
  confirm(catalog, confirmed);
}
