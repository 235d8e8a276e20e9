/**
 * Whether a mirror's root is still the folder that the catalog tells of. A disk that is not mounted leaves an empty folder in
 * its place, which looks as if everything had been deleted: nothing is sent from there, and nothing is copied into it.
 *
 * Invariants:
 * D1  The identity is of the folder and its file system, and is noted in the catalog. One that changed is not refused by
 *     itself: numbers of devices change with a boot, and a disk may be replaced by its copy.
 * D2  It is refused when, besides, more than half of what the catalog knows is missing or other. A person may confirm that
 *     it is meant so; nothing else does.
 */

import { setImmediate } from 'node:timers/promises';
import * as z from 'zod';
import { rootId, type Catalog, type Entry } from '../catalog/types.ts';
import { Tree } from '../os/tree.ts';
import { OsError } from '../os/types.ts';

const note = 'root';
const sampleMax = 5_000;
const childrenMax = 1_000;
const sliceMs = 8;
const root = Buffer.alloc(0);
const slash = Buffer.from('/');

export const identityShape = z.object({ inode: z.number(), device: z.number(), fileSystem: z.string() });
export type Identity = z.output<typeof identityShape>;
/** With the path by which it was reached; absent: an earlier version noted it. */
const notedShape = identityShape.extend({ path: z.string().optional() });

/**
 * Null: it is the root that the catalog knows, and is noted. Else why not, and what to do; `resync` is what to call that with.
 * Throws what the disk says.
 */
export async function rootRefused(tree: Tree, catalog: Catalog, resync: string): Promise<string | null> {
  const now = identityOf(tree);
  const before = noted(catalog);
  const path = tree.root.toString();
  if (before !== null && !isSameFolder(before, now)) {
    const { looked, other } = await sample(tree, catalog);
    if (other * 2 > looked)
      return `${otherSays(path, before.path ?? path, looked, other)}: ${goesOn(resync)}`;
  } else if (before?.path === path) return null;
  noteRoot(tree, catalog);
  return null;
}

/** Where the root was when it was noted last; null: nobody knows. */
export const notedPath = (catalog: Catalog): string | null => noted(catalog)?.path ?? null;

/** D2: a person says that the mirror goes on with this folder as it is. */
export function noteRoot(tree: Tree, catalog: Catalog): void {
  const { notes } = catalog.meta;
  const text = JSON.stringify({ ...identityOf(tree), path: tree.root.toString() });
  catalog.setMeta({ notes: { ...notes, [note]: text } });
}

/** Empty while a path leads to the folder that the tree was opened as. */
export function rootLost(path: string, tree: Tree): string {
  const lost = `${path} is not the folder any more that it was: a disk was unmounted or mounted there, or it was replaced`;
  try {
    const there = Tree.open(path);
    try {
      const [a, b] = [there.stat(root), tree.stat(root)];
      return a?.inode === b?.inode && a?.dev === b?.dev ? '' : lost;
    } finally {
      there.close();
    }
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    return error.code === 'ENOENT' || error.code === 'ENOTDIR' ? lost : '';
  }
}

/** Of a tree's root. Throws OsError. */
export function identityOf(tree: Tree): Identity {
  const stat = tree.stat(root);
  if (stat === null) throw new OsError('ENOENT', 'stat', tree.root);
  return { inode: stat.inode, device: stat.dev, fileSystem: tree.fileSystem() };
}

export const isSameFolder = (a: Identity, b: Identity): boolean =>
  a.inode === b.inode && a.device === b.device && a.fileSystem === b.fileSystem;

function noted(catalog: Catalog): z.output<typeof notedShape> | null {
  const text = catalog.meta.notes[note];
  if (text === undefined) return null;
  const parsed = notedShape.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}

function otherSays(path: string, before: string, looked: number, other: number): string {
  const found = `of ${String(looked)} entries that were looked at ${String(other)} are missing or other`;
  return path === before
    ? `${path} is not the folder that was mirrored: it is on another disk or was made anew, and ${found}. Is its disk ` +
        `mounted? Mount it. Only if it was replaced on purpose`
    : `${path} is not the folder that was mirrored, which was ${before}, and ${found}. Move them there, or write the former ` +
        `root again. Only if the root was changed for other files`;
}

const goesOn = (resync: string): string => `holdfast mirror resync ${resync} goes on with it as it is`;

interface Known {
  readonly id: number;
  readonly path: Buffer;
}

/** Of the entries nearest to a folder: how many are missing, or other than the catalog says. Throws OsError. */
export async function sample(
  tree: Tree,
  catalog: Catalog,
  top: Known = { id: rootId, path: root },
): Promise<{ looked: number; other: number }> {
  let [looked, other] = [0, 0];
  let sliceEnd = performance.now() + sliceMs;
  const folders = [top];
  for (let at = 0; at < folders.length && looked < sampleMax; at += 1) {
    const folder = folders[at];
    if (folder === undefined) break;
    for (const entry of catalog.children(folder.id, null, childrenMax)) {
      const path = folder.path.length === 0 ? entry.name : Buffer.concat([folder.path, slash, entry.name]);
      looked += 1;
      if (isOther(tree, path, entry)) other += 1;
      if (entry.attributes.kind === 'folder' && folders.length < sampleMax)
        folders.push({ id: entry.id, path });
    }
    if (performance.now() < sliceEnd) continue;
    await setImmediate();
    sliceEnd = performance.now() + sliceMs;
  }
  return { looked, other };
}

function isOther(tree: Tree, path: Buffer, { attributes }: Entry): boolean {
  const stat = tree.stat(path);
  if (stat?.kind !== attributes.kind) return true;
  if (stat.kind !== 'file') return false;
  const { size, mtimeS, mtimeNs } = attributes;
  return stat.size !== size || stat.mtimeS !== mtimeS || stat.mtimeNs !== mtimeNs;
}
