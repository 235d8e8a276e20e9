import type { EntryAttributes } from '../src/catalog/types.ts';
import type { EntryKind, Stat } from '../src/os/types.ts';

/** What a disk could say; contents of 100 bytes, times of long ago. */
export function statOf(kind: EntryKind, inode: number, more: Partial<Stat> = {}): Stat {
  return {
    kind,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 100,
    mtimeS: 1_000,
    mtimeNs: 5,
    ctimeS: 1_000,
    ctimeNs: 5,
    inode,
    nlink: 1,
    deviceMajor: 0,
    deviceMinor: 0,
    blocks: 8,
    dev: 7,
    ...more,
  };
}

export function attributesOf(stat: Stat): EntryAttributes {
  const { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor } = stat;
  return { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor };
}
