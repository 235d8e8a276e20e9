/** What the readings of a source told of its entries goes into the catalog: many at once, because each transaction waits for the disk. */

import type { Catalog } from '../../catalog/types.ts';

export interface Confirmation {
  readonly id: number;
  /** Of the entry that was read. */
  readonly sequence: number;
  readonly digest: Buffer | null;
  readonly readAtMs: number;
  /** Null: the digest tells. */
  readonly changed: boolean | null;
}

/** What changed since it was read is left out. Throws CatalogError. */
export function confirm(catalog: Catalog, confirmed: readonly Confirmation[]): void {
  if (confirmed.length === 0) return;
  catalog.write(() => {
    for (const { id, sequence, digest, readAtMs, changed } of confirmed) {
      if (catalog.byId(id)?.sequence !== sequence) continue;
      if (changed === null) catalog.confirmContents(id, digest, readAtMs);
      else catalog.confirmContents(id, digest, readAtMs, changed);
    }
  });
}
