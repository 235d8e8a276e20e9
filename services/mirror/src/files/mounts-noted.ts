/**
 * Which file systems are mounted beneath a mirror's root, and which ones its catalog remembers: by the path of the folder that
 * each is mounted at, with its identity.
 */

import * as z from 'zod';
import type { Catalog, Entry } from '../catalog/types.ts';
import { mountedBeneath } from '../os/mounts.ts';
import type { Tree } from '../os/tree.ts';
import { type Identity, identityOf, identityShape } from './root-identity.ts';

const note = 'mounts';
/** A note of a catalog takes 64 KiB. */
const noteBytesMax = 60_000;
const shape = z.record(z.string(), identityShape);

/** By the path, latin1. */
export type NotedMounts = ReadonlyMap<string, Identity>;

export interface MountedFolder {
  readonly path: Buffer;
  readonly entry: Entry;
}

/** Null: nobody noted any, which is so of an earlier version. */
export function readMounts(catalog: Catalog): NotedMounts | null {
  const text = catalog.meta.notes[note];
  if (text === undefined) return null;
  const parsed = shape.safeParse(JSON.parse(text));
  return new Map(parsed.success ? Object.entries(parsed.data) : []);
}

/** Of very many, as many as there is room for. Throws CatalogError. */
export function noteMounts(catalog: Catalog, mounts: NotedMounts): void {
  const rows: [string, Identity][] = [];
  let bytes = 0;
  for (const row of mounts) {
    bytes += Buffer.byteLength(JSON.stringify(row));
    if (bytes > noteBytesMax) break;
    rows.push(row);
  }
  const text = JSON.stringify(Object.fromEntries(rows));
  const { notes } = catalog.meta;
  if (notes[note] !== text) catalog.setMeta({ notes: { ...notes, [note]: text } });
}

/** Folders that the catalog knows, and at which something is mounted now. `root`: absolute, without links. */
export function mountedNow(
  root: string,
  catalog: Catalog,
  includes: (path: Buffer) => boolean,
): ReadonlyMap<string, MountedFolder> {
  const from = root.endsWith('/') ? root.length : root.length + 1;
  const found = new Map<string, MountedFolder>();
  for (const at of mountedBeneath(root)) {
    const path = Buffer.from(at.slice(from));
    const entry = includes(path) ? catalog.byPath(path) : null;
    if (entry?.attributes.kind === 'folder') found.set(path.toString('latin1'), { path, entry });
  }
  return found;
}

/** Of what is mounted at a folder of the tree. Throws OsError. */
export function identityAt(tree: Tree, path: Buffer): Identity {
  const mounted = tree.within(path);
  try {
    return identityOf(mounted);
  } finally {
    mounted.close();
  }
}
