/** What a target's catalog keeps of an entry: from what the source told, or from what is here. */

import type { EntryAttributes } from '../../catalog/types.ts';
import type { Stat } from '../../os/types.ts';
import type { Attributes } from '../../transport/types.ts';

/** As a catalog keeps them: sizes only of files and links, devices only of device nodes. */
export function entryAttributes(attributes: Attributes): EntryAttributes {
  const { kind, mode, uid, gid, mtimeS, mtimeNs, link } = attributes;
  const size = kind === 'file' ? attributes.size : kind === 'link' ? link.length : 0;
  const device = kind === 'block' || kind === 'char';
  const deviceMajor = device ? attributes.deviceMajor : 0;
  const deviceMinor = device ? attributes.deviceMinor : 0;
  return { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor };
}

/** A folder as it is here. */
export function onDisk({ kind, mode, uid, gid, mtimeS, mtimeNs }: Stat): EntryAttributes {
  return { kind, mode, uid, gid, size: 0, mtimeS, mtimeNs, deviceMajor: 0, deviceMinor: 0 };
}
