/**
 * A committed batch as the log keeps it: where it leads to, and what has to be done. Contents are in it when they are
 * small, else a number says which file of the staging folder has them. Encoding is our own and only ever read by us;
 * what is read back was written whole (the log's checksum), so a nonsense here is a broken invariant and throws.
 */

import type { EpochEnd } from '@holdfast/core';
import type { Attributes, ExtendedAttribute } from '../../transport/types.ts';

export type Redo =
  | { readonly kind: 'move'; readonly from: Buffer; readonly slot: number }
  | { readonly kind: 'remove'; readonly path: Buffer }
  | { readonly kind: 'place'; readonly slot: number; readonly to: Buffer }
  /** `staged` 0: the contents are `contents`. */
  | {
      readonly kind: 'put';
      readonly path: Buffer;
      readonly attributes: Attributes;
      readonly contents: Buffer;
      readonly staged: number;
    }
  | { readonly kind: 'hard-link'; readonly path: Buffer; readonly to: Buffer }
  | {
      readonly kind: 'patch';
      readonly path: Buffer;
      readonly attributes: Attributes;
      readonly staged: number;
    }
  | { readonly kind: 'set'; readonly path: Buffer; readonly attributes: Attributes };

export interface Batch {
  readonly epoch: bigint;
  readonly sequence: number;
  /** 16 hexadecimal digits. */
  readonly checksum: string;
  readonly consistent: boolean;
  readonly history: readonly EpochEnd[];
  readonly operations: readonly Redo[];
}

/** The name that an operation is about, in the tree. */
export function nameOf(operation: Redo): Buffer {
  switch (operation.kind) {
    case 'move':
      return operation.from;
    case 'place':
      return operation.to;
    case 'remove':
    case 'put':
    case 'hard-link':
    case 'patch':
    case 'set':
      return operation.path;
  }
}

const codes = { move: 1, remove: 2, place: 3, put: 4, 'hard-link': 5, patch: 6, set: 7 } as const;
const kinds = ['file', 'folder', 'link', 'fifo', 'block', 'char'] as const;
const attributeBytes = 1 + 2 + 4 + 4 + 8 + 8 + 4 + 4 + 4 + 2 + 2;

export function encodeBatch(batch: Batch): Buffer {
  let size = 41 + batch.history.length * 16;
  for (const operation of batch.operations) size += operationBytes(operation);
  const out = new Writer(Buffer.allocUnsafe(size));
  out.u64(batch.epoch);
  out.number(batch.sequence);
  out.u64(BigInt(`0x${batch.checksum}`));
  out.u8(batch.consistent ? 1 : 0);
  out.number(batch.history.length);
  for (const row of batch.history) {
    out.u64(row.epoch);
    out.number(row.sequence);
  }
  out.number(batch.operations.length);
  for (const operation of batch.operations) write(out, operation);
  return out.bytes;
}

export function decodeBatch(bytes: Buffer): Batch {
  const from = new Reader(bytes);
  const epoch = from.u64();
  const sequence = from.number();
  const checksum = from.u64().toString(16).padStart(16, '0');
  const consistent = from.u8() === 1;
  const history: EpochEnd[] = [];
  for (let left = from.number(); left > 0; left -= 1)
    history.push({ epoch: from.u64(), sequence: from.number() });
  const operations: Redo[] = [];
  for (let left = from.number(); left > 0; left -= 1) operations.push(read(from));
  return { epoch, sequence, checksum, consistent, history, operations };
}

function operationBytes(operation: Redo): number {
  switch (operation.kind) {
    case 'move':
      return 1 + 4 + operation.from.length + 8;
    case 'remove':
      return 1 + 4 + operation.path.length;
    case 'place':
      return 1 + 4 + operation.to.length + 8;
    case 'put':
      return 1 + 4 + operation.path.length + sizeOf(operation.attributes) + 4 + operation.contents.length + 8;
    case 'hard-link':
      return 1 + 8 + operation.path.length + operation.to.length;
    case 'patch':
      return 1 + 4 + operation.path.length + sizeOf(operation.attributes) + 8;
    case 'set':
      return 1 + 4 + operation.path.length + sizeOf(operation.attributes);
  }
}

function sizeOf(attributes: Attributes): number {
  let size = attributeBytes + attributes.link.length;
  for (const [name, value] of attributes.extended) size += 8 + name.length + value.length;
  return size;
}

function write(out: Writer, operation: Redo): void {
  out.u8(codes[operation.kind]);
  switch (operation.kind) {
    case 'move':
      out.bytesOf(operation.from);
      out.number(operation.slot);
      return;
    case 'remove':
      out.bytesOf(operation.path);
      return;
    case 'place':
      out.bytesOf(operation.to);
      out.number(operation.slot);
      return;
    case 'put':
      out.bytesOf(operation.path);
      out.attributes(operation.attributes);
      out.bytesOf(operation.contents);
      out.number(operation.staged);
      return;
    case 'hard-link':
      out.bytesOf(operation.path);
      out.bytesOf(operation.to);
      return;
    case 'patch':
      out.bytesOf(operation.path);
      out.attributes(operation.attributes);
      out.number(operation.staged);
      return;
    case 'set':
      out.bytesOf(operation.path);
      out.attributes(operation.attributes);
  }
}

function read(from: Reader): Redo {
  const code = from.u8();
  switch (code) {
    case codes.move:
      return { kind: 'move', from: from.bytesOf(), slot: from.number() };
    case codes.remove:
      return { kind: 'remove', path: from.bytesOf() };
    case codes.place:
      return { kind: 'place', to: from.bytesOf(), slot: from.number() };
    case codes.put:
      return {
        kind: 'put',
        path: from.bytesOf(),
        attributes: from.attributes(),
        contents: from.bytesOf(),
        staged: from.number(),
      };
    case codes['hard-link']:
      return { kind: 'hard-link', path: from.bytesOf(), to: from.bytesOf() };
    case codes.patch:
      return { kind: 'patch', path: from.bytesOf(), attributes: from.attributes(), staged: from.number() };
    case codes.set:
      return { kind: 'set', path: from.bytesOf(), attributes: from.attributes() };
    default:
      throw new Error(`the log holds an operation of kind ${String(code)}`);
  }
}

/** Folders whose times an operation changes or tells, as they are called after the batch. */
export function workedIn(operation: Redo): readonly Buffer[] {
  switch (operation.kind) {
    case 'move':
      return [folderOf(operation.from)];
    case 'place':
      return [folderOf(operation.to), operation.to];
    case 'put':
      return operation.attributes.kind === 'folder'
        ? [folderOf(operation.path), operation.path]
        : [folderOf(operation.path)];
    case 'remove':
    case 'hard-link':
      return [folderOf(operation.path)];
    case 'set':
      return operation.attributes.kind === 'folder' ? [operation.path] : [];
    case 'patch':
      return [];
  }
}

function folderOf(path: Buffer): Buffer {
  return path.subarray(0, Math.max(0, path.lastIndexOf(0x2f)));
}

class Writer {
  readonly bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  u8(value: number): void {
    this.#at = this.bytes.writeUInt8(value, this.#at);
  }

  u64(value: bigint): void {
    this.#at = this.bytes.writeBigUInt64BE(value, this.#at);
  }

  /** Any whole number up to 2^53, also below 0. */
  number(value: number): void {
    this.#at = this.bytes.writeDoubleBE(value, this.#at);
  }

  bytesOf(value: Buffer): void {
    this.#at = this.bytes.writeUInt32BE(value.length, this.#at);
    this.#at += value.copy(this.bytes, this.#at);
  }

  attributes(value: Attributes): void {
    this.u8(kinds.indexOf(value.kind));
    this.#at = this.bytes.writeUInt16BE(value.mode, this.#at);
    this.#at = this.bytes.writeUInt32BE(value.uid, this.#at);
    this.#at = this.bytes.writeUInt32BE(value.gid, this.#at);
    this.number(value.size);
    this.number(value.mtimeS);
    this.#at = this.bytes.writeUInt32BE(value.mtimeNs, this.#at);
    this.#at = this.bytes.writeUInt32BE(value.deviceMajor, this.#at);
    this.#at = this.bytes.writeUInt32BE(value.deviceMinor, this.#at);
    this.#at = this.bytes.writeUInt16BE(value.link.length, this.#at);
    this.#at += value.link.copy(this.bytes, this.#at);
    this.#at = this.bytes.writeUInt16BE(value.extended.length, this.#at);
    for (const [name, contents] of value.extended) {
      this.bytesOf(name);
      this.bytesOf(contents);
    }
  }
}

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#moved(1));
  }

  u64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#moved(8));
  }

  number(): number {
    return this.#bytes.readDoubleBE(this.#moved(8));
  }

  bytesOf(): Buffer {
    return this.#slice(this.#bytes.readUInt32BE(this.#moved(4)));
  }

  attributes(): Attributes {
    const kind = kinds[this.u8()];
    if (kind === undefined) throw new Error('the log holds an entry of no kind');
    const mode = this.#bytes.readUInt16BE(this.#moved(2));
    const uid = this.#u32();
    const gid = this.#u32();
    const size = this.number();
    const mtimeS = this.number();
    const mtimeNs = this.#u32();
    const deviceMajor = this.#u32();
    const deviceMinor = this.#u32();
    const link = this.#slice(this.#bytes.readUInt16BE(this.#moved(2)));
    const extended: ExtendedAttribute[] = [];
    for (let left = this.#bytes.readUInt16BE(this.#moved(2)); left > 0; left -= 1) {
      extended.push([this.bytesOf(), this.bytesOf()]);
    }
    return { kind, mode, uid, gid, size, mtimeS, mtimeNs, link, deviceMajor, deviceMinor, extended };
  }

  #u32(): number {
    return this.#bytes.readUInt32BE(this.#moved(4));
  }

  #slice(length: number): Buffer {
    const at = this.#moved(length);
    return this.#bytes.subarray(at, at + length);
  }

  #moved(length: number): number {
    const at = this.#at;
    this.#at += length;
    return at;
  }
}
