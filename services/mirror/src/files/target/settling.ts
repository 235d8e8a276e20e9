/** Folders in which a batch worked keep the times that the source told of them. */

import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import { statThere } from './there.ts';
import { isMisfit } from './trouble.ts';

/** Within a transaction. Can be repeated. Throws what the disk says. */
export function settleFolder(catalog: Catalog, tree: Tree, folder: Buffer): void {
  const entry = catalog.byPath(folder);
  const stat = entry === null ? null : statThere(tree, folder);
  if (entry?.attributes.kind !== 'folder' || stat?.kind !== 'folder') return;
  const { mtimeS, mtimeNs } = entry.attributes;
  const same = stat.mtimeS === mtimeS && stat.mtimeNs === mtimeNs;
  if (!same && !gives(tree, folder, { mtimeS, mtimeNs })) return;
  const now = same ? stat : statThere(tree, folder);
  if (now !== null) catalog.recordLocal(entry.id, now);
}

/** False: somebody else took its place just now, which is found as a foreign change. */
function gives(
  tree: Tree,
  folder: Buffer,
  times: { readonly mtimeS: number; readonly mtimeNs: number },
): boolean {
  try {
    tree.setAttributes(folder, times);
    return true;
  } catch (error) {
    if (isMisfit(error)) return false;
    throw error;
  }
}
