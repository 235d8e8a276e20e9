/**
 * Which file systems are mounted beneath a mirror's root, and which ones its catalog remembers: by the path of the folder that
 * each is mounted at, with its identity.
 *
 * N1  What was mounted in a folder that moved since is remembered where the catalog has it now.
 */

import * as z from 'zod';
import type { Catalog, Entry } from '../catalog/types.ts';
import { mountedBeneath } from '../os/mounts.ts';
import type { Tree } from '../os/tree.ts';
import { type Identity, identityOf, identityShape } from './root-identity.ts';

const note = 'mounts';
/** A note of a catalog takes 64 KiB. */
const noteBytesMax = 60_000;
/** `entry`: the folder's id in the catalog; absent where an earlier version noted it. */
const shape = z.record(z.string(), identityShape.extend({ entry: z.number().optional() }));

/** By the path, latin1. */
export type NotedMounts = ReadonlyMap<string, Identity>;

export interface MountedFolder {
  readonly path: Buffer;
  readonly entry: Entry;
}

/** Null: nobody noted any, which is so of an earlier version. */
export function readMounts(catalog: Catalog): NotedMounts | null {
  const rows = rowsOf(catalog);
  if (rows === null) return null;
  const noted = new Map<string, Identity>();
  for (const [path, { entry, ...identity }] of Object.entries(rows)) {
    const now = entry === undefined ? null : catalog.pathOf(entry); // N1
    noted.set(now?.toString('latin1') ?? path, identity);
  }
  return noted;
}

/** Of very many, as many as there is room for. Throws CatalogError. */
export function noteMounts(catalog: Catalog, mounts: NotedMounts): void {
  const before = rowsOf(catalog) ?? {};
  const rows: [string, z.output<typeof shape>[string]][] = [];
  let bytes = 0;
  for (const [path, identity] of mounts) {
    const entry = catalog.byPath(Buffer.from(path, 'latin1'))?.id ?? before[path]?.entry;
    const row = { ...identity, ...(entry === undefined ? {} : { entry }) };
    bytes += Buffer.byteLength(JSON.stringify([path, row]));
    if (bytes > noteBytesMax) break;
    rows.push([path, row]);
  }
  const text = JSON.stringify(Object.fromEntries(rows));
  const { notes } = catalog.meta;
  if (notes[note] !== text) catalog.setMeta({ notes: { ...notes, [note]: text } });
}

function rowsOf(catalog: Catalog): z.output<typeof shape> | null {
  const text = catalog.meta.notes[note];
  if (text === undefined) return null;
  const parsed = shape.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : {};
}

/** Folders that the catalog knows, and at which something is mounted now. `root`: absolute, without links. */
export function mountedNow(
  root: string,
  catalog: Catalog,
  includes: (path: Buffer) => boolean,
): ReadonlyMap<string, MountedFolder> {
  const from = Buffer.byteLength(root.endsWith('/') ? root : `${root}/`);
  const found = new Map<string, MountedFolder>();
  for (const at of mountedBeneath(root)) {
    const path = at.subarray(from);
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
