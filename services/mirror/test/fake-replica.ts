/**
 * A target in memory: the state of a copy at one number, brought to the present by what a catalog says changed since. It
 * does what a batch does: what moved or is gone leaves its place, the deepest first; then what moved is placed, and what is
 * new or differs is put.
 */
import { contentsDiffer } from '../src/catalog/catalog.ts';
import type { Catalog, Change } from '../src/catalog/types.ts';
import type { FakeDisk } from './fake-disk.ts';

export interface Copied {
  readonly kind: string;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly version: number;
}

/** By path. */
export type Replica = Map<string, Copied>;

export function present(disk: FakeDisk): Replica {
  const replica: Replica = new Map();
  for (const path of ['', ...disk.paths()]) {
    const copied = copyOf(disk, path);
    if (copied !== null) replica.set(path, copied);
  }
  return replica;
}

/** The copy at `since`, with everything that changed since. */
export function caughtUp(old: Replica, since: number, catalog: Catalog, disk: FakeDisk): Replica {
  const replica = new Map(old);
  const changes = allChanges(catalog, since);
  const moved: { readonly from: string; readonly to: string; taken: Replica }[] = [];
  for (const change of changes) {
    if (change.kind !== 'entry' || change.entry.placed <= since) continue;
    const from = catalog.pathAt(change.id, since)?.toString();
    const to = catalog.pathOf(change.id)?.toString();
    if (from !== undefined && to !== undefined) moved.push({ from, to, taken: new Map() });
  }
  // Deepest first: what leaves a folder, or is removed in it, before the folder itself does.
  const leaving: { readonly from: string; taken: Replica }[] = [...moved];
  for (const change of changes) {
    const path = change.kind === 'gone' ? catalog.pathAt(change.id, since)?.toString() : undefined;
    if (path !== undefined) leaving.push({ from: path, taken: new Map() });
  }
  leaving.sort((a, b) => depth(b.from) - depth(a.from));
  for (const one of leaving) one.taken = taken(replica, one.from);
  moved.sort((a, b) => depth(a.to) - depth(b.to));
  for (const { to, taken: subtree } of moved) {
    for (const [path, copied] of subtree) replica.set(path === '' ? to : `${to}/${path}`, copied);
  }
  for (const change of changes) {
    if (change.kind !== 'entry') continue;
    const path = catalog.pathOf(change.id)?.toString() ?? '?';
    const now = copyOf(disk, path);
    if (now === null) throw new Error(`${path} is not on disk`);
    const before = replica.get(path);
    const whole = catalog.pathAt(change.id, since) === null || before === undefined;
    const version = whole || contentsDiffer(change.entry, since) ? now.version : before.version;
    replica.set(path, { ...now, version });
  }
  return replica;
}

/** In slices, to try that as well. */
export function allChanges(catalog: Catalog, since: number): Change[] {
  const all: Change[] = [];
  let slice = catalog.changesSince(since, 3);
  while (slice.length > 0) {
    all.push(...slice);
    const last = slice[slice.length - 1];
    slice = last === undefined ? [] : catalog.changesSince(last.sequence, 3, last.id);
  }
  return all;
}

function taken(replica: Replica, from: string): Replica {
  const subtree: Replica = new Map();
  for (const [path, copied] of replica) {
    if (path !== from && !path.startsWith(`${from}/`)) continue;
    subtree.set(path.slice(from.length + 1), copied);
    replica.delete(path);
  }
  return subtree;
}

function copyOf(disk: FakeDisk, path: string): Copied | null {
  const node = disk.node(path);
  if (node === null) return null;
  const { kind, mode, mtimeMs } = node;
  return { kind, mode, mtimeMs, version: kind === 'folder' ? 0 : node.version };
}

function depth(path: string): number {
  return path.split('/').length;
}
