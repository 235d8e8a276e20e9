/**
 * Which blocks of big files changed since any sequence number, so that only these are sent.
 *
 * X1. Note before you read what you send. A record must never know contents that were not sent: what changes between noting
 *     and reading is found at the next noting, and is sent twice; the other way round it would never be sent.
 * X2. Noting is sliced, so that the event loop turns every 10 ms, and costs no more memory than one span of 4 MiB.
 * X3. Groups of 256 KiB are compared first, at the speed of memory; only those that differ are hashed block by block. Holes are
 *     not read where the record knows of nothing but zeros.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { xxh64 } from '@node-rs/xxhash';
import {
  BlockRecord,
  type RecordHeader,
  blockBytes,
  groupBlocks,
  groupBytes,
  groupHashAt,
  groupOfRecordByte,
  hashBytes,
  hashesAt,
  rowBytes,
} from './block-record.ts';
import type { Entry } from './types.ts';
import { bootId } from '../os/boot-id.ts';
import { dataSegments, syncFileSystem } from '../os/contents.ts';
import type { Segment } from '../os/types.ts';

const spanGroups = 16;
const spanBytes = spanGroups * groupBytes;
const sliceMs = 10;
const folders = 256;
const syncedSinglyMax = 8;
const zeros = Buffer.alloc(groupBytes);

/** One folder of records, by catalog id. One user at a time. */
export class BlockRecords {
  readonly #dir: string;
  readonly #boot = bootId();
  readonly #open = new Set<number>();
  /** Numbers of the folders that are there. */
  readonly #folders: Set<number>;
  readonly #contents = Buffer.alloc(spanBytes);
  readonly #rows = Buffer.alloc(spanGroups * rowBytes);
  readonly #fresh = Buffer.alloc(groupBlocks * hashBytes);
  #turn: Promise<unknown> = Promise.resolve();

  /** Made when missing. */
  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#folders = new Set(readdirSync(dir).map((name) => Number.parseInt(name, 16)));
  }

  /** It was noted, at `since` or before: what changed since then can be told. */
  has(entry: Entry, since = Infinity): boolean {
    const record = this.#record(entry.id, false);
    if (record === null) return false;
    try {
      return record.header !== null && record.header.base <= since;
    } finally {
      record.close();
    }
  }

  /** Notes all blocks of an open file, as of the entry's number and size. X1. */
  async note(entry: Entry, fd: number): Promise<void> {
    const done = this.#turn.then(async () => {
      await this.#noted(entry, fd);
    });
    this.#turn = done.catch(() => undefined);
    await done;
  }

  /** Notes it, and answers what changed since: everything, when it was not noted by then. In order, in whole blocks. */
  async changed(entry: Entry, fd: number, since: number): Promise<Segment[]> {
    await this.note(entry, fd);
    return this.changedSince(entry, since);
  }

  /** Of the last noting. */
  changedSince(entry: Entry, since: number): Segment[] {
    const { size } = entry.attributes;
    const record = this.#record(entry.id, false);
    try {
      const header = record?.header ?? null;
      if (record === null || header === null || header.base > since)
        return size === 0 ? [] : [{ offset: 0, length: size }];
      return segmentsSince(record, header, since, size);
    } finally {
      record?.close();
    }
  }

  forget(id: number): void {
    this.#open.delete(id);
    // Asked for each small file that is sent, and seldom there.
    if (this.#folders.has(id % folders) && existsSync(this.#path(id)))
      rmSync(this.#path(id), { force: true });
  }

  /** Forgets those that no entry has. */
  prune(isLive: (id: number) => boolean): void {
    for (const folder of readdirSync(this.#dir)) {
      for (const name of readdirSync(join(this.#dir, folder)))
        if (!isLive(Number(name))) this.forget(Number(name));
    }
  }

  /** On stable storage: what was noted is good for a later life of the host. */
  async close(): Promise<void> {
    await this.#turn;
    const many = this.#open.size > syncedSinglyMax;
    if (many) await this.#syncAll();
    for (const id of this.#open) {
      const record = this.#record(id, false);
      if (!many) record?.sync();
      record?.settle();
      if (!many) record?.sync();
      record?.close();
    }
    if (many) await this.#syncAll();
    this.#open.clear();
  }

  /** One sync of the file system costs less than two of each of many records, and a planned move waits for it. */
  async #syncAll(): Promise<void> {
    const fd = openSync(this.#dir, 'r');
    try {
      await syncFileSystem(fd);
    } finally {
      closeSync(fd);
    }
  }

  async #noted(entry: Entry, fd: number): Promise<void> {
    const { size } = entry.attributes;
    const { sequence } = entry;
    if (!this.#folders.has(entry.id % folders))
      mkdirSync(join(this.#path(entry.id), '..'), { recursive: true, mode: 0o700 });
    this.#folders.add(entry.id % folders);
    const record = this.#record(entry.id, true);
    if (record === null) throw new Error('a record of blocks could not be made');
    this.#open.add(entry.id);
    try {
      const old = record.header ?? { base: sequence, size: 0, shrunkTo: Infinity, shrunkAt: 0 };
      const known = record.header !== null;
      const shrank = known && size < old.size;
      const header: RecordHeader = {
        base: old.base,
        size,
        shrunkTo: Math.min(shrank ? size : old.shrunkTo, old.shrunkTo, numberMax),
        shrunkAt: shrank ? sequence : old.shrunkAt,
      };
      record.begin({ ...header, size: old.size });
      await this.#spans(record, fd, size, sequence);
      record.cut(Math.ceil(size / groupBytes));
      record.end(header);
    } finally {
      record.close();
    }
  }

  async #spans(record: BlockRecord, fd: number, size: number, sequence: number): Promise<void> {
    let until = performance.now() + sliceMs;
    for (let at = nextSpan(record, fd, 0, size); at < size; at = nextSpan(record, fd, at + spanBytes, size)) {
      const bytes = readFully(fd, this.#contents.subarray(0, Math.min(spanBytes, size - at)), at);
      this.#span(record, at / groupBytes, bytes, sequence);
      if (performance.now() >= until) {
        await setImmediate();
        until = performance.now() + sliceMs;
      }
    }
  }

  /** Some groups at once: compares, and writes those that differ. */
  #span(record: BlockRecord, first: number, bytes: Buffer, sequence: number): void {
    const groups = Math.ceil(bytes.length / groupBytes);
    const rows = this.#rows.subarray(0, groups * rowBytes);
    record.read(first, rows);
    let from = groups;
    let to = 0;
    for (let i = 0; i < groups; i += 1) {
      const row = rows.subarray(i * rowBytes, (i + 1) * rowBytes);
      if (!this.#group(row, bytes.subarray(i * groupBytes, (i + 1) * groupBytes), sequence)) continue;
      from = Math.min(from, i);
      to = i + 1;
    }
    if (to > 0) record.write(first + from, rows.subarray(from * rowBytes, to * rowBytes));
  }

  /** True: it differs, and `row` says so now. */
  #group(row: Buffer, bytes: Buffer, sequence: number): boolean {
    const hash = this.#fresh;
    putHash(hash, 0, bytes);
    if (hash.compare(row, groupHashAt, rowBytes, 0, hashBytes) === 0) return false;
    hash.copy(row, groupHashAt, 0, hashBytes);
    hash.fill(0);
    for (let at = 0, block = 0; at < bytes.length; at += blockBytes, block += 1) {
      putHash(hash, block * hashBytes, bytes.subarray(at, at + blockBytes));
    }
    for (let block = 0; block < groupBlocks; block += 1) {
      const own = block * hashBytes;
      const kept = hashesAt + own;
      if (hash.compare(row, kept, kept + hashBytes, own, own + hashBytes) !== 0)
        row.writeDoubleBE(sequence, block * 8);
    }
    hash.copy(row, hashesAt);
    return true;
  }

  #record(id: number, make: boolean): BlockRecord | null {
    return BlockRecord.open(this.#path(id), this.#boot, make);
  }

  #path(id: number): string {
    return join(this.#dir, (id % folders).toString(16).padStart(2, '0'), String(id));
  }
}

/** What 6 bytes hold. */
const numberMax = 2 ** 48 - 1;

function segmentsSince(record: BlockRecord, header: RecordHeader, since: number, size: number): Segment[] {
  const segments: { offset: number; length: number }[] = [];
  const regrown = header.shrunkAt > since ? Math.floor(header.shrunkTo / blockBytes) * blockBytes : Infinity;
  const rows = Buffer.alloc(spanGroups * rowBytes);
  const end = Math.min(size, regrown);
  for (let at = nextRecorded(record, 0); at < end; at = nextRecorded(record, at + spanBytes)) {
    record.read(at / groupBytes, rows);
    for (let block = 0; block < spanGroups * groupBlocks; block += 1) {
      const offset = at + block * blockBytes;
      if (offset >= end) break;
      const row = Math.floor(block / groupBlocks) * rowBytes;
      if (rows.readDoubleBE(row + (block % groupBlocks) * 8) > since)
        add(segments, offset, Math.min(blockBytes, size - offset));
    }
  }
  if (regrown < size) add(segments, regrown, size - regrown);
  return segments;
}

function add(segments: { offset: number; length: number }[], offset: number, length: number): void {
  const last = segments.at(-1);
  if (last !== undefined && last.offset + last.length === offset) last.length += length;
  else segments.push({ offset, length });
}

/** X3: the next span, from `from` on, in which the file or its record holds something. */
function nextSpan(record: BlockRecord, fd: number, from: number, size: number): number {
  if (from >= size) return size;
  const data = dataSegments(fd, from, 1)[0]?.offset ?? size;
  return Math.min(Math.floor(data / spanBytes) * spanBytes, nextRecorded(record, from));
}

function nextRecorded(record: BlockRecord, from: number): number {
  const at = Math.ceil(from / groupBytes);
  const data = dataSegments(record.fd, at * rowBytes + headerOffset, 1)[0]?.offset;
  if (data === undefined) return Infinity;
  return Math.max(from, Math.floor((groupOfRecordByte(data) * groupBytes) / spanBytes) * spanBytes);
}

const headerOffset = 64;

function putHash(into: Buffer, at: number, bytes: Buffer): void {
  if (
    bytes[0] === 0 &&
    bytes[bytes.length - 1] === 0 &&
    zeros.compare(bytes, 0, bytes.length, 0, bytes.length) === 0
  ) {
    into.fill(0, at, at + hashBytes);
    return;
  }
  into.writeBigUInt64BE(xxh64(bytes, 0n), at);
  into.writeBigUInt64BE(xxh64(bytes, secondSeed), at + 8);
}

/** Two of 64 bits, because here XXH64 runs at 6 to 20 GB/s and the 128 bits of XXH3 at 1.2. */
const secondSeed = 0x9e3779b97f4a7c15n;

/** What is missing at the end (the file shrank meanwhile) is zeros; then it is found different at the next noting. */
function readFully(fd: number, into: Buffer, offset: number): Buffer {
  let done = 0;
  while (done < into.length) {
    const read = readSync(fd, into, done, into.length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return into.fill(0, done);
}
