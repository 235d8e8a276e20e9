/**
 * Reading entries of the source's tree: what travels of them, and whether they held still.
 *
 * R1. What is sent of an entry are the attributes that the catalog knows: a target's record is exact even of a file that
 *     changed while it was read. Such a file does not hold still; its next change has a higher number and is sent again.
 * R2. Contents are as long as the attributes say: what a file lost meanwhile reads as zeros.
 * R3. Of attributes of one file that are more than the wire takes, the first ones travel, by name.
 */

import { closeSync, readSync } from 'node:fs';
import { xxh3 } from '@node-rs/xxhash';
import type { Entry } from '../../catalog/types.ts';
import { statOpen } from '../../os/stat.ts';
import type { Tree } from '../../os/tree.ts';
import { OsError, type Stat } from '../../os/types.ts';
import { extendedTotalBytesMax } from '../../transport/limits.ts';
import type { Attributes, ExtendedAttribute } from '../../transport/types.ts';

const empty = Buffer.alloc(0);
const versionBytes = 48;

/** The entry is not there, or is something else than the catalog says. */
export function isGone(error: unknown): boolean {
  return error instanceof OsError && goneCodes.has(error.code);
}

const goneCodes = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ENXIO', 'EINVAL', 'ESTALE']);

/** R1. */
export function attributesOf(entry: Entry, link: Buffer, extended: readonly ExtendedAttribute[]): Attributes {
  const { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor } = entry.attributes;
  if (kind === 'socket') throw new Error('a socket is in the catalog');
  const some = travelling(extended);
  return { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor, link, extended: some };
}

/** R3. */
function travelling(extended: readonly ExtendedAttribute[]): readonly ExtendedAttribute[] {
  let total = 0;
  const end = extended.findIndex(([name, value]) => {
    total += name.length + value.length;
    return total > extendedTotalBytesMax;
  });
  return end === -1 ? extended : extended.slice(0, end);
}

/** Of a folder that is there no more. */
export const standInAttributes: Attributes = {
  kind: 'folder',
  mode: 0o700,
  uid: 0,
  gid: 0,
  size: 0,
  mtimeS: 0,
  mtimeNs: 0,
  deviceMajor: 0,
  deviceMinor: 0,
  link: empty,
  extended: [],
};

/** Anything but the contents of a file. Throws OsError; isGone() tells whether it is merely not there. */
export function readAttributes(tree: Tree, path: Buffer, entry: Entry): Attributes {
  const { kind } = entry.attributes;
  if (kind === 'link') {
    const link = tree.readLink(path);
    return attributesOf(
      { ...entry, attributes: { ...entry.attributes, size: link.length } },
      link,
      tree.extended(path),
    );
  }
  return attributesOf(entry, empty, tree.extended(path));
}

export interface SmallFile {
  readonly contents: Buffer;
  readonly attributes: Attributes;
  readonly heldStill: boolean;
  /** Date.now() before the first byte was read. */
  readonly readAtMs: number;
}

/** A file as a whole. Throws OsError. */
export function readSmall(tree: Tree, path: Buffer, entry: Entry): SmallFile {
  const readAtMs = Date.now();
  const fd = tree.openRead(path);
  try {
    const { size } = entry.attributes;
    const contents = size === 0 ? empty : Buffer.allocUnsafe(size);
    readWhole(fd, contents, 0);
    const extended = tree.extended(fd);
    const heldStill = isSame(entry, statOpen(fd, path));
    return { contents, attributes: attributesOf(entry, empty, extended), heldStill, readAtMs };
  } finally {
    closeSync(fd);
  }
}

/** R2. */
export function readWhole(fd: number, into: Buffer, position: number): void {
  for (let done = 0; done < into.length;) {
    const read = readSync(fd, into, done, into.length - done, position + done);
    if (read === 0) {
      into.fill(0, done);
      return;
    }
    done += read;
  }
}

/** Nothing of it changed since it was observed. */
export function isSame(entry: Entry, stat: Stat): boolean {
  return (
    stat.inode === entry.inode &&
    stat.ctimeS === entry.ctimeS &&
    stat.ctimeNs === entry.ctimeNs &&
    stat.mtimeS === entry.attributes.mtimeS &&
    stat.mtimeNs === entry.attributes.mtimeNs &&
    (entry.attributes.kind !== 'file' || stat.size === entry.attributes.size)
  );
}

/** The same bytes, the same version of a file: inode, size, and both times. */
export function versionOf(entry: Entry): Buffer {
  const { size, mtimeS, mtimeNs } = entry.attributes;
  const version = Buffer.alloc(versionBytes);
  [entry.inode, size, mtimeS, mtimeNs, entry.ctimeS, entry.ctimeNs].forEach((number, i) => {
    version.writeDoubleBE(number, i * 8);
  });
  return version;
}

/** xxh3-128, 16 bytes, big endian. */
export function digestOf(contents: Buffer): Buffer {
  const hash = xxh3.xxh128(contents);
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeBigUInt64BE(hash >> 64n, 0);
  bytes.writeBigUInt64BE(hash & 0xffff_ffff_ffff_ffffn, 8);
  return bytes;
}
