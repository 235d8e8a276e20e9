/**
 * The redo log of a target: one record for each committed batch, and nothing else. A record that is whole is a
 * commit; what a crash left half written is told by its checksum and counts as never received.
 *
 * Two files of equal size take turns. While one is written, the tree is synced in the background up to the last batch
 * of the other, and then the other is written over from its beginning: a file whose blocks exist already is synced
 * without a change of metadata, which halves the time of a sync on a journaling file system.
 *
 * Invariants:
 * L1  A record is readable only if its generation is its file's and its checksum fits.
 * L2  A file is written over only after everything in it was applied and synced (the caller says so with `free`).
 * L3  Numbers of batches rise by one across both files; what does not join on was never acknowledged.
 * L4  A file that does not begin with a record is emptied: its generations begin anew, and would come to those of what lies further
 *     back in it.
 *
 * Source: write-ahead logging with redo only (Mohan et al., ARIES, 1992), without undo: nothing is applied early.
 */

import {
  closeSync,
  constants,
  fdatasync,
  fsyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
} from 'node:fs';
import { join } from 'node:path';
import { xxh3 } from '@node-rs/xxhash';
import { writeWhole } from '../../os/whole-write.ts';

const magic = 0x48_66_4c_31;
/** magic u32, kind u32, generation u64, number u64, length u32, reserved u32, checksum u64 */
const headerBytes = 40;
/** The largest record: a batch with all its names. */
export const recordBytesMax = 64 << 20;
const kindBatch = 1;
const kindSynced = 2;

export interface LoggedBatch {
  /** This target's own number of the batch. */
  readonly number: number;
  readonly payload: Buffer;
}

export interface LogContents {
  /** Oldest first, without gaps. */
  readonly batches: readonly LoggedBatch[];
  /** Everything up to this number was applied and synced. */
  readonly synced: number;
}

interface Segment {
  readonly fd: number;
  generation: number;
  /** Where the next record goes. */
  end: number;
  /** The last batch in it; 0 when there is none. */
  last: number;
  free: boolean;
}

export class Log {
  readonly #segments: readonly [Segment, Segment];
  readonly #segmentBytes: number;
  #active: 0 | 1 = 0;
  #contents: LogContents;

  /** Opens or makes both files in `folder`. Throws what the file system throws. */
  constructor(folder: string, segmentBytes: number) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.#segmentBytes = segmentBytes;
    const open = (name: string): Segment => {
      const fd = openSync(join(folder, name), constants.O_RDWR | constants.O_CREAT, 0o600);
      return { fd, generation: 0, end: 0, last: 0, free: true };
    };
    this.#segments = [open('log-0'), open('log-1')];
    const folderFd = openSync(folder, 'r');
    fsyncSync(folderFd);
    closeSync(folderFd);
    this.#contents = this.#read();
  }

  /** What was committed when the log was opened; forget() lets go of the memory. */
  get contents(): LogContents {
    return this.#contents;
  }

  forget(): void {
    this.#contents = { batches: [], synced: this.#contents.synced };
  }

  /** True: the file that is written is full, and roll() is due. */
  get full(): boolean {
    return this.#segments[this.#active].end >= this.#segmentBytes;
  }

  /** The other file can be written over (L2). */
  get otherFree(): boolean {
    return this.#segments[this.#active === 0 ? 1 : 0].free;
  }

  /** Goes on in the other file. Answers the number of the last batch in the file that was left. */
  roll(): number {
    const left = this.#segments[this.#active];
    this.#active = this.#active === 0 ? 1 : 0;
    const next = this.#segments[this.#active];
    if (!next.free) throw new Error('a file of the log would be written over before it was applied');
    next.generation = left.generation + 1;
    next.end = 0;
    next.last = 0;
    return left.last;
  }

  /** Everything up to `number` is applied and synced. Writes a note of it, which need not be durable. */
  free(number: number): void {
    for (const segment of this.#segments) if (segment.last <= number) segment.free = true;
    const active = this.#segments[this.#active];
    // A note alone never makes a file busy.
    const { free } = active;
    this.#write(active, kindSynced, number, Buffer.alloc(0));
    active.free = free;
  }

  /** Writes the record of a batch; durable after the next sync(). Throws ENOSPC and the like, and can be repeated. */
  append(number: number, payload: Buffer): void {
    const active = this.#segments[this.#active];
    this.#write(active, kindBatch, number, payload);
    active.last = number;
    active.free = false;
  }

  /** Where the next record goes; rewind() goes back there, when what was written since can't be trusted. */
  get mark(): number {
    return this.#segments[this.#active].end;
  }

  rewind(mark: number): void {
    this.#segments[this.#active].end = mark;
  }

  /** What lies behind the place of the next record is never read again, once the next sync() resolved. */
  erase(): void {
    const { fd, end } = this.#segments[this.#active];
    if (fstatSync(fd).size > end) writeWhole(fd, Buffer.alloc(headerBytes), end);
  }

  /** Everything is applied and synced: the file that is written begins anew, so that it stays small. */
  restart(): void {
    const active = this.#segments[this.#active];
    if (!active.free) throw new Error('a file of the log would be written over before it was applied');
    active.generation += 1;
    active.end = 0;
    active.last = 0;
  }

  /** Everything appended before the call is durable when it resolves. Rejects with the error of the device. */
  sync(): Promise<void> {
    const { fd } = this.#segments[this.#active];
    return new Promise((resolve, reject) => {
      fdatasync(fd, (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }

  close(): void {
    for (const segment of this.#segments) closeSync(segment.fd);
  }

  #write(segment: Segment, kind: number, number: number, payload: Buffer): void {
    if (payload.length > recordBytesMax) throw new Error('a record of the log is too large');
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(magic, 0);
    header.writeUInt32BE(kind, 4);
    header.writeBigUInt64BE(BigInt(segment.generation), 8);
    header.writeBigUInt64BE(BigInt(number), 16);
    header.writeUInt32BE(payload.length, 24);
    header.writeBigUInt64BE(checksumOf(header, payload), 32);
    writeWhole(segment.fd, payload, segment.end + headerBytes);
    writeWhole(segment.fd, header, segment.end);
    segment.end += headerBytes + payload.length;
  }

  #read(): LogContents {
    const found = this.#segments.map((segment) => ({ segment, records: readSegment(segment) }));
    found.sort((a, b) => a.segment.generation - b.segment.generation);
    let batches: LoggedBatch[] = [];
    let synced = 0;
    for (const { segment, records } of found) {
      if (records.length === 0) ftruncateSync(segment.fd, 0); // L4
      for (const record of records) {
        if (record.kind === kindSynced) synced = Math.max(synced, record.number);
        else {
          // L3: a gap means that what came before it is of an older turn.
          if (batches.length > 0 && batches.at(-1)?.number !== record.number - 1) batches = [];
          batches.push({ number: record.number, payload: record.payload });
        }
      }
    }
    for (const segment of this.#segments) segment.free = segment.last <= synced;
    const newest = found[1]?.segment;
    this.#active = newest === this.#segments[1] ? 1 : 0;
    return { batches: batches.filter((batch) => batch.number > synced), synced };
  }
}

interface LogRecord {
  readonly kind: number;
  readonly number: number;
  readonly payload: Buffer;
}

/** Reads what is whole, from the beginning, and sets the segment's end, generation and last batch (L1). */
function readSegment(segment: Segment): LogRecord[] {
  const records: LogRecord[] = [];
  const { size } = fstatSync(segment.fd);
  const header = Buffer.alloc(headerBytes);
  for (;;) {
    if (readSync(segment.fd, header, 0, headerBytes, segment.end) !== headerBytes) break;
    const length = header.readUInt32BE(24);
    const generation = Number(header.readBigUInt64BE(8));
    const ofThisTurn = records.length === 0 || generation === segment.generation;
    if (header.readUInt32BE(0) !== magic || length > recordBytesMax || !ofThisTurn) break;
    if (segment.end + headerBytes + length > size) break;
    const payload = Buffer.allocUnsafe(length);
    if (readSync(segment.fd, payload, 0, length, segment.end + headerBytes) !== length) break;
    if (header.readBigUInt64BE(32) !== checksumOf(header, payload)) break;
    const kind = header.readUInt32BE(4);
    const number = Number(header.readBigUInt64BE(16));
    records.push({ kind, number, payload });
    segment.generation = generation;
    segment.end += headerBytes + length;
    if (kind === kindBatch) segment.last = number;
  }
  return records;
}

function checksumOf(header: Buffer, payload: Buffer): bigint {
  return xxh3.xxh64(payload, xxh3.xxh64(header.subarray(0, 32)));
}
