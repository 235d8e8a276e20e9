/**
 * The file systems that are mounted beneath a source's root. One that is not mounted leaves an empty folder in its place, which
 * looks as if everything in it had been deleted; root-identity.ts says the same of the root itself.
 *
 * Invariants:
 * M1  Each that a walk sees is noted in the catalog before that walk counts: an end of the process, or of the host, forgets none.
 * M2  Nothing that is seen at such a place, or beneath it, is believed while nothing is mounted there any more; nor while something
 *     else is, in which more than half of what the catalog knows is missing or other. What was known stays so.
 * M3  Whether it is still the one of the last review is asked after each look: it may go at any moment. So is where it is: a
 *     folder that it is in may move.
 * M4  A person may say that it is meant so; nothing else does.
 */

import { setImmediate } from 'node:timers/promises';
import type { Doubts } from '../../catalog/scan.ts';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import { OsError } from '../../os/types.ts';
import { identityAt, mountedNow, noteMounts, readMounts, type MountedFolder } from '../mounts-noted.ts';
import { type Identity, isSameFolder, sample } from '../root-identity.ts';
import { isBeneath } from './path.ts';
import type { SourceSelection } from './types.ts';

export interface MountPointsOptions {
  /** Absolute, without links. */
  readonly root: string;
  /** Of the mirror. */
  readonly name: string;
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: SourceSelection;
}

interface Point {
  /** Of its folder in the catalog. */
  readonly id: number;
  /** Where that was last. */
  path: Buffer;
  /** What is noted; null: it is not, and nothing of it is believed. */
  readonly identity: Identity | null;
  /** M2; empty: it is believed. */
  doubt: string;
}

/** What was seen at a path is not believed; the message says why. */
export class Doubted extends Error {
  readonly code = 'ENODEV';
}

export class MountPoints implements Doubts {
  readonly #options: MountPointsOptions;
  /** By path, latin1. */
  #points: ReadonlyMap<string, Point> = new Map();
  /** How often a person said that it is meant so. */
  #accepted = 0;

  constructor(options: MountPointsOptions) {
    this.#options = options;
  }

  /** M2: of one of them; empty: everything is believed. */
  get doubt(): string {
    for (const { doubt } of this.#points.values()) if (doubt !== '') return doubt;
    return '';
  }

  has(path: Buffer): boolean {
    for (const point of this.#points.values())
      if (haveOneName(path, point.path) && this.#placeOf(point).equals(path)) return true;
    return false;
  }

  /** M3. */
  of(path: Buffer): string | null {
    for (const point of this.#points.values()) {
      if (!isBeneath(path, this.#placeOf(point))) continue;
      if (point.doubt === '') point.doubt = this.#goneSince(point);
      if (point.doubt !== '') return point.doubt;
    }
    return null;
  }

  /** M3. Throws Doubted. */
  check(path: Buffer): void {
    const why = this.of(path);
    if (why !== null) throw new Doubted(why);
  }

  /** M1: looks what is mounted, and notes it. Throws CatalogError. */
  async review(): Promise<void> {
    for (let accepted = -1; accepted !== this.#accepted;) {
      accepted = this.#accepted;
      const points = await this.#reviewed();
      if (accepted === this.#accepted) this.#keep(points);
    }
  }

  /** M4. False: nothing was in doubt. Throws CatalogError, and OsError. */
  accept(): boolean {
    if (this.doubt === '') return false;
    const { root, catalog, selection, tree } = this.#options;
    const mounted = mountedNow(root, catalog, (path) => selection.includes(path));
    const points = new Map<string, Point>();
    for (const point of this.#points.values()) {
      const key = this.#placeOf(point).toString('latin1');
      if (point.doubt === '') points.set(key, point);
      else if (mounted.has(key))
        points.set(key, { ...point, identity: identityAt(tree, point.path), doubt: '' });
    }
    this.#accepted += 1;
    this.#keep(points);
    return true;
  }

  async #reviewed(): Promise<Map<string, Point>> {
    const { root, catalog, selection } = this.#options;
    const noted = readMounts(catalog) ?? (await this.#ofEarlierVersion());
    const points = new Map<string, Point>();
    for (const [key, mounted] of mountedNow(root, catalog, (path) => selection.includes(path)))
      points.set(key, await this.#mounted(mounted, noted.get(key) ?? null));
    for (const [key, identity] of noted) {
      if (points.has(key)) continue;
      const path = Buffer.from(key, 'latin1');
      const entry = catalog.byPath(path);
      // Of what is not known nothing can be lost.
      if (entry === null || !selection.includes(path) || catalog.countIn(entry.id) === 0) continue;
      points.set(key, { id: entry.id, path, identity, doubt: this.#notMounted(path) });
    }
    return points;
  }

  /** An earlier version noted of each entry whether it is on another file system than the root, and nothing else. */
  async #ofEarlierVersion(): Promise<Map<string, Identity>> {
    const found = new Map<string, Identity>();
    for (const entries of this.#options.catalog.otherFileSystems()) {
      for (const { id, inode } of entries) {
        const path = this.#options.catalog.pathOf(id);
        if (path !== null) found.set(path.toString('latin1'), { inode, device: 0, fileSystem: '' });
      }
      await setImmediate();
    }
    return found;
  }

  async #mounted({ path, entry }: MountedFolder, before: Identity | null): Promise<Point> {
    const { tree, catalog } = this.#options;
    const { id } = entry;
    try {
      const identity = identityAt(tree, path);
      if (before !== null && isSameFolder(before, identity)) return { id, path, identity, doubt: '' };
      const { looked, other } = await sample(tree, catalog, { id, path });
      if (other * 2 <= looked) return { id, path, identity, doubt: '' };
      return { id, path, identity: before, doubt: this.#another(path, looked, other) };
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      const doubt = `what is mounted at ${shown(path)} can't be read: ${String(error)}`;
      return { id, path, identity: before, doubt };
    }
  }

  #keep(points: ReadonlyMap<string, Point>): void {
    const noted = new Map<string, Identity>();
    for (const [key, { identity }] of points) if (identity !== null) noted.set(key, identity);
    noteMounts(this.#options.catalog, noted);
    this.#points = points;
  }

  /** M3. */
  #placeOf(point: Point): Buffer {
    const now = this.#options.catalog.pathOf(point.id);
    if (now === null || now.equals(point.path)) return point.path;
    point.path = now;
    point.doubt = this.#goneSince(point);
    return now;
  }

  /** Empty: it is the one that it was. */
  #goneSince({ path, identity }: Point): string {
    try {
      const stat = this.#options.tree.stat(path);
      const isIt = stat !== null && stat.inode === identity?.inode && stat.dev === identity.device;
      return isIt ? '' : this.#notMounted(path);
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return `what is mounted at ${shown(path)} can't be read: ${String(error)}`;
    }
  }

  #notMounted(path: Buffer): string {
    return (
      `what was mounted at ${shown(path)} is not mounted there now, and nothing of it is taken for deleted. Mount it. Only if ` +
      `that is meant to stay so: holdfast mirror resync ${this.#options.name} goes on with what is there`
    );
  }

  #another(path: Buffer, looked: number, other: number): string {
    return (
      `what is mounted at ${shown(path)} is not what was there: of ${String(looked)} entries that were looked at ` +
      `${String(other)} are missing or other. Is it the right disk? Mount that. Only if it was replaced on purpose: holdfast ` +
      `mirror resync ${this.#options.name} goes on with it as it is`
    );
  }
}

/** Of its last folder's name, which is compared for every entry that is looked at. */
function haveOneName(a: Buffer, b: Buffer): boolean {
  return a.subarray(a.lastIndexOf(0x2f) + 1).equals(b.subarray(b.lastIndexOf(0x2f) + 1));
}

const shown = (path: Buffer): string => JSON.stringify(path.toString());
