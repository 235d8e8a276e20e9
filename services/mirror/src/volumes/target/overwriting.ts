/**
 * What has to be done before blocks of a target are overwritten out of order: what it wrote itself as an owner goes to a log,
 * and for everything else there is a way back (way-back.ts): a snapshot of the volume, or a log as well.
 *
 *   O1  a copy that is consistent is overwritten only after what it was is durable aside, and so are its own writes in any
 *       copy. A block is in one of the two, as it was at the beginning
 *   O2  writes of its own that do not fit into the divergence store stop the resync; they are never dropped
 *   O3  a way back that outgrows `undoBytesMax`, or the room of its disk, is given up: the copy counts as incomplete until
 *       it is in step. Otherwise a large resync could never come to its end. So is one that takes the room of a write to the volume
 *   O4  blocks are its own while it has an own epoch on record, and not longer: bits may outlive that
 */

import { blockBytes, type ByteRange } from '../../transport/volume-frames.ts';
import type { PeerBitmap } from '../bitmap/peer-bitmap.ts';
import type { KeptBlocks } from '../divergence/kept-blocks.ts';
import type { VolumeGround } from '../ground.ts';
import { isNoRoom, type Snapshots, type Store } from '../store/store.ts';
import { clearWayBack } from './found-way-back.ts';
import { SnapshotUndo, type SnapshotUndoPorts } from './snapshot-undo.ts';
import { ownLogName, UndoLog, undoLogName, type LogName } from './undo-log.ts';
import type { WayBack } from './way-back.ts';

export interface OverwritingPorts {
  readonly ground: VolumeGround;
  readonly store: Store;
  /** Null: it is a device. */
  readonly snapshots: Snapshots | null;
  readonly kept: KeptBlocks;
  readonly undoBytesMax: () => number;
  /** Wall time. */
  readonly nowMs: () => number;
  readonly says: (sentence: string) => void;
}

export class Overwriting {
  readonly #ports: OverwritingPorts;
  #undo: WayBack | null = null;
  #own: UndoLog | null = null;
  #peer: PeerBitmap | null = null;

  private constructor(ports: OverwritingPorts) {
    this.#ports = ports;
  }

  /** With what a former life left. Throws what the disk says. */
  static async open(ports: OverwritingPorts): Promise<Overwriting> {
    const overwriting = new Overwriting(ports);
    try {
      await overwriting.#resume();
      return overwriting;
    } catch (error) {
      overwriting.close();
      throw error;
    }
  }

  /** Everything that is overwritten has to be saved first. */
  get active(): boolean {
    return this.#undo !== null || this.#own !== null;
  }

  /** Why its own writes can't be kept; empty when they can. */
  get stuck(): string {
    const { kept } = this.#ports;
    const ownBytes = this.#own?.contentBytes ?? 0;
    if (ownBytes === 0 || kept.fits(ownBytes)) return '';
    return (
      `what only exists here does not fit into the store of diverged blocks: ${kept.bytes + ownBytes} of ` +
      `${kept.maxBytes} bytes are needed; discard some, or raise keepMax`
    );
  }

  /** A resync begins; `peer` names what was written here. `sequence`: of the last write that is durable here. */
  async begin(peer: PeerBitmap, sequence: number): Promise<void> {
    const { ground } = this.#ports;
    this.#peer = peer;
    const { consistent, history, ownEpoch } = ground.record;
    if (this.#own === null && ownEpoch !== null && peer.count > 0) this.#own = this.#log(ownLogName);
    if (this.#undo !== null || !consistent) return; // O1
    const { undo, snapshot } = await this.#wayBack();
    this.#undo = undo;
    await ground.save({ undoTo: { epoch: history.at(-1)?.epoch ?? 0n, sequence, snapshot } });
  }

  /** Empty when these may be overwritten; otherwise why they may not. */
  async save(ranges: readonly ByteRange[]): Promise<string> {
    const own = this.#own;
    own?.save(ranges, (block) => this.#isOwn(block) && this.#undo?.has(block) !== true);
    const { stuck } = this;
    if (stuck !== '') return stuck; // O2
    await own?.sync();
    if (this.#undo === null) return '';
    try {
      this.#undo.save(ranges, (block) => own?.has(block) !== true);
      await this.#undo.sync();
    } catch (error) {
      if (!isNoRoom(error)) throw error;
      await this.#giveUp();
      return '';
    }
    if (this.#undo.bytes > this.#ports.undoBytesMax()) await this.#giveUp();
    return '';
  }

  /** A write to the volume found none. False: there is no more of it than there was. O3. */
  async makeRoom(): Promise<boolean> {
    if (this.#undo?.besideVolume !== true) return false;
    await this.#giveUp();
    return true;
  }

  /** In step: what is own is kept for good, and the rest is not needed. */
  async finish(record: Parameters<VolumeGround['save']>[0]): Promise<void> {
    const { ground } = this.#ports;
    await this.#keepOwn();
    await ground.save({
      ...record,
      ...{ consistent: true, ownEpoch: null, choice: null, undoTo: null, suspect: false, failures: 0 },
    });
    this.#forget();
    const peer = this.#peer;
    if (peer === null || peer.count === 0) return;
    peer.clear();
    await peer.save();
  }

  /**
   * The copy goes back to the consistent point that it had. What is undone differs from the source again: that is on record
   * before anything is written. Without a way back its own writes are kept, and the rest stays as it is.
   */
  async rollBack(): Promise<void> {
    const { ground, store, says } = this.#ports;
    if (this.#undo === null) {
      await this.#keepOwn();
      this.#forget();
      return;
    }
    const logs = [this.#undo, ...(this.#own === null ? [] : [this.#own])];
    let bytes = 0;
    for (const log of logs)
      for (const { offset, length } of log.ranges()) {
        const [first, last] = ground.chunksOf(offset, length);
        bytes += length;
        for (const [, peer] of ground.peers())
          for (let chunk = first; chunk <= last; chunk += 1) peer.add(chunk);
      }
    for (const [, peer] of ground.peers()) await peer.save();
    for (const log of logs) await log.rollBack();
    await store.sync();
    // Everything that was written since then is written again.
    await ground.save({ undoTo: null, consistent: true, suspect: false });
    says(`a resync did not come to its end: ${bytes} bytes were taken back to the last consistent point`);
    this.#forget();
  }

  close(): void {
    this.#undo?.close();
    this.#own?.close();
    this.#undo = null;
    this.#own = null;
  }

  /** O4. */
  #isOwn(block: number): boolean {
    const { ground } = this.#ports;
    return this.#peer?.has(Math.floor((block * blockBytes) / ground.chunkBytes)) ?? false;
  }

  /** O3. */
  async #giveUp(): Promise<void> {
    const { ground, snapshots, says } = this.#ports;
    says(`so much differs that the way back is given up: the copy is incomplete until it is in step`);
    // Without it the record leads nowhere (found-way-back.ts, W1), and may itself need the room.
    if (this.#undo?.besideVolume === true) snapshots?.remove();
    await ground.save({ undoTo: null, consistent: false });
    this.#undo?.remove();
    this.#undo = null;
  }

  async #keepOwn(): Promise<void> {
    const { ground, kept, nowMs } = this.#ports;
    if (this.#own === null || this.#own.bytes === 0) return;
    await kept.keep(this.#own.entries(), ground.record.ownEpoch ?? 0n, nowMs());
  }

  #forget(): void {
    this.#undo?.remove();
    this.#own?.remove();
    this.#undo = null;
    this.#own = null;
  }

  /** A new one; durable when it resolves. */
  async #wayBack(): Promise<{ readonly undo: WayBack; readonly snapshot: string | null }> {
    const { snapshots, says } = this.#ports;
    let why = 'a device has no snapshot';
    if (snapshots !== null) {
      const begun = await SnapshotUndo.begin(this.#snapshotPorts());
      if (begun.kind === 'made') {
        says('a resync begins; the way back is a snapshot of the image');
        return { undo: begun.undo, snapshot: begun.name };
      }
      why = `no snapshot of the image: ${begun.says}`;
    }
    const log = this.#log(undoLogName);
    await log.sync();
    says(`a resync begins; the way back is an undo log (${why})`);
    return { undo: log, snapshot: null };
  }

  #snapshotPorts(): SnapshotUndoPorts {
    const { ground, snapshots } = this.#ports;
    if (snapshots === null) throw new Error('a snapshot of a store that has none');
    return { disk: ground.disk, snapshots, sizeBytes: ground.sizeBytes };
  }

  #log(name: LogName): UndoLog {
    const { ground, store } = this.#ports;
    return UndoLog.begin(ground.disk, name, store, ground.sizeBytes);
  }

  async #resume(): Promise<void> {
    const { ground, snapshots } = this.#ports;
    const { undoTo, ownEpoch } = ground.record;
    if (undoTo === null) clearWayBack(ground, snapshots);
    else if (undoTo.snapshot === null) this.#undo = await this.#resumed(undoLogName);
    else this.#undo = SnapshotUndo.resume(this.#snapshotPorts());
    if (ownEpoch === null) ground.disk.remove(ownLogName);
    else if (ground.disk.exists(ownLogName)) this.#own = await this.#resumed(ownLogName);
  }

  #resumed(name: LogName): Promise<UndoLog> {
    const { ground, store } = this.#ports;
    return UndoLog.resume(ground.disk, name, store, ground.sizeBytes, ground.record.failures > 0);
  }
}
