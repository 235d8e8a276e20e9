/**
 * How an entry lies in the database: a fixed layout of 88 bytes, and behind it what few entries have. The key, folder id and
 * name, is not in it. An unchanged entry is recognized without being decoded, because a scan does that for every file.
 */
import type { EntryKind, Stat } from '../os/types.ts';
import type { Entry, EntryAttributes } from './types.ts';

/** An entry that can be changed before it is written back. */
export interface Row extends EntryAttributes {
  kind: EntryKind;
  mode: number;
  uid: number;
  gid: number;
  size: number;
  mtimeS: number;
  mtimeNs: number;
  deviceMajor: number;
  deviceMinor: number;
  id: number;
  parent: number;
  name: Buffer;
  inode: number;
  ctimeS: number;
  ctimeNs: number;
  nlink: number;
  sequence: number;
  placed: number;
  contents: number;
  suspect: boolean;
  racy: boolean;
  /** The attributes are what the disk of this side says; false where it could not bring them about. */
  exact: boolean;
  /** On another file system than the root: its inode number says nothing. */
  foreign: boolean;
  digest: Buffer | null;
}

const kinds: readonly (EntryKind | undefined)[] = [
  undefined,
  'file',
  'folder',
  'link',
  'fifo',
  'block',
  'char',
];
const SUSPECT = 1;
const RACY = 2;
const INEXACT = 4;
const DIGEST = 8;
const DEVICE = 16;
const FOREIGN = 32;
const idAt = 56;
const placedAt = 72;
const fixedBytes = 88;
const digestBytes = 16;
const views = new WeakMap<ArrayBufferLike, DataView>();
const scratch = Buffer.alloc(fixedBytes + 8 + digestBytes);
const out = viewOf(scratch);

/** Wire and database number of a kind; sockets have none. */
export function kindCode(kind: EntryKind): number {
  const code = kinds.indexOf(kind);
  if (code < 1) throw new Error(`a ${kind} can't be in a catalog`);
  return code;
}

export function kindOfCode(code: number): EntryKind {
  const kind = kinds[code];
  if (kind === undefined) throw new Error(`the catalog is damaged: no kind has the number ${String(code)}`);
  return kind;
}

/** Valid until the next call. */
export function encodeRow(row: Row): Buffer {
  const device = row.deviceMajor !== 0 || row.deviceMinor !== 0;
  out.setUint8(0, kindCode(row.kind));
  out.setUint8(
    1,
    (row.suspect ? SUSPECT : 0) |
      (row.racy ? RACY : 0) |
      (row.exact ? 0 : INEXACT) |
      (row.foreign ? FOREIGN : 0) |
      (row.digest === null ? 0 : DIGEST) |
      (device ? DEVICE : 0),
  );
  out.setUint16(2, row.mode);
  out.setUint32(4, row.uid);
  out.setUint32(8, row.gid);
  out.setUint32(12, row.nlink);
  out.setUint32(16, row.mtimeNs);
  out.setUint32(20, row.ctimeNs);
  out.setFloat64(24, row.size);
  out.setFloat64(32, row.mtimeS);
  out.setFloat64(40, row.ctimeS);
  out.setFloat64(48, row.inode);
  out.setFloat64(idAt, row.id);
  out.setFloat64(64, row.sequence);
  out.setFloat64(placedAt, row.placed);
  out.setFloat64(80, row.contents);
  let end = fixedBytes;
  if (device) {
    out.setUint32(end, row.deviceMajor);
    out.setUint32(end + 4, row.deviceMinor);
    end += 8;
  }
  if (row.digest !== null) {
    row.digest.copy(scratch, end);
    end += digestBytes;
  }
  return scratch.subarray(0, end);
}

/** Copies everything out of `bytes`. */
export function decodeRow(bytes: Buffer, parent: number, name: Buffer): Row {
  const view = viewOf(bytes);
  const at = bytes.byteOffset;
  const flags = view.getUint8(at + 1);
  const device = (flags & DEVICE) !== 0;
  const behind = at + fixedBytes + (device ? 8 : 0);
  return {
    id: view.getFloat64(at + idAt),
    parent,
    name,
    kind: kindOfCode(view.getUint8(at)),
    mode: view.getUint16(at + 2),
    uid: view.getUint32(at + 4),
    gid: view.getUint32(at + 8),
    nlink: view.getUint32(at + 12),
    mtimeNs: view.getUint32(at + 16),
    ctimeNs: view.getUint32(at + 20),
    size: view.getFloat64(at + 24),
    mtimeS: view.getFloat64(at + 32),
    ctimeS: view.getFloat64(at + 40),
    inode: view.getFloat64(at + 48),
    sequence: view.getFloat64(at + 64),
    placed: view.getFloat64(at + placedAt),
    contents: view.getFloat64(at + 80),
    deviceMajor: device ? view.getUint32(at + fixedBytes) : 0,
    deviceMinor: device ? view.getUint32(at + fixedBytes + 4) : 0,
    suspect: (flags & SUSPECT) !== 0,
    racy: (flags & RACY) !== 0,
    exact: (flags & INEXACT) === 0,
    foreign: (flags & FOREIGN) !== 0,
    digest: (flags & DIGEST) === 0 ? null : Buffer.from(view.buffer.slice(behind, behind + digestBytes)),
  };
}

/** The id alone. */
export function rowId(bytes: Buffer): number {
  return viewOf(bytes).getFloat64(bytes.byteOffset + idAt);
}

/** The number of its place alone. */
export function rowPlaced(bytes: Buffer): number {
  return viewOf(bytes).getFloat64(bytes.byteOffset + placedAt);
}

export function rowIsFolder(bytes: Buffer): boolean {
  return kinds[viewOf(bytes).getUint8(bytes.byteOffset)] === 'folder';
}

export function rowIsForeignFolder(bytes: Buffer): boolean {
  return rowIsFolder(bytes) && (viewOf(bytes).getUint8(bytes.byteOffset + 1) & FOREIGN) !== 0;
}

/** Nothing happened to it since it was looked at: inode and time of change tell, and all else where it is exact. */
export function rowIsAsOnDisk(bytes: Buffer, stat: Stat, evenRacy = false): boolean {
  const view = viewOf(bytes);
  const at = bytes.byteOffset;
  const flags = view.getUint8(at + 1);
  if ((flags & RACY) !== 0 && !evenRacy) return false;
  if (
    view.getFloat64(at + 48) !== stat.inode ||
    view.getUint32(at + 20) !== stat.ctimeNs ||
    view.getFloat64(at + 40) !== stat.ctimeS ||
    kinds[view.getUint8(at)] !== stat.kind ||
    view.getFloat64(at + 24) !== mirroredSize(stat)
  ) {
    return false;
  }
  if ((flags & INEXACT) !== 0) return true;
  return (
    view.getUint32(at + 16) === stat.mtimeNs &&
    view.getFloat64(at + 32) === stat.mtimeS &&
    view.getUint16(at + 2) === stat.mode &&
    view.getUint32(at + 4) === stat.uid &&
    view.getUint32(at + 8) === stat.gid
  );
}

/** Of folders and devices, file systems say different things. */
export function mirroredSize(stat: { readonly kind: EntryKind; readonly size: number }): number {
  return stat.kind === 'file' || stat.kind === 'link' ? stat.size : 0;
}

export function attributesEqual(a: EntryAttributes, b: EntryAttributes): boolean {
  return (
    a.kind === b.kind &&
    a.mode === b.mode &&
    a.uid === b.uid &&
    a.gid === b.gid &&
    mirroredSize(a) === mirroredSize(b) &&
    a.mtimeS === b.mtimeS &&
    a.mtimeNs === b.mtimeNs
  );
}

export function setAttributes(row: Row, from: EntryAttributes): void {
  const device = from.kind === 'block' || from.kind === 'char';
  row.kind = from.kind;
  row.mode = from.mode;
  row.uid = from.uid;
  row.gid = from.gid;
  row.size = mirroredSize(from);
  row.mtimeS = from.mtimeS;
  row.mtimeNs = from.mtimeNs;
  row.deviceMajor = device ? from.deviceMajor : 0;
  row.deviceMinor = device ? from.deviceMinor : 0;
}

/** A row of which only the place is known. */
export function blankRow(id: number, parent: number, name: Buffer): Row {
  return {
    id,
    parent,
    name,
    kind: 'file',
    mode: 0,
    uid: 0,
    gid: 0,
    size: 0,
    mtimeS: 0,
    mtimeNs: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    inode: 0,
    ctimeS: 0,
    ctimeNs: 0,
    nlink: 1,
    sequence: 0,
    placed: 0,
    contents: 0,
    suspect: false,
    racy: false,
    exact: true,
    foreign: false,
    digest: null,
  };
}

export function entryOf(row: Row): Entry {
  const { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor } = row;
  const { id, parent, name, inode, ctimeS, ctimeNs, nlink, sequence, placed, contents } = row;
  return {
    id,
    parent,
    name,
    attributes: { kind, mode, uid, gid, size, mtimeS, mtimeNs, deviceMajor, deviceMinor },
    inode,
    ctimeS,
    ctimeNs,
    nlink,
    sequence,
    placed,
    contents,
    suspect: row.suspect,
    racy: row.racy,
    digest: row.digest,
  };
}

function viewOf(bytes: Buffer): DataView {
  const buffer = bytes.buffer;
  let view = views.get(buffer);
  if (view === undefined) {
    view = new DataView(buffer);
    views.set(buffer, view);
  }
  return view;
}
