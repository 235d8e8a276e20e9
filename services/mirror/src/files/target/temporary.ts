/**
 * The one name in the staging folder at which entries are made before they get their name in the tree. What is there after
 * an end is nothing: what was to get a name, or what had it before.
 */

import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Staging } from './staging.ts';
import { codeOf } from './trouble.ts';

export const temporary = Buffer.from('t');

export interface TemporaryGround {
  readonly tree: Tree;
  /** Of the staging folder (Staging, tree). */
  readonly stage: Tree;
  readonly staging: Staging;
  readonly failPoint: (name: string) => void;
}

/** A new and empty file there, open. */
export function makeTemporary(ground: TemporaryGround): number {
  const { stage } = ground;
  try {
    return stage.createFile(temporary, 0o600);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    takeAway(ground);
    return stage.createFile(temporary, 0o600);
  }
}

/** Nothing is there. */
export function clearTemporary(ground: TemporaryGround): void {
  if (ground.stage.stat(temporary) !== null) takeAway(ground);
}

/** What is there gets this name, whatever has it. What it is in the tree; null: not there any more. */
export function giveTemporary(ground: TemporaryGround, path: Buffer): Stat | null {
  const { tree, stage, staging, failPoint } = ground;
  try {
    const { stat, leavesFolder } = stage.give(temporary, path, { toTree: tree });
    failPoint('apply:given');
    if (leavesFolder) takeAway(ground);
    return stat;
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error;
  }
  // This file system exchanges nothing.
  if (tree.stat(path)?.kind === 'folder') tree.rename(path, staging.goneName(), { toTree: stage });
  stage.rename(temporary, path, { toTree: tree });
  return tree.stat(path);
}

/** Folders at once as a whole. */
function takeAway({ stage, staging }: TemporaryGround): void {
  if (stage.stat(temporary)?.kind === 'folder') stage.rename(temporary, staging.goneName());
  else stage.remove(temporary);
}
