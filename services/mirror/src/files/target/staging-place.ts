/**
 * Where the staging folder of a target is: beside the root, in the folder that holds it, so that the root has nothing but
 * what is mirrored. Where that is not possible it is inside the root, and only as long as something is in it.
 *
 * Invariants:
 * P1  It is beside only where a rename from there into the root works. That is proven when it is made.
 * P2  It is never behind a symbolic link, and beside the root only when it belongs to us and to nobody else.
 * P3  What a former life left is moved, by one rename, to where it is wanted now, or used where it is. Of two the one with
 *     the later marker has what the log needs; the other goes when everything is recovered.
 * P4  The times of the root are the same before and after.
 */

import { existsSync, lstatSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { OwnRoot } from './own-root.ts';
import { besideName, insideName } from './staging-name.ts';
import { codeOf } from './trouble.ts';

export interface Marker {
  readonly number: number;
  readonly step: number;
  /** Something of the next batch may be done. */
  readonly begun?: true;
}

interface Spot {
  readonly tree: Tree;
  readonly name: Buffer;
}

/** What a file system answers where our folder can't be. */
const refusals = new Set(['EXDEV', 'EACCES', 'EPERM', 'EROFS']);
const folders = ['slots', 'gone'] as const;

export class StagingPlace {
  readonly inside: boolean;
  readonly #spot: Spot;
  readonly #leftover: Spot | null;
  readonly #keepingTimes: <T>(change: () => T) => T;
  readonly #folder: string;

  private constructor(
    own: OwnRoot,
    spot: Spot,
    leftover: Spot | null,
    keepingTimes: <T>(change: () => T) => T,
  ) {
    this.inside = spot.tree === own.tree;
    this.#spot = spot;
    this.#leftover = leftover;
    this.#keepingTimes = keepingTimes;
    this.#folder = join(this.inside ? own.tree.reached : dirname(own.root), spot.name.toString());
  }

  /** `keepingTimes` does something with the root and gives it its times again. Throws OsError. */
  static find(own: OwnRoot, name: string, keepingTimes: <T>(change: () => T) => T): StagingPlace {
    const inside: Spot = { tree: own.tree, name: Buffer.from(insideName(name)) };
    const beside: Spot | null =
      own.holder === null ? null : { tree: own.holder, name: Buffer.from(besideName(name, own.root)) };
    return keepingTimes(() => {
      if (!isStaging(inside)) inside.tree.removeAll(inside.name); // Markers of a source, or never finished.
      if (beside === null || !isTrusted(beside)) return new StagingPlace(own, inside, null, keepingTimes);
      const [wanted, other] = own.besideAllowed ? [beside, inside] : [inside, beside];
      if (!isStaging(other) && (wanted === inside || isStaging(beside) || proven(beside, inside)))
        return new StagingPlace(own, wanted, null, keepingTimes);
      if (!isStaging(other)) return new StagingPlace(own, other, null, keepingTimes);
      if (isStaging(wanted) && !isLater(markerOf(other), markerOf(wanted)))
        return new StagingPlace(own, wanted, other, keepingTimes);
      return moved(other, wanted)
        ? new StagingPlace(own, wanted, null, keepingTimes)
        : new StagingPlace(own, other, isStaging(wanted) ? wanted : null, keepingTimes);
    });
  }

  /** Absolute. */
  get folder(): string {
    return this.#folder;
  }

  /** The folder and what belongs in it, made where missing. The caller closes the tree. */
  open(): Tree {
    const { tree, name } = this.#spot;
    if (tree.stat(name) === null) {
      this.#keepingTimes(() => {
        tree.makeFolder(name, 0o700);
      });
    }
    const stage = tree.within(name);
    for (const inner of folders) {
      if (stage.stat(Buffer.from(inner)) === null) stage.makeFolder(Buffer.from(inner), 0o700);
    }
    return stage;
  }

  remove(): void {
    this.#keepingTimes(() => this.#spot.tree.removeAll(this.#spot.name));
  }

  /** P3. */
  removeLeftover(): void {
    const leftover = this.#leftover;
    if (leftover !== null) this.#keepingTimes(() => leftover.tree.removeAll(leftover.name));
  }
}

/**
 * A folder beside the root that no mount leads to from the root: what it has can't be given its place. Null: there is
 * none, or it is of another file system, as when another disk is the root now.
 */
export function outOfReach({ holder, root }: OwnRoot, name: string): string | null {
  const folder = join(dirname(root), besideName(name, root));
  if (holder !== null || !existsSync(join(folder, folders[0]))) return null;
  return lstatSync(folder).dev === lstatSync(root).dev ? folder : null;
}

/** Its first inner folder is made before anything is staged. */
function isStaging({ tree, name }: Spot): boolean {
  return tree.stat(Buffer.concat([name, Buffer.from(`/${folders[0]}`)]))?.kind === 'folder';
}

/** P2. */
function isTrusted({ tree, name }: Spot): boolean {
  const stat = tree.stat(name);
  const isOurs = ({ kind, uid, mode }: Stat): boolean =>
    kind === 'folder' && uid === process.geteuid?.() && (mode & 0o077) === 0;
  return stat === null || isOurs(stat);
}

/** P1. The folder is made, and goes into the root and back. */
function proven(beside: Spot, inside: Spot): boolean {
  try {
    if (beside.tree.stat(beside.name) === null) beside.tree.makeFolder(beside.name, 0o700);
  } catch (error) {
    if (!refusals.has(codeOf(error))) throw error;
    return false;
  }
  if (moved(beside, inside) && moved(inside, beside)) return true;
  for (const { tree, name } of [inside, beside]) tree.removeAll(name);
  return false;
}

/** False: the file system does not take it there. What was there is replaced. */
function moved(from: Spot, to: Spot): boolean {
  try {
    // A rename replaces only a folder that is empty. What is lost by that was not needed (P3).
    if (!isStaging(to)) to.tree.removeAll(to.name);
    from.tree.rename(from.name, to.name, {
      toTree: to.tree,
      existing: isStaging(to) ? 'exchange' : 'replace',
    });
  } catch (error) {
    if (!refusals.has(codeOf(error))) throw error;
    return false;
  }
  from.tree.removeAll(from.name);
  return true;
}

function markerOf({ tree, name }: Spot): Marker | null {
  return lastMarker(tree.readFolder(name).map((entry) => entry.name.toString('latin1')));
}

/** The last one that names of a staging folder tell of. */
export function lastMarker(names: readonly string[]): Marker | null {
  let last: Marker | null = null;
  for (const name of names) {
    const marker = markerOfName(name);
    if (isLater(marker, last)) last = marker;
  }
  return last;
}

/** Null: it is no name of a marker. */
export function markerOfName(name: string): Marker | null {
  const at = /^at-(\d+)-(\d)(b?)$/.exec(name);
  if (at === null) return null;
  const marker = { number: Number(at[1]), step: Number(at[2]) };
  return at[3] === '' ? marker : { ...marker, begun: true };
}

export function markerName({ number, step, begun }: Marker): string {
  return `at-${String(number)}-${String(step)}${begun === true ? 'b' : ''}`;
}

function isLater(one: Marker | null, other: Marker | null): boolean {
  if (one === null || other === null) return one !== null;
  if (one.number !== other.number) return one.number > other.number;
  return progressOf(one) > progressOf(other);
}

const progressOf = ({ step, begun }: Marker): number => (begun === true ? step + 0.5 : step);
