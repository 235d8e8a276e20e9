/**
 * The operations of a batch, and what they are made of: the messages that come by the hundred thousand. See decode.ts.
 */

import {
  digestBytesMax,
  extendedBytesMax,
  extendedTotalBytesMax,
  frameBytesMax,
  linkBytesMax,
  listMax,
  nameBytesMax,
  pathBytesMax,
} from './limits.ts';
import { pathProblem } from './path.ts';
import type { Attributes, EntryKind, ExtendedAttribute, FileOperation, Operations } from './types.ts';
import { Malformed, type WireReader } from './wire-reader.ts';

/** By its number in the contract, which begins at 1. */
export const entryKinds: readonly EntryKind[] = ['file', 'folder', 'link', 'fifo', 'block', 'char'];

const modeMax = 0o7777;
const nanosecondsMax = 999_999_999;
const none: Buffer = Buffer.alloc(0);

/** `root`: whether the empty path, which is the mirror's root, may stand here. */
export function readPath(r: WireReader, root: 'root' | 'below'): Buffer {
  const path = r.bytes(pathBytesMax);
  const problem =
    path.length === 0 && root === 'below' ? 'the root where an entry has to be' : pathProblem(path);
  if (problem !== null) throw new Malformed(problem);
  return path;
}

export function readOperations(r: WireReader): Operations {
  const operations: FileOperation[] = [];
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) r.entry(operations, listMax, (inner) => inner.message(readOperation));
    else r.skip(tag);
  }
  return { kind: 'operations', operations };
}

function readOperation(r: WireReader): FileOperation {
  let operation: FileOperation | null = null;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 10:
        operation = r.message(readMove);
        break;
      case 18:
        operation = { kind: 'remove', path: r.message(readRemoved) };
        break;
      case 26:
        operation = r.message(readPlace);
        break;
      case 34:
        operation = r.message(readPut);
        break;
      case 42:
        operation = r.message(readHardLink);
        break;
      case 50:
        operation = r.message(readPatch);
        break;
      case 58:
        operation = r.message(readSet);
        break;
      default:
        // D2 (decode.ts).
        throw new Malformed('an operation that is unknown here');
    }
  }
  if (operation === null) throw new Malformed('an operation of no kind');
  return operation;
}

function readMove(r: WireReader): FileOperation {
  let from: Buffer | null = null;
  let slot = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) from = readPath(r, 'below');
    else if (tag === 16) slot = r.uint32();
    else r.skip(tag);
  }
  return { kind: 'move', from: required(from), slot };
}

function readRemoved(r: WireReader): Buffer {
  let path: Buffer | null = null;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'below');
    else r.skip(tag);
  }
  return required(path);
}

function readPlace(r: WireReader): FileOperation {
  let to: Buffer | null = null;
  let slot = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) slot = r.uint32();
    else if (tag === 18) to = readPath(r, 'below');
    else r.skip(tag);
  }
  return { kind: 'place', slot, to: required(to) };
}

function readPut(r: WireReader): FileOperation {
  let path: Buffer | null = null;
  let attributes: Attributes | null = null;
  let contents: Buffer = none;
  let stream = 0;
  let version: Buffer = none;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 10:
        path = readPath(r, 'below');
        break;
      case 18:
        attributes = r.message(readAttributes);
        break;
      case 26:
        contents = r.bytes(frameBytesMax);
        break;
      case 32:
        stream = r.uint32();
        break;
      case 42:
        version = r.bytes(digestBytesMax);
        break;
      default:
        r.skip(tag);
    }
  }
  if (attributes === null) throw new Malformed('an entry without attributes');
  return { kind: 'put', path: required(path), attributes, contents, stream, version };
}

function readHardLink(r: WireReader): FileOperation {
  let path: Buffer | null = null;
  let to: Buffer | null = null;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'below');
    else if (tag === 18) to = readPath(r, 'below');
    else r.skip(tag);
  }
  return { kind: 'hard-link', path: required(path), to: required(to) };
}

function readPatch(r: WireReader): FileOperation {
  let path: Buffer | null = null;
  let attributes: Attributes | null = null;
  let stream = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'below');
    else if (tag === 18) attributes = r.message(readAttributes);
    else if (tag === 24) stream = r.uint32();
    else r.skip(tag);
  }
  if (attributes === null) throw new Malformed('a patch without attributes');
  return { kind: 'patch', path: required(path), attributes, stream };
}

/** An absent path is the root: that is how the contract writes an empty one. */
function readSet(r: WireReader): FileOperation {
  let path: Buffer = none;
  let attributes: Attributes | null = null;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'root');
    else if (tag === 18) attributes = r.message(readAttributes);
    else r.skip(tag);
  }
  if (attributes === null) throw new Malformed('no attributes to set');
  return { kind: 'set', path, attributes };
}

function required(path: Buffer | null): Buffer {
  if (path === null) throw new Malformed('the root where an entry has to be');
  return path;
}

export function readAttributes(r: WireReader): Attributes {
  let kind = 0;
  let mode = 0;
  let uid = 0;
  let gid = 0;
  let size = 0;
  let mtimeS = 0;
  let mtimeNs = 0;
  let link: Buffer = none;
  let deviceMajor = 0;
  let deviceMinor = 0;
  const extended: ExtendedAttribute[] = [];
  let room = extendedTotalBytesMax;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 8:
        kind = r.uint32();
        break;
      case 16:
        mode = r.uint(modeMax);
        break;
      case 24:
        uid = r.uint32();
        break;
      case 32:
        gid = r.uint32();
        break;
      case 40:
        size = r.safe();
        break;
      case 48:
        mtimeS = r.sint();
        break;
      case 56:
        mtimeNs = r.uint(nanosecondsMax);
        break;
      case 66:
        link = r.bytes(linkBytesMax);
        break;
      case 72:
        deviceMajor = r.uint32();
        break;
      case 80:
        deviceMinor = r.uint32();
        break;
      case 90:
        r.entry(extended, listMax, (inner) => inner.message(readExtended));
        room -= extendedSize(extended);
        if (room < 0) throw new Malformed('extended attributes beyond their limit');
        break;
      default:
        r.skip(tag);
    }
  }
  const name = entryKinds[kind - 1];
  if (name === undefined) throw new Malformed('an entry of an unknown kind');
  if ((name === 'link') !== link.length > 0) throw new Malformed('a link to nowhere, or a link that is none');
  return { kind: name, mode, uid, gid, size, mtimeS, mtimeNs, link, deviceMajor, deviceMinor, extended };
}

function extendedSize(extended: readonly ExtendedAttribute[]): number {
  const last = extended.at(-1);
  return last === undefined ? 0 : last[0].length + last[1].length;
}

function readExtended(r: WireReader): ExtendedAttribute {
  let name: Buffer = none;
  let value: Buffer = none;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) name = r.bytes(nameBytesMax);
    else if (tag === 18) value = r.bytes(extendedBytesMax);
    else r.skip(tag);
  }
  if (name.length === 0 || name.includes(0))
    throw new Malformed('an extended attribute without a usable name');
  return [name, value];
}
