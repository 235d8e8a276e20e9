/**
 * What a volume's roles stand on: its record, the extents that are hot, and a bitmap for each other copy. All of it lies
 * in one folder of stores (DIR/mirror/NAME/volume).
 *
 *   G1  opened, nothing is hot: what a former life left hot is durable in the volume itself, and dirty in every bitmap. So is what was
 *       there before its first life: what is cold is trusted
 *   G2  a bitmap that is not kept up is removed, so that nobody trusts it later
 *   G3  records of another store than the one that is there are never believed (store/likeness.ts): forgetWhatWas()
 *   G4  a store that is smaller than the volume is meant to be by now has the size that the volume had here before: it grows when
 *       the store does
 *   G5  what an owner's sync failed for lies in extents that were hot, and may be read back from the cache and not be on the disk:
 *       it is written again, and synced, before anything is believed of it
 *   G6  a volume whose mirror was taken away may be written to past every bitmap: from then on no relation to another copy counts
 */

import type { Epoch, EpochEnd, History } from '@holdfast/core';
import { advanceHistory } from '@holdfast/core';
import { errorCode } from '@holdfast/wire/directory';
import * as z from 'zod';
import { Slice } from '../files/source/slice.ts';
import { blockBytes, type ByteRange } from '../transport/volume-frames.ts';
import { HotExtents, usualHeat, type Heat } from './bitmap/hot-extents.ts';
import { nameOf, PeerBitmap } from './bitmap/peer-bitmap.ts';
import { Slots } from './bitmap/slots.ts';
import { likenessShape, type Likeness } from './store/likeness.ts';
import type { Disk, Store } from './store/store.ts';

/** That the writes of an own epoch and those of a source exclude each other, and whether a person chose the source. */
export interface ChoiceRecord {
  readonly own: Epoch;
  readonly source: string;
  /** Of the source. */
  readonly epoch: Epoch;
  /** Nothing is known of what is the same on both sides. */
  readonly whole: boolean;
  readonly made: boolean;
}

/** A consistent position, and by what it is led back to. */
export interface WayBackRecord extends EpochEnd {
  /** The snapshot by which; null: by the undo log. */
  readonly snapshot: string | null;
}

export interface VolumeRecord {
  /** The highest that was seen here; nothing of a lower one is taken. */
  readonly epoch: Epoch;
  readonly history: History;
  /** The contents are those of one moment of some source. */
  readonly consistent: boolean;
  /** It was open for writing at this epoch, and was not brought in step with another copy since; null: neither. */
  readonly ownEpoch: Epoch | null;
  /** Who is to survive where the other side wrote, too (target/choice.ts); null: nobody asked, or it is over. */
  readonly choice: ChoiceRecord | null;
  readonly peers: readonly string[];
  /** Where a resync that does not come to its end leads back; null: nowhere, or there is none (target/way-back.ts). */
  readonly undoTo: WayBackRecord | null;
  /** A sync failed, and what it was for may be read back from the cache and not be on the disk. Until it is in step. */
  readonly suspect: boolean;
  /** The same of an owner's sync: of what was hot, and until that was written again (G5). */
  readonly hotSuspect: boolean;
  /** How often the disk failed since the copy was in step last. */
  readonly failures: number;
  /** What the volume is recognised by; null: nobody looked yet. */
  readonly likeness: Likeness | null;
  /** Of the volume, when it was opened here last; null: not known. */
  readonly sizeBytes: number | null;
}

/** Where it is, there was a volume. */
export const groundRecord = 'record';
const recordBytes = 131_072;
const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((digits) => BigInt(digits));
const end = z.strictObject({ epoch, sequence: z.number() });
const schema = z.strictObject({
  epoch,
  history: z.array(end),
  consistent: z.boolean(),
  ownEpoch: epoch.nullable(),
  choice: z
    .strictObject({ own: epoch, source: z.string(), epoch, whole: z.boolean(), made: z.boolean() })
    .nullable()
    .default(null),
  peers: z.array(z.string()),
  undoTo: end.extend({ snapshot: z.string().nullable().default(null) }).nullable(),
  suspect: z.boolean().default(false),
  hotSuspect: z.boolean().default(false),
  failures: z.number().default(0),
  likeness: likenessShape.nullable().default(null),
  sizeBytes: z.number().nullable().default(null),
});

const blank: VolumeRecord = {
  epoch: 0n,
  history: [],
  consistent: false,
  ownEpoch: null,
  choice: null,
  peers: [],
  undoTo: null,
  suspect: false,
  hotSuspect: false,
  failures: 0,
  likeness: null,
  sizeBytes: null,
};

export class VolumeGround {
  readonly disk: Disk;
  readonly chunkBytes: number;
  readonly hot: HotExtents;
  readonly #store: Store;
  readonly #slots: Slots;
  readonly #peers = new Map<string, PeerBitmap>();
  #sizeBytes: number;
  #record: VolumeRecord;
  #turn: Promise<void> = Promise.resolve();

  private constructor(disk: Disk, volume: Store, wantedBytes: number, chunkBytes: number, heat: Heat) {
    this.disk = disk;
    this.chunkBytes = chunkBytes;
    this.#store = disk.open(groundRecord);
    this.#slots = new Slots(this.#store, recordBytes);
    this.#record = recordOf(this.#slots);
    const sizeBytes = volume.sizeBytes >= wantedBytes ? wantedBytes : (this.#record.sizeBytes ?? wantedBytes); // G4
    this.#sizeBytes = sizeBytes;
    this.hot = HotExtents.open(disk, sizeBytes, heat);
    for (const peer of this.#record.peers)
      this.#peers.set(peer, new PeerBitmap(disk, peer, sizeBytes, chunkBytes));
  }

  /** Of the volume, when it was opened last; null: not known. Throws what the disk says. */
  static sizeOf(disk: Disk): number | null {
    if (!disk.exists(groundRecord)) return null;
    const store = disk.open(groundRecord);
    try {
      return recordOf(new Slots(store, recordBytes)).sizeBytes;
    } finally {
      store.close();
    }
  }

  /** G6. Nobody has it open. Throws what the disk says. */
  static async forgetOthers(disk: Disk): Promise<void> {
    if (!disk.exists(groundRecord)) return;
    const store = disk.open(groundRecord);
    try {
      const slots = new Slots(store, recordBytes);
      const record = recordOf(slots);
      if (record.peers.length === 0) return;
      await slots.replace(bytesOf({ ...record, peers: [] }));
      for (const peer of record.peers) disk.remove(nameOf(peer));
    } finally {
      store.close();
    }
  }

  /**
   * Throws what the disk says. `volume`: what a former life wrote to it may be in the system's cache only. `sizeBytes`: as it is
   * meant to be (G4).
   */
  static async open(
    disk: Disk,
    volume: Store,
    sizeBytes: number,
    chunkBytes: number,
    heat: Heat = usualHeat,
  ): Promise<VolumeGround> {
    const ground = new VolumeGround(disk, volume, sizeBytes, chunkBytes, heat);
    try {
      await ground.#fold(volume);
      if (ground.record.sizeBytes !== ground.sizeBytes) await ground.save({ sizeBytes: ground.sizeBytes });
    } catch (error) {
      ground.close();
      throw error;
    }
    return ground;
  }

  /** Of the volume. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get record(): VolumeRecord {
    return this.#record;
  }

  /** The last sequence number that this copy holds, or may have given out. */
  get sequence(): number {
    return Math.max(this.#record.history.at(-1)?.sequence ?? 0, this.hot.sequenceBound);
  }

  /** One after the other. */
  save(change: Partial<VolumeRecord>): Promise<void> {
    const saved = this.#turn.then(() => this.#save(change));
    this.#turn = saved.catch(() => undefined);
    return saved;
  }

  async #save(change: Partial<VolumeRecord>): Promise<void> {
    const record = { ...this.#record, ...change };
    await this.#slots.replace(bytesOf(record));
    this.#record = record;
  }

  /** `history` of a copy that holds `sequence` at this epoch. A number that would fall stays. */
  historyAt(at: Epoch, sequence: number): History {
    const last = this.#record.history.at(-1);
    return advanceHistory(this.#record.history, at, Math.max(sequence, last?.sequence ?? 0));
  }

  peers(): readonly [string, PeerBitmap][] {
    return [...this.#peers];
  }

  /** Of another copy; made when it is missing, with every bit set and no stamp. */
  async peer(name: string): Promise<PeerBitmap> {
    const known = this.#peers.get(name);
    if (known !== undefined) return known;
    // A life that ended while it dropped this one may have left its bitmap, and the stamp in that (G2).
    this.disk.remove(nameOf(name));
    const made = new PeerBitmap(this.disk, name, this.sizeBytes, this.chunkBytes);
    await made.save();
    await made.grow(this.sizeBytes);
    this.#peers.set(name, made);
    await this.save({ peers: [...this.#peers.keys()] });
    return made;
  }

  /** G2, until it is removed: it names everything. In memory: what it lacks on disk is on record as hot (peer-bitmap.ts, B1). */
  distrust(name: string): void {
    this.#peers.get(name)?.addAll();
  }

  /** G2. */
  async drop(name: string): Promise<void> {
    const peer = this.#peers.get(name);
    if (peer === undefined) return;
    this.distrust(name);
    // What can't be taken off the record is still one of them, and is tried again.
    await this.save({ peers: [...this.#peers.keys()].filter((other) => other !== name) });
    this.#peers.delete(name);
    peer.close();
    this.disk.remove(nameOf(name));
  }

  /** G3. The highest epoch that was seen stays, and what diverged. */
  async forgetWhatWas(likeness: Likeness): Promise<void> {
    const peers = [...this.#peers.keys()];
    await this.save({
      ...{ history: [], consistent: false, ownEpoch: null, choice: null, peers: [], undoTo: null },
      ...{ suspect: false, hotSuspect: false, failures: 0, likeness, sizeBytes: this.#sizeBytes },
    });
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    for (const peer of peers) this.disk.remove(nameOf(peer));
  }

  /** The volume has grown. What is new differs from everybody's: at once, and durably when it resolves. */
  async grow(sizeBytes: number): Promise<void> {
    this.#sizeBytes = Math.max(this.#sizeBytes, sizeBytes);
    this.hot.grow(sizeBytes);
    await Promise.all([...this.#peers.values()].map((peer) => peer.grow(sizeBytes)));
    await this.save({ sizeBytes: this.#sizeBytes });
  }

  /** Chunks of a range: the first and the last. */
  chunksOf(offset: number, length: number): readonly [number, number] {
    return [Math.floor(offset / this.chunkBytes), Math.floor((offset + length - 1) / this.chunkBytes)];
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close();
    this.hot.close();
    this.#store.close();
  }

  /** G1. */
  async #fold(volume: Store): Promise<void> {
    const hot = [...this.hot.hot()];
    if (hot.length === 0) {
      if (this.#record.sizeBytes === null) await volume.sync();
      return;
    }
    await this.#settle(volume, hot);
    for (const peer of this.#peers.values()) {
      for (const { offset, length } of hot) {
        const [first, last] = this.chunksOf(offset, Math.min(length, this.sizeBytes - offset));
        for (let chunk = first; chunk <= last; chunk += 1) peer.add(chunk);
      }
      await peer.save();
    }
    await this.hot.settled(this.hot.sequenceBound);
  }

  /** G5. */
  async #settle(volume: Store, hot: readonly ByteRange[]): Promise<void> {
    const { suspect, hotSuspect } = this.#record;
    const slice = new Slice();
    if (suspect || hotSuspect)
      for (const { offset, length } of hot) {
        const end = Math.min(this.sizeBytes, offset + length);
        for (const segment of volume.segments(offset, end - offset)) writeAgain(volume, segment);
        await slice.turn();
      }
    try {
      await volume.sync();
    } catch (error) {
      await this.save({ hotSuspect: true });
      throw error;
    }
    if (hotSuspect) await this.save({ hotSuspect: false });
  }
}

function bytesOf(record: VolumeRecord): Buffer {
  const text = JSON.stringify(record, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString() : value,
  );
  return Buffer.from(text);
}

function recordOf(slots: Slots): VolumeRecord {
  const bytes = slots.read();
  return bytes === null ? blank : schema.parse(JSON.parse(bytes.toString()));
}

/** What can't be read is believed by nobody, and stays as it is. */
function writeAgain(volume: Store, { offset, length }: ByteRange): void {
  const contents = Buffer.allocUnsafe(length);
  try {
    volume.read(contents, offset);
  } catch (error) {
    if (errorCode(error) === '') throw error;
    const half = Math.ceil(length / 2 / blockBytes) * blockBytes;
    if (half >= length) return;
    writeAgain(volume, { offset, length: half });
    writeAgain(volume, { offset: offset + half, length: length - half });
    return;
  }
  volume.write(contents, offset);
}
