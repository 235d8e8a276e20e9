/** What a copy changed by itself, as its catalog tells. */

import type { Catalog } from '../../catalog/types.ts';
import type { Note } from './note.ts';

/** Changes read at once. */
const sliceMax = 2_000;

/** A change that this copy made by itself. */
export interface OwnChange {
  readonly path: Buffer;
  readonly change: 'written' | 'created' | 'deleted';
}

/** Above the common position with a source; every path of a folder that moved is one. R2 of records.ts. */
export function* ownChanges(catalog: Catalog, note: Note, common: number): Generator<OwnChange> {
  const { own, ahead, position, reconciled } = note;
  const named = own ?? ahead;
  const settled = named === null && position !== null && common >= position.sequence;
  const above = settled ? Math.max(common, reconciled) : common;
  const upTo = named?.upTo ?? Infinity;
  let [sequence, afterId] = [above, Number.MAX_SAFE_INTEGER];
  for (;;) {
    const changes = catalog.changesSince(sequence, sliceMax, afterId);
    for (const change of changes) {
      [sequence, afterId] = [change.sequence, change.id];
      if (sequence > upTo) return;
      const before = catalog.pathAt(change.id, above);
      if (change.kind === 'gone') {
        if (before !== null) yield { path: before, change: 'deleted' };
        continue;
      }
      const path = catalog.pathOf(change.id);
      if (path === null || path.length === 0) continue;
      const moved = change.entry.placed > above;
      yield { path, change: moved ? 'created' : 'written' };
      if (moved && before !== null && !before.equals(path)) {
        yield { path: before, change: 'deleted' };
        yield* movedBeneath(catalog, change.id, path, before);
      }
    }
    if (changes.length < sliceMax) return;
  }
}

function* movedBeneath(catalog: Catalog, id: number, path: Buffer, before: Buffer): Generator<OwnChange> {
  let after: Buffer | null = null;
  for (;;) {
    const children = catalog.children(id, after, sliceMax);
    for (const child of children) {
      after = child.name;
      const now = joined(path, child.name);
      const was = joined(before, child.name);
      yield { path: now, change: 'created' };
      yield { path: was, change: 'deleted' };
      if (child.attributes.kind === 'folder') yield* movedBeneath(catalog, child.id, now, was);
    }
    if (children.length < sliceMax) return;
  }
}

function joined(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}
