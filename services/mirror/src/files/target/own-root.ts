/** The root as this process reaches it, and what may lie beside it. */

import { lstatSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { holderOf, protect, unprotect } from '../../os/read-only.ts';
import type { Protection } from '../../os/read-only.ts';
import { Tree } from '../../os/tree.ts';
import { isSystem } from '../selection.ts';
import type { Records } from './records.ts';
import { besideName } from './staging-name.ts';
import type { TargetOptions } from './types.ts';

export interface OwnRoot {
  readonly tree: Tree;
  /** The folder that holds the root, by the same mount; null where there is no way to it. */
  readonly holder: Tree | null;
  /** The staging folder may be in it. */
  readonly besideAllowed: boolean;
  /** Absolute, as others see it, without links. */
  readonly root: string;
  /** Where `tree` was opened. */
  readonly writable: string;
  close(): void;
}

/** By the private mount when the root was left protected. Throws OsError. */
export function openRoot(options: TargetOptions): OwnRoot {
  const { writable, holder: holding } = reach(options);
  const root = realpathSync(options.root);
  const tree = Tree.open(writable);
  let holder: Tree | null = null;
  try {
    holder = holding === null ? null : Tree.open(holding);
    const close = (): void => {
      holder?.close();
      tree.close();
    };
    return { tree, holder, besideAllowed: besideAllowed(root), root, writable, close };
  } catch (error) {
    holder?.close();
    tree.close();
    throw error;
  }
}

export function cover({ root, name }: TargetOptions, privateMount: string): Protection {
  const plain = realpathSync(root);
  const holder = dirname(plain);
  const beside = join(holder, besideName(name, plain));
  const staged = !isSystem(holder) && lstatSync(beside, { throwIfNoEntry: false }) !== undefined;
  return protect(root, privateMount, besideAllowed(plain) || staged ? 'parent' : 'root');
}

function reach(options: TargetOptions): { readonly writable: string; readonly holder: string | null } {
  const { root, privateMount, catalog } = options;
  if (privateMount !== null) {
    if (catalog.meta.consistent) return cover(options, privateMount);
    unprotect(root, privateMount);
  }
  return { writable: root, holder: holderOf(realpathSync(root)) };
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
