/**
 * Which names a target's file system has no place for: too long for it, or not valid on it. File systems say so in different
 * ways, and some only when a name is made. So it is tried, in the staging folder, which is on the same file system.
 */

import { closeSync } from 'node:fs';
import type { Tree } from '../../os/tree.ts';
import { codeOf } from './trouble.ts';

const slash = 0x2f;
/** EINVAL is what FAT says of a name; it means other things as well, so it counts only of what is tried here. */
const refusals = new Set(['ENAMETOOLONG', 'EILSEQ', 'EINVAL']);

/** `tree`: of the root; `stage`: of the staging folder. False: some name of the path can't be made here. */
export function hasRoomFor(tree: Tree, stage: Tree, path: Buffer): boolean {
  for (let start = 0; start < path.length;) {
    const found = path.indexOf(slash, start);
    const end = found < 0 ? path.length : found;
    if (tree.stat(path.subarray(0, end)) === null) {
      // What is in a folder that is not there is tried as well, because the folder may come back.
      if (!canBeMade(stage, path.subarray(start, end))) return false;
    }
    start = end + 1;
  }
  return true;
}

/** `gone` is emptied by itself; what has the name there shows that it can be made. */
function canBeMade(stage: Tree, name: Buffer): boolean {
  const probe = Buffer.concat([Buffer.from('gone/'), name]);
  try {
    if (stage.stat(probe) !== null) return true;
    closeSync(stage.createFile(probe, 0o600));
    stage.remove(probe);
    return true;
  } catch (error) {
    if (refusals.has(codeOf(error))) return false;
    throw error;
  }
}
