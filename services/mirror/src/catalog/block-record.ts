/**
 * The record of one big file: for each block of 4 KiB the hash of its contents and the number at which that was found, in a
 * file of 0.6 % of its size.
 *
 * D1. 64 bytes of header, then groups of 64 blocks: 64 numbers, 64 hashes, and one hash of these hashes. The order matters: a
 *     process that is killed while it writes a group leaves numbers too high (a block is sent once more) and a hash of the
 *     group that is not that of its contents (it is looked at again), never the other way round.
 * D2. The hash of zeros is 16 zero bytes, and a hole is zeros: what is sparse has a sparse record.
 * D3. After a loss of power a record is worth nothing unless it was closed: its pages reached the disk in any order. The
 *     header says in which life of the host it was written, and reaches the disk before anything else is written over
 *     a record of an earlier life.
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, statSync } from 'node:fs';
import { dataSegments } from '../os/contents.ts';
import { writeWhole } from '../os/whole-write.ts';

export const blockBytes = 4_096;
export const groupBlocks = 64;
export const groupBytes = blockBytes * groupBlocks;
export const hashBytes = 16;
const numberBytes = 8;
export const hashesAt = groupBlocks * numberBytes;
export const groupHashAt = hashesAt + groupBlocks * hashBytes;
export const rowBytes = groupHashAt + hashBytes;
const headerBytes = 64;
const bootAt = 28;
const bootBytes = 36;
const magic = 0x48464231;

export interface RecordHeader {
  /** The number of the first noting: nothing is known of changes up to it. */
  readonly base: number;
  /** Of the file, when it was noted last. */
  readonly size: number;
  /** It was this small at `shrunkAt` or before: what lies beyond counts as changed then. */
  readonly shrunkTo: number;
  readonly shrunkAt: number;
}

export class BlockRecord {
  readonly #fd: number;
  readonly #path: string;
  readonly #boot: string;
  header: RecordHeader | null;

  /** Null: there is none at `path` and `make` is false. */
  static open(path: string, boot: string, make: boolean): BlockRecord | null {
    try {
      return new BlockRecord(openSync(path, make ? 'a+' : 'r+'), path, boot);
    } catch (error) {
      if (!make && codeOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  private constructor(fd: number, path: string, boot: string) {
    // 'a+' made it when missing, and would only append.
    closeSync(fd);
    this.#fd = openSync(path, 'r+');
    this.#path = path;
    this.#boot = boot;
    this.header = this.#readHeader();
  }

  /** D3. Before the first write; empties it when it is worth nothing. */
  begin(header: RecordHeader): void {
    const fresh = this.header === null;
    // Nothing of an earlier life can come back in a file that is new: it needs no sync, and most records are new.
    const isNew = fstatSync(this.#fd).size === 0;
    if (fresh) ftruncateSync(this.#fd, 0);
    const { boot } = this.#marks();
    this.end(header);
    if (boot !== this.#boot && !isNew) fdatasyncSync(this.#fd);
  }

  end(header: RecordHeader): void {
    this.#writeHeader(header, this.#boot);
    this.header = header;
  }

  /** Good for a later life of the host; sync() comes before and after it, or a sync of the whole file system. */
  settle(): void {
    if (this.header !== null) this.#writeHeader(this.header, '');
  }

  sync(): void {
    fdatasyncSync(this.#fd);
  }

  /** Rows of groups; what was never written is zeros. */
  read(group: number, into: Buffer): void {
    let done = 0;
    while (done < into.length) {
      const read = readSync(this.#fd, into, done, into.length - done, headerBytes + group * rowBytes + done);
      if (read === 0) break;
      done += read;
    }
    into.fill(0, done);
  }

  write(group: number, rows: Buffer): void {
    writeWhole(this.#fd, rows, headerBytes + group * rowBytes);
  }

  /** Forgets what lies beyond `groups` groups. */
  cut(groups: number): void {
    const bytes = headerBytes + groups * rowBytes;
    if (fstatSync(this.#fd).size > bytes) ftruncateSync(this.#fd, bytes);
  }

  /** First byte of the first group, from that of byte `from` of the file on, of which the record may know more than zeros (D2). */
  nextRecorded(from: number): number {
    const group = Math.floor(from / groupBytes);
    const data = dataSegments(this.#fd, headerBytes + group * rowBytes, 1)[0]?.offset;
    if (data === undefined) return Infinity;
    return Math.max(group, Math.floor((data - headerBytes) / rowBytes)) * groupBytes;
  }

  /** Nobody forgot it since, or made it anew. */
  get isThere(): boolean {
    return statSync(this.#path, { throwIfNoEntry: false })?.ino === fstatSync(this.#fd).ino;
  }

  close(): void {
    closeSync(this.#fd);
  }

  #marks(): { boot: string; bytes: Buffer | null } {
    const bytes = Buffer.alloc(headerBytes);
    const read = readSync(this.#fd, bytes, 0, headerBytes, 0);
    if (read < headerBytes || bytes.readUInt32BE(0) !== magic) return { boot: 'none', bytes: null };
    return { boot: bytes.toString('latin1', bootAt, bootAt + bootBytes).replace(/\0+$/, ''), bytes };
  }

  #readHeader(): RecordHeader | null {
    const { boot, bytes } = this.#marks();
    if (bytes === null || (boot !== '' && boot !== this.#boot)) return null;
    return {
      base: bytes.readUIntBE(4, 6),
      size: bytes.readUIntBE(10, 6),
      shrunkTo: bytes.readUIntBE(16, 6),
      shrunkAt: bytes.readUIntBE(22, 6),
    };
  }

  #writeHeader(header: RecordHeader, boot: string): void {
    const bytes = Buffer.alloc(headerBytes);
    bytes.writeUInt32BE(magic, 0);
    bytes.writeUIntBE(header.base, 4, 6);
    bytes.writeUIntBE(header.size, 10, 6);
    bytes.writeUIntBE(header.shrunkTo, 16, 6);
    bytes.writeUIntBE(header.shrunkAt, 22, 6);
    bytes.write(boot, bootAt, bootBytes, 'latin1');
    writeWhole(this.#fd, bytes, 0);
  }
}

function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : null;
}
