/**
 * Compares a whole tree, or a part of it, with the catalog, and observes what differs. It is the truth behind every change
 * feed: only a scan sees what happened while nobody watched.
 *
 * K1. Folders before what is in them, so that every entry has its place. What is not in its folder any more is looked at
 *     last, because it may have been found elsewhere by then (a move).
 * K2. Slices of `sliceMs` between turns of the event loop, each one transaction. Listing one folder is not divided.
 * K3. Where it pays, folders are looked through by worker threads that only read. What they find different is looked at
 *     again here, so that nothing is decided by what a thread saw a moment ago.
 * K4. Folders that wait are kept by id, the innermost go first: memory grows with the width of the tree, not with its files.
 * K5. What can't be looked at stays as it is known, with all that is in it, and holds up nothing else but where it is the root.
 *     So does what was seen at a place of which it is not believed.
 * K6. Others observe paths between two slices. What a folder held when it was listed may be older than what they saw, and
 *     would undo it: from then on, what differs is looked at anew, where that folder is now.
 */
import { setImmediate } from 'node:timers/promises';
import type { Tree } from '../os/tree.ts';
import { type ChildStat, type EntryKind, OsError, type Stat } from '../os/types.ts';
import { isTooLong } from '../transport/path.ts';
import { pathIn } from './place.ts';
import { ScanThreads } from './scan-threads.ts';
import { type Catalog, rootId } from './types.ts';

const sliceMsDefault = 10;
/** Fewer entries are not worth the start of threads. */
const threadsFrom = 20_000;
/** Folders that a thread is given at once. */
const batchFolders = 32;
const unreadableMax = 100;
/** Entries between two looks at the clock. */
const stride = 64;
const slash = Buffer.from('/');

/** Places of which what is seen need not be what belongs there (files/source/mount-points.ts). */
export interface Doubts {
  /** Whether this very path may be one. */
  has(path: Buffer): boolean;
  /** Why what was seen there a moment ago is not believed; null: it is. */
  of(path: Buffer): string | null;
}

const noDoubts: Doubts = { has: () => false, of: () => null };

export interface ScanOptions {
  readonly tree: Pick<Tree, 'root' | 'stat' | 'statChildren' | 'readFolder'>;
  readonly catalog: Catalog;
  /** Relative to the root. False: neither it nor anything in it is part of the mirror. */
  readonly includes: (path: Buffer, kind: EntryKind) => boolean;
  /** Default: everything is believed. */
  readonly doubts?: Doubts;
  /** Where to begin; the folders above it are in the catalog. Default: the root, which is empty. */
  readonly from?: Buffer;
  /** Worker threads. Default: 2 where the catalog holds many entries, else none. */
  readonly threads?: 0 | 1 | 2;
  readonly sliceMs?: number;
  readonly signal?: AbortSignal;
}

export interface Scanned {
  /** False: it was stopped by the signal; the tree was not seen as a whole. */
  readonly complete: boolean;
  /** Entries that were looked at. */
  readonly entries: number;
  /** Entries that are new, changed, moved or gone. */
  readonly different: number;
  /** K5: at most 100. */
  readonly unreadable: readonly Unreadable[];
  /** Entries that are left out because their names or paths are too long, and one of them. */
  readonly tooLong: { readonly count: number; readonly first: Buffer | null };
}

interface Unreadable {
  readonly path: Buffer;
  readonly why: string;
}

/** A folder that is being compared. */
interface Listed {
  readonly id: number;
  readonly prefix: Buffer;
  readonly children: readonly ChildStat[];
  /** Names (latin1) of those that could not be looked at (K5). */
  readonly unread: Set<string>;
  readonly lookedAtMs: number;
  next: number;
  /** Of those before `next`: they are live in the catalog. */
  included: number;
  /** K6. */
  isOld: boolean;
}

/** One path. */
interface Looked {
  readonly id: number;
  /** As it was known. */
  readonly isSame: boolean;
  readonly isFolder: boolean;
}

/** Throws OsError when the root can't be looked at. What is gone still has to be swept (C4 of types.ts). */
export async function scan(options: ScanOptions): Promise<Scanned> {
  const { catalog, tree } = options;
  const whole = options.from === undefined || options.from.length === 0;
  const threads = options.threads ?? (whole && catalog.entries >= threadsFrom ? 2 : 0);
  const pool = threads === 0 ? null : new ScanThreads({ dir: catalog.dir, root: tree.root, threads });
  try {
    return await new Scan(options, pool).run();
  } finally {
    await pool?.close();
  }
}

class Scan {
  readonly #options: ScanOptions;
  readonly #doubts: Doubts;
  readonly #threads: ScanThreads | null;
  /** To be looked through, and to be looked through here (K3). */
  readonly #folders: number[] = [];
  readonly #different: number[] = [];
  readonly #missing: number[] = [];
  readonly #unreadable: Unreadable[] = [];
  #listed: Listed | null = null;
  #tooLong: Scanned['tooLong'] = { count: 0, first: null };
  #entries = 0;
  #differences = 0;
  /** K6: at the end of the last slice. */
  #observations = 0;

  constructor(options: ScanOptions, threads: ScanThreads | null) {
    this.#options = options;
    this.#doubts = options.doubts ?? noDoubts;
    this.#threads = threads;
  }

  async run(): Promise<Scanned> {
    this.#look(this.#options.from ?? Buffer.alloc(0));
    let complete = true;
    for (let more = true; more && complete;) {
      more = this.#threads === null ? this.#slice(this.#folders) : await this.#threaded(this.#threads);
      await setImmediate();
      complete = this.#options.signal?.aborted !== true;
    }
    return {
      complete,
      entries: this.#entries,
      different: this.#differences,
      unreadable: this.#unreadable,
      tooLong: this.#tooLong,
    };
  }

  /** K3. False when nothing is left. */
  async #threaded(threads: ScanThreads): Promise<boolean> {
    while (threads.free > 0 && this.#folders.length > 0) threads.give(this.#folders.splice(-batchFolders));
    if (this.#slice(this.#different)) return true;
    if (threads.busy === 0) return this.#folders.length > 0;
    const answer = await threads.answer();
    this.#entries += answer.entries;
    for (const id of answer.folders) this.#folders.push(id);
    for (const id of answer.different) this.#different.push(id);
    return true;
  }

  /** K2. False when nothing is left that could be done here; what is missing waits for all folders (K1). */
  #slice(folders: number[]): boolean {
    const { catalog, sliceMs = sliceMsDefault } = this.#options;
    const until = performance.now() + sliceMs;
    if (this.#listed !== null && catalog.observations !== this.#observations) this.#listed.isOld = true;
    const more = catalog.write(() => {
      while (performance.now() < until) {
        if (this.#listed !== null) {
          this.#compare(this.#listed, until);
          continue;
        }
        const id = folders.pop();
        if (id !== undefined) {
          this.#list(id);
          continue;
        }
        if (this.#folders.length > 0 || (this.#threads?.busy ?? 0) > 0) return false;
        const missing = this.#missing.pop();
        if (missing === undefined) return false;
        const path = catalog.pathOf(missing);
        if (path !== null) this.#look(path);
      }
      return true;
    });
    this.#observations = catalog.observations;
    return more;
  }

  #list(id: number): void {
    const { catalog } = this.#options;
    const path = catalog.pathOf(id);
    if (path === null) return;
    const lookedAtMs = Date.now();
    try {
      const prefix = path.length === 0 ? path : Buffer.concat([path, slash]);
      const children = this.#childrenOf(path);
      if (this.#isDoubted(path)) return;
      this.#listed = { id, prefix, lookedAtMs, next: 0, included: 0, isOld: false, ...children };
    } catch (error) {
      if (isGone(error)) this.#missing.push(id);
      else this.#leave(path, error);
    }
  }

  #childrenOf(folder: Buffer): Pick<Listed, 'children' | 'unread'> {
    try {
      return { children: this.#options.tree.statChildren(folder), unread: new Set() };
    } catch (error) {
      if (!(error instanceof OsError) || isGone(error)) throw error;
      return this.#oneByOne(folder);
    }
  }

  /** K5: one of them refuses to be looked at, or all of the folder does. */
  #oneByOne(folder: Buffer): Pick<Listed, 'children' | 'unread'> {
    const { tree, includes } = this.#options;
    const children: ChildStat[] = [];
    const unread = new Set<string>();
    for (const { name } of tree.readFolder(folder)) {
      const path = pathIn(folder, name);
      try {
        const stat = tree.stat(path);
        if (stat !== null) children.push({ name, stat });
      } catch (error) {
        if (error instanceof OsError && !includes(path, 'folder')) continue;
        this.#leave(path, error);
        unread.add(name.toString('latin1'));
      }
    }
    return { children, unread };
  }

  /** K5. Throws what is no refusal of the disk, and what concerns the root. */
  #leave(path: Buffer, error: unknown): void {
    if (!(error instanceof OsError) || path.length === 0) throw error;
    this.#leftAsKnown(path, String(error));
  }

  /** K5. Asked after the look. */
  #isDoubted(path: Buffer): boolean {
    const why = this.#doubts.of(path);
    if (why !== null) this.#leftAsKnown(path, why);
    return why !== null;
  }

  #leftAsKnown(path: Buffer, why: string): void {
    if (this.#unreadable.length < unreadableMax) this.#unreadable.push({ path, why });
  }

  #compare(listed: Listed, until: number): void {
    const { catalog, includes } = this.#options;
    for (; listed.next < listed.children.length; listed.next += 1) {
      if (listed.next % stride === 0 && performance.now() >= until) {
        return;
      }
      const child = listed.children[listed.next];
      if (child === undefined) break;
      const { name, stat } = child;
      const path = Buffer.concat([listed.prefix, name]);
      if (stat.kind === 'socket' || !includes(path, stat.kind)) {
        if (isTooLong(path)) this.#leaveOut(path);
        continue;
      }
      if (this.#doubts.has(path) && this.#isDoubted(path)) {
        listed.unread.add(name.toString('latin1'));
        continue;
      }
      if (listed.isOld && !catalog.isKnown(listed.id, name, stat)) {
        this.#lookAnew(listed, name);
        continue;
      }
      this.#entries += 1;
      const observed = catalog.observeChild(listed.id, name, stat, listed.lookedAtMs);
      if (observed.kind === 'no-parent' || observed.kind === 'absent') continue;
      listed.included += 1;
      if (observed.kind !== 'same') this.#differences += 1;
      if (stat.kind === 'folder') this.#folders.push(observed.id);
    }
    this.#listed = null;
    this.#findMissing(listed);
  }

  #leaveOut(path: Buffer): void {
    this.#tooLong = { count: this.#tooLong.count + 1, first: this.#tooLong.first ?? path };
  }

  /** K1. */
  #findMissing(listed: Listed): void {
    const { catalog, includes } = this.#options;
    const counts = !listed.isOld && listed.unread.size === 0;
    if (counts && catalog.countIn(listed.id) <= listed.included) return;
    const names = new Set(listed.unread);
    for (const { name, stat } of listed.children) {
      const path = Buffer.concat([listed.prefix, name]);
      if (stat.kind !== 'socket' && includes(path, stat.kind)) names.add(name.toString('latin1'));
    }
    let known = catalog.children(listed.id);
    while (known.length > 0) {
      for (const { id, name } of known) if (!names.has(name.toString('latin1'))) this.#missing.push(id);
      known = catalog.children(listed.id, known.at(-1)?.name ?? null);
    }
  }

  /** One path; a folder is looked through afterwards. */
  #look(path: Buffer): void {
    const looked = this.#lookAt(path);
    // What is missing in its folder was looked through already, unless it came back meanwhile.
    if (looked === null || !looked.isFolder) return;
    const known = looked.isSame && looked.id !== rootId && path !== this.#options.from;
    if (!known) this.#folders.push(looked.id);
  }

  /** K6. */
  #lookAnew(listed: Listed, name: Buffer): void {
    const folder = this.#options.catalog.pathOf(listed.id);
    if (folder === null) return;
    const looked = this.#lookAt(pathIn(folder, name));
    if (looked?.isFolder === true) this.#folders.push(looked.id);
  }

  /** Null: nothing is there and nothing was known there, or it stays as it is known (K5). */
  #lookAt(path: Buffer): Looked | null {
    const { catalog, tree, includes } = this.#options;
    const lookedAtMs = Date.now();
    let there: Stat | null;
    try {
      there = tree.stat(path);
    } catch (error) {
      this.#leave(path, error);
      return null;
    }
    if (this.#isDoubted(path)) return null;
    const stat = there === null || there.kind === 'socket' || !includes(path, there.kind) ? null : there;
    const observed = catalog.observe(path, stat, lookedAtMs);
    if (observed.kind === 'no-parent' || observed.kind === 'absent') return null;
    if (observed.kind !== 'same') this.#differences += 1;
    return { id: observed.id, isSame: observed.kind === 'same', isFolder: stat?.kind === 'folder' };
  }
}

/** Of a folder that was there a moment ago. */
function isGone(error: unknown): boolean {
  return (
    error instanceof OsError &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP')
  );
}
