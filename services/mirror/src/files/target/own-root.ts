/** The root as this process reaches it, and its own folder in it. */

import { join } from 'node:path';
import { protect, unprotect } from '../../os/read-only.ts';
import type { Tree } from '../../os/tree.ts';
import type { Records } from './records.ts';
import type { TargetOptions } from './types.ts';

/** By the private mount when the root was left protected. */
export function writableRoot({ root, privateMount, catalog }: TargetOptions): string {
  if (privateMount === null) return root;
  if (catalog.meta.consistent) return protect(root, privateMount).writable;
  unprotect(root, privateMount);
  return root;
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

/** Within the root, so that it is on the same file system and reached by the same mount. */
export function stagingFolder(root: string, name: string): string {
  return join(root, `.holdfast-${name.replaceAll('/', '-')}`);
}

export function isOurs(name: Buffer): boolean {
  return name.toString('latin1').startsWith('.holdfast-');
}
