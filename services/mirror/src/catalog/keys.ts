/**
 * Keys of the catalog's tables. Numbers are big-endian doubles, which sort as bytes like the numbers they are (none is
 * negative). Every function answers one buffer of its own, valid until its next call: the database copies it.
 */
import { nameBytesMax } from '../transport/limits.ts';
import { rootId } from './types.ts';

const placeKey = Buffer.alloc(8 + nameBytesMax);
const oneKey = Buffer.alloc(8);
const twoKey = Buffer.alloc(16);
const placeView = view(placeKey);
const oneView = view(oneKey);
const twoView = view(twoKey);
/** By length, because making a view is dear. */
const placeKeys = Array.from({ length: nameBytesMax + 1 }, (_, length) => placeKey.subarray(0, 8 + length));

/** Folder and name. The root has an empty name and no folder. */
export function keyOfPlace(parent: number, name: Uint8Array): Buffer {
  const key = placeKeys[name.length];
  if (key === undefined || (name.length === 0 && parent !== 0)) {
    throw new Error(`a name has 1 to ${String(nameBytesMax)} bytes, not ${String(name.length)}`);
  }
  placeView.setFloat64(0, parent);
  placeKey.set(name, 8);
  return key;
}

/** The same of a name that lies among other bytes, which is not copied for it. */
export function keyOfNameIn(parent: number, bytes: Buffer, start: number, end: number): Buffer {
  const key = placeKeys[end - start];
  if (key === undefined) throw new Error(`a name has 1 to ${String(nameBytesMax)} bytes`);
  placeView.setFloat64(0, parent);
  bytes.copy(placeKey, 8, start, end);
  return key;
}

/** Everything in a folder: from `start`, below `end`; not reused. */
export function rangeOfFolder(parent: number, after: Uint8Array | null): { start: Buffer; end: Buffer } {
  const start = Buffer.alloc(8 + (after?.length ?? 0));
  start.writeDoubleBE(parent, 0);
  if (after !== null) start.set(after, 8);
  const end = Buffer.alloc(8);
  end.writeDoubleBE(parent, 0);
  return { start, end: followingKey(end) };
}

export function keyOfOne(a: number): Buffer {
  oneView.setFloat64(0, a);
  return oneKey;
}

export function keyOfTwo(a: number, b: number): Buffer {
  twoView.setFloat64(0, a);
  twoView.setFloat64(8, b);
  return twoKey;
}

/** A key of its own, for the ends of a range. */
export function rangeKey(a: number, b: number): Buffer {
  const key = Buffer.alloc(16);
  key.writeDoubleBE(a, 0);
  key.writeDoubleBE(b, 8);
  return key;
}

export const rootPlace = { parent: 0, name: Buffer.alloc(0), id: rootId } as const;

/** The next key of the same length, in the order of bytes. */
function followingKey(key: Buffer): Buffer {
  for (let i = key.length - 1; i >= 0; i -= 1) {
    const byte = (key[i] ?? 0) + 1;
    key[i] = byte & 0xff;
    if (byte <= 0xff) break;
  }
  return key;
}

function view(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
