/** What this copy has at a path and the source has not: as the disk tells it, before it is kept aside (kept-store.ts). */

import type { Epoch } from '@holdfast/core';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Attributes } from '../../transport/types.ts';

export interface OwnVersion {
  readonly path: Buffer;
  /** Null: it was deleted here. */
  readonly attributes: Attributes | null;
  readonly change: 'written' | 'created' | 'deleted';
  readonly epoch: Epoch;
}

/** `stat`: of the path, and no socket. Throws what the disk says. */
export function attributesAt(tree: Tree, path: Buffer, stat: Stat): Attributes {
  const { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor } = stat;
  if (kind === 'socket') throw new Error('a socket is never mirrored');
  const link = kind === 'link' ? tree.readLink(path) : Buffer.alloc(0);
  const extended = kind === 'link' ? [] : tree.extended(path);
  return { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor, link, extended };
}
