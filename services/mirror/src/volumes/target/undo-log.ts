/**
 * What a resync overwrites, as it was: so that a copy that is changed out of order can go back to its last consistent point,
 * and so that what only existed here can be kept. Each in a log of its own (overwriting.ts).
 *
 *   entry     magic u32, flags u8 (1 zeros), 3 spare, offset u48, length u48, checksum u64, contents unless zeros
 *
 *   U1  blocks are overwritten only after save() and sync(): the log holds each block once, as it was at the beginning
 *   U2  an entry that is not whole was not synced, so that nothing was overwritten that it would tell of; it ends the log
 *   U3  where the disk failed since, what is read back of it may not be on it: it is written again, and durable with the next sync
 *   U4  it may be as large as its disk has room for: whoever goes through it gives the event loop its turn
 */

import { xxh3 } from '@node-rs/xxhash';
import { Slice } from '../../files/source/slice.ts';
import { blockBytes, type ByteRange } from '../../transport/volume-frames.ts';
import type { Disk, Store } from '../store/store.ts';
import { readRange } from '../hashing.ts';
import { SparseBits } from './sparse-bits.ts';
import type { WayBack } from './way-back.ts';

export type LogName = 'undo' | 'own';
export const undoLogName: LogName = 'undo';
export const ownLogName: LogName = 'own';

const magic = 0x48665564;
const headerBytes = 28;
const entryBytesMax = 1_048_576;
const zerosFlag = 1;

export interface UndoEntry extends ByteRange {
  /** Null: zeros. Valid until the next entry. */
  readonly contents: Buffer | null;
}

export class UndoLog implements WayBack {
  readonly besideVolume = false;
  readonly #disk: Disk;
  readonly #name: LogName;
  readonly #log: Store;
  readonly #volume: Store;
  readonly #sizeBytes: number;
  readonly #saved = new SparseBits();
  readonly #buffer = Buffer.allocUnsafeSlow(entryBytesMax);
  #end = 0;
  #contentBytes = 0;

  private constructor(disk: Disk, name: LogName, volume: Store, sizeBytes: number) {
    this.#disk = disk;
    this.#name = name;
    this.#log = disk.open(name);
    this.#volume = volume;
    this.#sizeBytes = sizeBytes;
  }

  /** An empty one. */
  static begin(disk: Disk, name: LogName, volume: Store, sizeBytes: number): UndoLog {
    disk.remove(name);
    return new UndoLog(disk, name, volume, sizeBytes);
  }

  /** The one that a former life began. `distrusted`: U3. */
  static async resume(
    disk: Disk,
    name: LogName,
    volume: Store,
    sizeBytes: number,
    distrusted: boolean,
  ): Promise<UndoLog> {
    const log = new UndoLog(disk, name, volume, sizeBytes);
    try {
      await log.#readBack(distrusted);
      return log;
    } catch (error) {
      log.close();
      throw error;
    }
  }

  get bytes(): number {
    return this.#end;
  }

  /** Of the volume, that it tells of. */
  get contentBytes(): number {
    return this.#contentBytes;
  }

  has(block: number): boolean {
    return this.#saved.has(block);
  }

  save(ranges: Iterable<ByteRange>, meant: (block: number) => boolean): void {
    for (const { offset, length } of ranges) {
      const end = Math.min(this.#sizeBytes, offset + length);
      const last = Math.ceil(end / blockBytes);
      let from: number | null = null;
      for (let block = Math.floor(offset / blockBytes); block <= last; block += 1) {
        const wanted = block < last && !this.#saved.has(block) && meant(block);
        const full = from !== null && (block - from) * blockBytes >= entryBytesMax;
        if (from !== null && (!wanted || full)) {
          this.#add(from, block);
          from = null;
        }
        if (wanted) from ??= block;
      }
    }
  }

  sync(): Promise<void> {
    return this.#log.sync();
  }

  *entries(): Iterable<UndoEntry> {
    const header = Buffer.alloc(headerBytes);
    const buffer = Buffer.allocUnsafeSlow(entryBytesMax);
    for (let at = 0; at + headerBytes <= this.#log.sizeBytes;) {
      this.#log.read(header, at);
      const length = header.readUIntBE(14, 6);
      const bits = header.readUInt8(4);
      if (header.readUInt32BE(0) !== magic || length > entryBytesMax) return; // U2
      const stored = (bits & zerosFlag) !== 0 ? 0 : length;
      if (at + headerBytes + stored > this.#log.sizeBytes) return;
      const contents = buffer.subarray(0, stored);
      this.#log.read(contents, at + headerBytes);
      if (header.readBigUInt64BE(20) !== checksumOf(header, contents)) return;
      yield {
        offset: header.readUIntBE(8, 6),
        length,
        contents: stored === 0 ? null : contents,
      };
      at += headerBytes + stored;
    }
  }

  *ranges(): Iterable<ByteRange> {
    for (const [from, behind] of this.#saved.runs()) {
      const offset = from * blockBytes;
      yield { offset, length: Math.min(this.#sizeBytes, behind * blockBytes) - offset };
    }
  }

  async rollBack(): Promise<void> {
    const slice = new Slice();
    for (const { offset, length, contents } of this.entries()) {
      if (contents === null) this.#volume.zero(offset, length, true);
      else this.#volume.write(contents, offset);
      if (slice.isOver) await slice.turn(); // U4
    }
  }

  remove(): void {
    this.#log.close();
    this.#disk.remove(this.#name);
  }

  close(): void {
    this.#log.close();
  }

  async #readBack(distrusted: boolean): Promise<void> {
    const slice = new Slice();
    for (const entry of this.entries()) {
      if (distrusted) this.#write(entry, this.#end); // U3
      const last = Math.floor((entry.offset + entry.length - 1) / blockBytes);
      for (let block = Math.floor(entry.offset / blockBytes); block <= last; block += 1)
        this.#saved.add(block);
      this.#contentBytes += entry.length;
      this.#end += headerBytes + (entry.contents === null ? 0 : entry.length);
      if (slice.isOver) await slice.turn(); // U4
    }
    this.#log.resize(this.#end);
  }

  #add(fromBlock: number, toBlock: number): void {
    const offset = fromBlock * blockBytes;
    const length = Math.min(this.#sizeBytes, toBlock * blockBytes) - offset;
    for (let block = fromBlock; block < toBlock; block += 1) this.#saved.add(block);
    const zeros = this.#volume.segments(offset, length).length === 0;
    const contents = zeros ? null : readRange(this.#volume, offset, length, this.#buffer);
    this.#write({ offset, length, contents }, this.#end);
    this.#end += headerBytes + (contents?.length ?? 0);
    this.#contentBytes += length;
  }

  #write({ offset, length, contents }: UndoEntry, at: number): void {
    const stored = contents ?? Buffer.alloc(0);
    const header = Buffer.alloc(headerBytes);
    header.writeUInt32BE(magic, 0);
    header[4] = contents === null ? zerosFlag : 0;
    header.writeUIntBE(offset, 8, 6);
    header.writeUIntBE(length, 14, 6);
    header.writeBigUInt64BE(checksumOf(header, stored), 20);
    this.#log.write(header, at);
    this.#log.write(stored, at + headerBytes);
  }
}

function checksumOf(header: Buffer, contents: Buffer): bigint {
  return xxh3.xxh64(contents, xxh3.xxh64(header.subarray(0, 20)));
}
