/**
 * What a batch of a first copy does, or of a comparison of everything: entries in the order of their sequence numbers,
 * while others change. The target is at no point in time of the source until the last batch.
 *
 * K1. All batches of a copy speak of the names at one moment, `end`: what moved since is sent to where it was then, so
 *     that no two batches contradict each other. What changed since is sent again by the batch that makes it consistent
 *     (plan-changes.ts), which takes all files that changed since for doubtful.
 * K2. Folders that the target may not have yet are sent along early.
 * K3. Doing it again after a break does no harm: nothing is moved, and each entry replaces what is there.
 */

import type { Catalog, Change, Entry } from '../../catalog/types.ts';
import { PlanBuilder, standIn, type BatchPlan } from './plan.ts';
import { folderOf, keyOf } from './path.ts';
import { want, type Wanted } from './plan-changes.ts';

export interface CopyOptions {
  readonly catalog: Catalog;
  /** K1. */
  readonly end: number;
  /** Keys of folders that the target has; grows. */
  readonly folders: Set<string>;
}

/** One of the entries at its place at `end`; null: it was not there then. */
export interface CopiedEntry {
  readonly path: Buffer;
  readonly entry: Entry;
}

/** The entries of some changes, as the copy has to send them. */
export function copied({ catalog, end }: CopyOptions, changes: readonly Change[]): CopiedEntry[] {
  const entries: CopiedEntry[] = [];
  for (const change of changes) {
    if (change.kind === 'gone') continue;
    const path = catalog.pathAt(change.id, end);
    if (path !== null) entries.push({ path, entry: change.entry });
  }
  return entries;
}

/**
 * `wanted`: what the target asked for, by key of the path; null: nothing was compared, and it needs everything.
 */
export function planCopy(
  options: CopyOptions,
  entries: readonly CopiedEntry[],
  wanted: ReadonlyMap<string, Wanted> | null,
): BatchPlan {
  const { catalog, end, folders } = options;
  const builder = new PlanBuilder(catalog);
  for (const { path, entry } of entries) {
    if (path.length === 0) {
      builder.set(path, entry);
      continue;
    }
    const to = anchorOf(catalog, entry, end);
    if (wanted !== null) {
      if (entry.attributes.kind === 'folder') folders.add(keyOf(path));
      const asked = wanted.get(keyOf(path));
      // A name is linked whatever was found of it: whether the names are one file, nobody compared.
      if (to === null && (asked === undefined || want(builder, asked, entry, end))) continue;
    }
    standIn(builder, folderOf(path), folders);
    if (to === null) builder.make({ kind: 'put', path, entry });
    else builder.make({ kind: 'hard-link', path, entry, to });
    if (entry.attributes.kind === 'folder') folders.add(keyOf(path));
  }
  return builder.finish((id) => catalog.pathAt(id, end));
}

/** K1: the folders that the last batch will move are there for certain. */
export function planFolders(options: CopyOptions, changes: readonly Change[]): BatchPlan {
  const builder = new PlanBuilder(options.catalog);
  for (const { path, entry } of copied(options, changes)) {
    if (entry.attributes.kind !== 'folder' || path.length === 0) continue;
    standIn(builder, folderOf(path), options.folders);
    builder.make({ kind: 'put', path, entry });
  }
  return builder.finish(() => null);
}

/** Another name of the same file that comes before this one in the copy; null: this one is the first. */
function anchorOf(catalog: Catalog, entry: Entry, end: number): Buffer | null {
  if (entry.nlink <= 1 || entry.attributes.kind === 'folder') return null;
  let first = entry;
  for (const name of catalog.linked(entry.inode)) {
    const earlier =
      name.sequence < first.sequence || (name.sequence === first.sequence && name.id < first.id);
    if (earlier && catalog.pathAt(name.id, end) !== null) first = name;
  }
  return first.id === entry.id ? null : catalog.pathAt(first.id, end);
}

/** What a target named that is not there at the source, as removals. */
export function planRemovals(catalog: Catalog, paths: readonly Buffer[]): BatchPlan {
  const builder = new PlanBuilder(catalog);
  for (const path of paths) builder.remove(path);
  return builder.finish((id) => catalog.pathOf(id));
}
