/**
 * What somebody changed in a target's folder although nobody should: disk and catalog compared by names and metadata, in
 * slices. A change is told at most once, and only so many are named; the count goes on.
 */

import { setImmediate } from 'node:timers/promises';
import type { Catalog, Entry } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { ChildStat } from '../../os/types.ts';
import type { Foreign, TargetSelection } from './types.ts';
import { hasRoomFor } from './room-for-names.ts';
import { childrenThere } from './there.ts';

const sliceMs = 8;
const searchShare = 20;
const timerMsMax = 2 ** 31 - 1;
const childrenMax = 10_000;
const foreignNamedMax = 10_000;

export interface ForeignSearch {
  readonly count: number;
  /** The first ones. */
  readonly named: readonly Foreign[];
}

/** Again and again, the first time after `firstMs`, at most a twentieth of the time. Answers how to end it. */
export function searchEvery(periodMs: number, firstMs: number, search: () => Promise<void>): () => void {
  let timer: NodeJS.Timeout | null = null;
  let over = false;
  const after = (inMs: number): void => {
    timer = setTimeout(
      () => {
        const begunMs = performance.now();
        void search().finally(() => {
          const tookMs = performance.now() - begunMs;
          if (!over) after(Math.max(periodMs, tookMs * (searchShare - 1)));
        });
      },
      Math.min(timerMsMax, inMs),
    ).unref();
  };
  after(firstMs);
  return () => {
    over = true;
    if (timer !== null) clearTimeout(timer);
  };
}

export interface Searched {
  readonly tree: Tree;
  /** Of the staging folder. */
  readonly stage: Tree;
  readonly catalog: Catalog;
  readonly selection: TargetSelection;
}

/** `until`: true ends the search early, with what it has. Throws what the disk says. */
export async function searchForeign(
  { tree, stage, catalog, selection }: Searched,
  until: () => boolean,
  namedMax = foreignNamedMax,
): Promise<ForeignSearch> {
  const named: Foreign[] = [];
  let count = 0;
  const found = (path: Buffer, kind: Foreign['kind']): void => {
    count += 1;
    if (named.length < namedMax) named.push({ path, kind });
  };
  /** `id` null: the folder is not in the catalog, and nothing beneath it is. */
  const folders: { path: Buffer; id: number | null }[] = [{ path: Buffer.alloc(0), id: 1 }];
  let sliceEnd = performance.now() + sliceMs;
  for (let folder = folders.pop(); folder !== undefined && !until(); folder = folders.pop()) {
    const known = folder.id === null ? new Map<string, Entry>() : childrenOf(catalog, folder.id);
    for (const { name, stat } of childrenThere(tree, folder.path)) {
      const path = folder.path.length === 0 ? name : Buffer.concat([folder.path, slash, name]);
      const key = name.toString('latin1');
      const entry = known.get(key);
      known.delete(key);
      if (stat.kind === 'socket' || !selection.includes(path)) continue;
      if (entry === undefined) {
        found(path, 'extra');
        if (stat.kind === 'folder') folders.push({ path, id: null });
        continue;
      }
      if (relinked(entry, stat)) {
        catalog.recordLocal(entry.id, stat);
      } else if (catalog.differs(entry, stat)) {
        const contents =
          stat.kind !== entry.attributes.kind || (stat.kind === 'file' && touched(entry, stat));
        found(path, contents ? 'contents' : 'metadata');
      }
      const wasFolder = entry.attributes.kind === 'folder';
      if (wasFolder || stat.kind === 'folder') folders.push({ path, id: wasFolder ? entry.id : null });
    }
    for (const entry of known.values()) {
      const path = folder.path.length === 0 ? entry.name : Buffer.concat([folder.path, slash, entry.name]);
      // What the file system has no place for was left out.
      if (!hasRoomFor(tree, stage, path)) continue;
      found(path, 'missing');
      if (entry.attributes.kind === 'folder') folders.push({ path, id: entry.id });
    }
    if (performance.now() < sliceEnd) continue;
    await setImmediate();
    sliceEnd = performance.now() + sliceMs;
  }
  return { count, named };
}

/** As a batch or a comparison recorded it. */
export function isUntouched(catalog: Catalog, entry: Entry, stat: ChildStat['stat']): boolean {
  return !catalog.differs(entry, stat) || relinked(entry, stat);
}

/** Others wrote it, as far as metadata tell: owner and mode alone are not contents. */
export function isWritten(entry: Entry, stat: ChildStat['stat']): boolean {
  const { attributes, ctimeS, ctimeNs } = entry;
  // Numbers of some file systems are others after each mount; without a change there is nothing to find.
  if (stat.ctimeS === ctimeS && stat.ctimeNs === ctimeNs) return false;
  if (stat.kind !== attributes.kind) return true;
  return (stat.kind === 'file' || stat.kind === 'link') && touched(entry, stat);
}

const slash = Buffer.from('/');

/** Another name of the file came or went by a batch: that changed its number of names, and with it the time of change. */
function relinked({ attributes, inode, nlink }: Entry, stat: ChildStat['stat']): boolean {
  if (attributes.kind !== 'file' || nlink === stat.nlink || inode !== stat.inode) return false;
  const { mode, uid, gid, size, mtimeS, mtimeNs } = attributes;
  const sameOwner = mode === stat.mode && uid === stat.uid && gid === stat.gid;
  return sameOwner && size === stat.size && mtimeS === stat.mtimeS && mtimeNs === stat.mtimeNs;
}

function touched(
  { attributes, inode }: Entry,
  { size, mtimeS, mtimeNs, inode: own }: ChildStat['stat'],
): boolean {
  return (
    size !== attributes.size ||
    mtimeS !== attributes.mtimeS ||
    mtimeNs !== attributes.mtimeNs ||
    inode !== own
  );
}

/** By name (latin1). */
export function childrenOf(catalog: Catalog, id: number): Map<string, Entry> {
  const children = new Map<string, Entry>();
  let after: Buffer | null = null;
  for (;;) {
    const some = catalog.children(id, after, childrenMax);
    for (const entry of some) {
      children.set(entry.name.toString('latin1'), entry);
      after = entry.name;
    }
    if (some.length < childrenMax) return children;
  }
}
