/** The root as this process reaches it, and what may lie beside it. */

import { lstatSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { holderOf, unprotect } from '../../os/read-only.ts';
import { Tree } from '../../os/tree.ts';
import { isSystem } from '../selection.ts';
import type { Records } from './records.ts';
import type { TargetOptions } from './types.ts';

export interface OwnRoot {
  readonly tree: Tree;
  /** The folder that holds the root, by the same mount; null where there is no way to it. */
  readonly holder: Tree | null;
  /** The staging folder may be in it. */
  readonly besideAllowed: boolean;
  /** Absolute, as others see it, without links. */
  readonly root: string;
  close(): void;
}

/** Opened while it is not covered, and so by the way that can write to it from then on. Throws OsError. */
export function openRoot(options: TargetOptions): OwnRoot {
  if (options.covered) unprotect(options.root);
  const root = realpathSync(options.root);
  const holding = holderOf(root);
  const tree = Tree.open(root);
  let holder: Tree | null = null;
  try {
    holder = holding === null ? null : Tree.open(holding);
    const close = (): void => {
      holder?.close();
      tree.close();
    };
    return { tree, holder, besideAllowed: besideAllowed(root), root, close };
  } catch (error) {
    holder?.close();
    tree.close();
    throw error;
  }
}

/**
 * Not in folders of the system, nor on another file system than the root, nor where somebody else could put something of
 * theirs into the place of our folder.
 */
function besideAllowed(root: string): boolean {
  const holder = dirname(root);
  if (isSystem(holder)) return false;
  const { dev, uid, mode } = lstatSync(holder);
  const isOpen = (mode & 0o022) !== 0 && (mode & 0o1000) === 0;
  return dev === lstatSync(root).dev && !isOpen && (uid === 0 || uid === process.geteuid?.());
}

/** Our own folder comes and goes without a trace in the times of the root. */
export function keepingTimes<T>(tree: Tree, records: Records, change: () => T): T {
  const root = Buffer.alloc(0);
  const before = tree.stat(root);
  const result = change();
  const after = tree.stat(root);
  if (before === null || (after?.mtimeS === before.mtimeS && after.mtimeNs === before.mtimeNs)) return result;
  tree.setAttributes(root, { mtimeS: before.mtimeS, mtimeNs: before.mtimeNs });
  records.refresh([root]);
  return result;
}

export function isOurs(name: Buffer): boolean {
  return name.toString('latin1').startsWith('.holdfast-');
}
