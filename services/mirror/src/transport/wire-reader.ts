/**
 * Reads the fields of a protobuf message where they lie, without a copy and without room for more than the limits
 * allow: a list is cut off at its limit before its next entry is made, so that a small hostile payload can't become a
 * large object.
 *
 * R1. It never reads outside of its bounds, and each call moves on or throws, so that every payload is read to its end.
 * R2. `Malformed` is thrown to decode.ts only, which makes a value of it.
 *
 * Source: Protocol Buffers, Encoding (protobuf.dev/programming-guides/encoding).
 */

export class Malformed extends Error {}

const wireVarint = 0;
const wireFixed64 = 1;
const wireBytes = 2;
const wireFixed32 = 5;

const uint32Max = 0xffff_ffff;

export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;
  #end: number;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /** The next tag (field number x 8 + wire type), or 0 at the end of the message. */
  tag(): number {
    if (this.#at === this.#end) return 0;
    const tag = this.uint(uint32Max);
    if (tag < 8) throw new Malformed('a field without a number');
    return tag;
  }

  /** An unsigned number of at most `max`, which is a safe integer. */
  uint(max: number): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i += 1) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > max) throw new Malformed('a number out of its range');
        return value;
      }
      scale *= 128;
    }
    throw new Malformed('a number without an end');
  }

  uint32(): number {
    return this.uint(uint32Max);
  }

  safe(): number {
    return this.uint(Number.MAX_SAFE_INTEGER);
  }

  uint64(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (value > 0xffff_ffff_ffff_ffffn) throw new Malformed('a number out of its range');
        return value;
      }
    }
    throw new Malformed('a number without an end');
  }

  /** Zigzag. */
  sint(): number {
    const raw = this.safe();
    return raw % 2 === 0 ? raw / 2 : -(raw + 1) / 2;
  }

  bool(): boolean {
    return this.safe() !== 0;
  }

  /** 16 hexadecimal digits. */
  fixed64(): string {
    const from = this.#take(8);
    const high = this.#bytes.readUInt32LE(from + 4);
    const low = this.#bytes.readUInt32LE(from);
    return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
  }

  /** Finite and not negative: all that is told as one is a time. */
  double(): number {
    const value = this.#bytes.readDoubleLE(this.#take(8));
    if (!(value >= 0 && value <= Number.MAX_VALUE)) throw new Malformed('a time that is none');
    return value;
  }

  /** A view. */
  bytes(max: number): Buffer {
    const length = this.#length();
    if (length > max) throw new Malformed(`${String(length)} bytes where ${String(max)} are the most`);
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(max: number): string {
    const length = this.#length();
    if (length > max) throw new Malformed(`a text of ${String(length)} bytes`);
    const from = this.#take(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  /** A message within this one; `read` gets this reader, bounded to it, and reads to its end. */
  message<T>(read: (reader: WireReader) => T): T {
    const length = this.#length();
    const outer = this.#end;
    this.#end = this.#take(length) + length;
    this.#at = this.#end - length;
    const value = read(this);
    this.#end = outer;
    return value;
  }

  /** Appends to a list of at most `max` entries. */
  entry<T>(list: T[], max: number, read: (reader: WireReader) => T): void {
    if (list.length >= max) throw new Malformed(`a list of more than ${String(max)}`);
    list.push(read(this));
  }

  /** A field that this version does not know. */
  skip(tag: number): void {
    switch (tag & 7) {
      case wireVarint:
        for (let i = 0; i < 10; i += 1) if (this.#byte() < 0x80) return;
        throw new Malformed('a number without an end');
      case wireFixed64:
        this.#take(8);
        return;
      case wireBytes:
        this.#take(this.#length());
        return;
      case wireFixed32:
        this.#take(4);
        return;
      default:
        throw new Malformed('a field of an unknown type');
    }
  }

  /** True while the message goes on: for packed lists. */
  get more(): boolean {
    return this.#at < this.#end;
  }

  #length(): number {
    return this.uint(uint32Max);
  }

  #byte(): number {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte === undefined) throw new Malformed('a message that ends early');
    this.#at += 1;
    return byte;
  }

  #take(length: number): number {
    const from = this.#at;
    if (length > this.#end - from) throw new Malformed('a message that ends early');
    this.#at = from + length;
    return from;
  }
}
