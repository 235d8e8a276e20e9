/** Removing a folder with everything beneath it, in slices, however deep it is and whoever else works in it. */
import { type ListedEntry, OsError } from './types.ts';

/** What is needed of a tree. */
interface Removing {
  remove(path: Buffer): void;
  readFolder(path: Buffer): ListedEntry[];
}

/** How often a folder is emptied again that others fill meanwhile. */
const TRIES = 8;

/** Nothing happens when it is not there. False: `untilMs`, a time of performance.now(), came first; call it again. */
export function removeBeneath(tree: Removing, path: Buffer, untilMs: number): boolean {
  // What is yet to be removed; a folder stays below its entries.
  const open = [{ path, tries: 0 }];
  for (let last = open.at(-1); last !== undefined; last = open.at(-1)) {
    if (performance.now() >= untilMs) return false;
    if (removed(tree, last.path)) {
      open.pop();
      continue;
    }
    last.tries += 1;
    if (last.tries > TRIES) throw new OsError('ENOTEMPTY', 'removeAll', last.path);
    const prefix = Buffer.concat([last.path, Buffer.from('/')]);
    for (const { name } of listed(tree, last.path)) {
      open.push({ path: Buffer.concat([prefix, name]), tries: 0 });
    }
  }
  return true;
}

/** False: a folder that is not empty. */
function removed(tree: Removing, path: Buffer): boolean {
  try {
    tree.remove(path);
    return true;
  } catch (error) {
    if (!(error instanceof OsError)) throw error;
    if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false;
    if (error.code === 'ENOENT') return true;
    throw error;
  }
}

function listed(tree: Removing, path: Buffer): ListedEntry[] {
  try {
    return tree.readFolder(path);
  } catch (error) {
    if (error instanceof OsError && error.code === 'ENOENT') return [];
    throw error;
  }
}
