/**
 * With which selection everything was looked at last. The threads of a scan compare names with the catalog and know of no
 * selection: what is excluded since then they would take for what it was.
 */

import type { Catalog } from '../../catalog/types.ts';
import type { SourceSelection } from './types.ts';

const note = 'selection';

type Digest = Pick<SourceSelection, 'digest'>;

const textOf = ({ digest }: Digest): string => Buffer.from(digest).toString('hex');

export function isSeenWith(catalog: Catalog, selection: Digest): boolean {
  return catalog.meta.notes[note] === textOf(selection);
}

/** Everything was looked at. Throws CatalogError. */
export function noteSeenWith(catalog: Catalog, selection: Digest): void {
  if (isSeenWith(catalog, selection)) return;
  catalog.setMeta({ notes: { ...catalog.meta.notes, [note]: textOf(selection) } });
}

/** What a target holds is what its source selected. Throws CatalogError. */
export function forgetSeenWith(catalog: Catalog): void {
  const { notes } = catalog.meta;
  if (notes[note] === undefined) return;
  catalog.setMeta({ notes: Object.fromEntries(Object.entries(notes).filter(([name]) => name !== note)) });
}
