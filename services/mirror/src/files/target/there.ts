/**
 * What is at a path of a folder that others may change at any moment. What they took away, or put something else in the place of,
 * is not there.
 */

import type { Tree } from '../../os/tree.ts';
import type { ChildStat, ListedEntry, Stat } from '../../os/types.ts';
import { isMisfit } from './trouble.ts';

/** Null: nothing; also where a folder of the path is a link. */
export const statThere = (tree: Tree, path: Buffer): Stat | null => ifThere(() => tree.stat(path), null);

export const childrenThere = (tree: Tree, folder: Buffer): readonly ChildStat[] =>
  ifThere(() => tree.statChildren(folder), []);

export const namesThere = (tree: Tree, folder: Buffer): readonly ListedEntry[] =>
  ifThere(() => tree.readFolder(folder), []);

function ifThere<Found>(look: () => Found, otherwise: Found): Found {
  try {
    return look();
  } catch (error) {
    if (!isMisfit(error)) throw error;
    return otherwise;
  }
}
