/**
 * Which blocks of big files changed since any sequence number, so that only these are sent.
 *
 * X1. Note before you read what you send. A record must never know contents that were not sent: what changes between noting
 *     and reading is found at the next noting, and is sent twice; the other way round it would never be sent. What is again at
 *     the next noting what it was is found by holding what is sent against the record (sent-blocks.ts).
 * X2. Noting is sliced, so that the event loop turns every 10 ms, and costs no more memory than one span of 4 MiB.
 * X3. Groups of 256 KiB are compared first, at the speed of memory; only those that differ are hashed block by block. Holes are
 *     not read where the record knows of nothing but zeros.
 */
import { closeSync, existsSync, mkdirSync, openSync, readSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import {
  BlockRecord,
  type RecordHeader,
  blockBytes,
  groupBlocks,
  groupBytes,
  hashBytes,
  hashesAt,
  rowBytes,
} from './block-record.ts';
import { Noting, spanGroups } from './noting.ts';
import { SentBlocks, type BlockSent } from './sent-blocks.ts';
import type { Entry } from './types.ts';
import { bootId } from '../os/boot-id.ts';
import { dataSegments, syncFileSystem } from '../os/contents.ts';
import type { Segment } from '../os/types.ts';

const spanBytes = spanGroups * groupBytes;
const sliceMs = 10;
const folders = 256;
const syncedSinglyMax = 8;

/** Whether a target has a block, by its place among the blocks, as its hash is on record, whatever its number says. */
export type Holds = (block: number, hash: Buffer) => boolean;

/** One folder of records, by catalog id. One user at a time. */
export class BlockRecords {
  readonly #dir: string;
  readonly #boot = bootId();
  readonly #open = new Set<number>();
  /** Under way, by catalog id. */
  readonly #notings = new Map<number, Noting>();
  /** The file that note() is at. */
  #noted: number | null = null;
  /** Numbers of the folders that are there. */
  readonly #folders: Set<number>;
  readonly #contents = Buffer.alloc(spanBytes);
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

  /** Notes all blocks of an open file, as of the entry's number and size. X1. `number`: see noting.ts. */
  async note(entry: Entry, fd: number, number = (): number => entry.sequence): Promise<void> {
    const done = this.#turn.then(async () => {
      await this.#note(entry, fd, number);
    });
    this.#turn = done.catch(() => undefined);
    await done;
  }

  /**
   * Begins a noting that gets the very contents that are sent (X1), piece by piece; the caller ends it or gives it up. One
   * that was begun before for the same file is over. Null: note() is at this file.
   */
  begin(entry: Entry, number: () => number): Noting | null {
    return this.#noted === entry.id ? null : this.#begin(entry, number);
  }

  /** Of a file that was noted: gets what is sent of it, piece by piece, and the caller ends it. Null: it was forgotten. */
  sent(entry: Entry, number: () => number, sent: BlockSent | null = null): SentBlocks | null {
    const record = this.#record(entry.id, false);
    if (record === null) return null;
    return new SentBlocks(record, entry.attributes.size, number, sent);
  }

  /** Notes it, and answers what changed since: everything, when it was not noted by then. In order, in whole blocks. */
  async changed(entry: Entry, fd: number, since: number): Promise<Segment[]> {
    await this.note(entry, fd);
    return this.changedSince(entry, since);
  }

  /** Of the last noting, without what the target holds. */
  changedSince(entry: Entry, since: number, holds: Holds | null = null): Segment[] {
    const { size } = entry.attributes;
    const record = this.#record(entry.id, false);
    try {
      const header = record?.header ?? null;
      if (record === null || header === null || header.base > since)
        return size === 0 ? [] : [{ offset: 0, length: size }];
      return segmentsSince(record, header, { since, size, holds });
    } finally {
      record?.close();
    }
  }

  forget(id: number): void {
    this.#notings.get(id)?.giveUp();
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

  async #note(entry: Entry, fd: number, number: () => number): Promise<void> {
    this.#noted = entry.id;
    const noting = this.#begin(entry, number);
    try {
      await this.#spans(noting, fd, entry.attributes.size);
      noting.end();
    } finally {
      this.#noted = null;
      noting.giveUp();
    }
  }

  #begin(entry: Entry, number: () => number): Noting {
    const { id } = entry;
    this.#notings.get(id)?.giveUp();
    if (!this.#folders.has(id % folders))
      mkdirSync(join(this.#path(id), '..'), { recursive: true, mode: 0o700 });
    this.#folders.add(id % folders);
    const record = this.#record(id, true);
    if (record === null) throw new Error('a record of blocks could not be made');
    this.#open.add(id);
    const noting = new Noting(record, entry, number, () => {
      if (this.#notings.get(id) === noting) this.#notings.delete(id);
    });
    this.#notings.set(id, noting);
    return noting;
  }

  async #spans(noting: Noting, fd: number, size: number): Promise<void> {
    const { record } = noting;
    let until = performance.now() + sliceMs;
    for (let at = nextSpan(record, fd, 0, size); at < size; at = nextSpan(record, fd, at + spanBytes, size)) {
      const bytes = readFully(fd, this.#contents.subarray(0, Math.min(spanBytes, size - at)), at);
      noting.take(at, bytes);
      if (performance.now() >= until) {
        await setImmediate();
        if (!noting.isOpen) return; // It was forgotten meanwhile.
        until = performance.now() + sliceMs;
      }
    }
  }

  #record(id: number, make: boolean): BlockRecord | null {
    return BlockRecord.open(this.#path(id), this.#boot, make);
  }

  #path(id: number): string {
    return join(this.#dir, (id % folders).toString(16).padStart(2, '0'), String(id));
  }
}

function segmentsSince(
  record: BlockRecord,
  header: RecordHeader,
  { since, size, holds }: { since: number; size: number; holds: Holds | null },
): Segment[] {
  const segments: { offset: number; length: number }[] = [];
  const regrown = header.shrunkAt > since ? Math.floor(header.shrunkTo / blockBytes) * blockBytes : Infinity;
  const rows = Buffer.alloc(spanGroups * rowBytes);
  const end = Math.min(size, regrown);
  for (let at = nextRecordedSpan(record, 0); at < end; at = nextRecordedSpan(record, at + spanBytes)) {
    record.read(at / groupBytes, rows);
    for (let block = 0; block < spanGroups * groupBlocks; block += 1) {
      const offset = at + block * blockBytes;
      if (offset >= end) break;
      const row = Math.floor(block / groupBlocks) * rowBytes;
      const inRow = block % groupBlocks;
      if (rows.readDoubleBE(row + inRow * 8) <= since) continue;
      const hashAt = row + hashesAt + inRow * hashBytes;
      if (holds?.(offset / blockBytes, rows.subarray(hashAt, hashAt + hashBytes)) === true) continue;
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
  return Math.min(Math.floor(data / spanBytes) * spanBytes, nextRecordedSpan(record, from));
}

function nextRecordedSpan(record: BlockRecord, from: number): number {
  return Math.max(from, Math.floor(record.nextRecorded(from) / spanBytes) * spanBytes);
}

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
