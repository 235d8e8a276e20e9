/**
 * The way back by a snapshot of the volume (store.ts, Snapshots): nothing is read or written before blocks are overwritten but
 * the marks of them.
 *
 *   N1  it is begun with a volume that is synced and that nobody writes to. The snapshot, and a store of no marks, are durable
 *       before `undoTo` names it (overwriting.ts); whoever dies before that has overwritten nothing, and left what is removed
 *   N2  blocks are overwritten only after save() and sync(): all of them are marked. What is not marked is as it was
 *   N3  back again is every marked block, as often as it takes: the snapshot stays until that is durable and on record, or until it
 *       is given up; its marks are never gone before it is, for then it would seem that nothing had been overwritten
 *   N4  the room that a snapshot takes is where the volume's next write needs it. With less than `spareBytes` left it counts as
 *       full, before a write or a flush of the volume fails for it
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import { Slice } from '../../files/source/slice.ts';
import { OsError } from '../../os/types.ts';
import { blockBytes, type ByteRange } from '../../transport/volume-frames.ts';
import type { Disk, Snapshots } from '../store/store.ts';
import { Marks } from './marks.ts';
import type { WayBack } from './way-back.ts';

/** A round of frames, what a file system allocates in one piece, and its own records. */
const spareBytes = 67_108_864;

export interface SnapshotUndoPorts {
  readonly disk: Disk;
  readonly snapshots: Snapshots;
  readonly sizeBytes: number;
}

export type Begun =
  | { readonly kind: 'made'; readonly undo: SnapshotUndo; readonly name: string }
  | { readonly kind: 'none'; readonly says: string };

export class SnapshotUndo implements WayBack {
  readonly besideVolume = true;
  readonly #ports: SnapshotUndoPorts;
  readonly #marks: Marks;

  private constructor(ports: SnapshotUndoPorts, marks: Marks) {
    this.#ports = ports;
    this.#marks = marks;
  }

  /** N1. Durable when it resolves. */
  static async begin(ports: SnapshotUndoPorts): Promise<Begun> {
    const { disk, snapshots } = ports;
    try {
      snapshots.remove();
      if (snapshots.freeBytes < spareBytes) return { kind: 'none', says: 'there is no room for it' }; // N4
      const name = await snapshots.make();
      return { kind: 'made', undo: new SnapshotUndo(ports, Marks.begin(disk)), name };
    } catch (error) {
      if (errorCode(error) === '') throw error;
      snapshots.remove();
      return { kind: 'none', says: errorText(error) };
    }
  }

  /** The one that a former life began. */
  static resume(ports: SnapshotUndoPorts): SnapshotUndo {
    return new SnapshotUndo(ports, Marks.resume(ports.disk));
  }

  get bytes(): number {
    return this.#marks.count * blockBytes;
  }

  has(block: number): boolean {
    return this.#marks.has(block);
  }

  save(ranges: Iterable<ByteRange>, meant: (block: number) => boolean): void {
    const { sizeBytes, snapshots } = this.#ports;
    const before = this.#marks.count;
    for (const { offset, length } of ranges) {
      const behind = Math.ceil(Math.min(sizeBytes, offset + length) / blockBytes);
      for (let block = Math.floor(offset / blockBytes); block < behind; block += 1)
        if (meant(block)) this.#marks.add(block);
    }
    const needed = (this.#marks.count - before) * blockBytes;
    if (needed > 0 && snapshots.freeBytes < needed + spareBytes)
      throw new OsError('ENOSPC', 'keeping the snapshot', null); // N4
  }

  sync(): Promise<void> {
    return this.#marks.sync();
  }

  *ranges(): Iterable<ByteRange> {
    for (const [from, behind] of this.#marks.runs()) {
      const offset = from * blockBytes;
      yield { offset, length: Math.min(this.#ports.sizeBytes, behind * blockBytes) - offset };
    }
  }

  async rollBack(): Promise<void> {
    const slice = new Slice();
    for (const { offset, length } of this.ranges()) {
      this.#ports.snapshots.putBack(offset, length);
      if (slice.isOver) await slice.turn();
    }
  }

  remove(): void {
    this.#ports.snapshots.remove();
    this.#marks.remove();
  }

  close(): void {
    this.#marks.close();
  }
}
