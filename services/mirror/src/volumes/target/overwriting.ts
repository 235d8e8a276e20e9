/**
 * What has to be done before blocks of a target are overwritten out of order: the undo log, and the bounds of it.
 *
 *   O1  a copy that is consistent, or that holds writes of its own, is overwritten only after what it was is durable aside
 *   O2  writes of its own that do not fit into the divergence store stop the resync; they are never dropped
 *   O3  an undo log that outgrows `undoBytesMax` is given up when it holds nothing of that kind: the copy counts as incomplete
 *       until it is in step. Otherwise a large resync could never come to its end
 */

import type { ByteRange } from '../../transport/volume-frames.ts';
import type { PeerBitmap } from '../bitmap/peer-bitmap.ts';
import type { KeptBlocks } from '../divergence/kept-blocks.ts';
import type { VolumeGround } from '../ground.ts';
import type { Store } from '../store/store.ts';
import { UndoLog } from './undo-log.ts';

export interface OverwritingPorts {
  readonly ground: VolumeGround;
  readonly store: Store;
  readonly kept: KeptBlocks;
  readonly undoBytesMax: number;
  readonly says: (sentence: string) => void;
}

export class Overwriting {
  readonly #ports: OverwritingPorts;
  #log: UndoLog | null = null;
  #own: PeerBitmap | null = null;

  constructor(ports: OverwritingPorts) {
    this.#ports = ports;
    const { ground, store } = ports;
    if (ground.record.undoTo !== null) this.#log = UndoLog.resume(ground.disk, store, ground.sizeBytes);
  }

  /** Everything that is overwritten has to be saved first. */
  get active(): boolean {
    return this.#log !== null;
  }

  /** A resync begins; `own` names what was written here. `sequence`: of the last write that is durable here. */
  async begin(own: PeerBitmap, sequence: number): Promise<void> {
    const { ground, store } = this.#ports;
    this.#own = own;
    if (this.#log !== null) return;
    const { consistent, history } = ground.record;
    if (!consistent && own.count === 0) return; // O1
    this.#log = UndoLog.begin(ground.disk, store, ground.sizeBytes);
    await this.#log.sync();
    await ground.save({ undoTo: { epoch: history.at(-1)?.epoch ?? 0n, sequence } });
  }

  /** Empty when these may be overwritten; otherwise why they may not. */
  async save(ranges: readonly ByteRange[]): Promise<string> {
    const log = this.#log;
    if (log === null) return '';
    const { kept, undoBytesMax, says, ground } = this.#ports;
    log.save(ranges, (offset) => this.#own?.has(Math.floor(offset / ground.chunkBytes)) ?? false);
    if (!kept.fits(log.ownBytes))
      return (
        `what only exists here does not fit into the store of diverged blocks: ${kept.bytes + log.ownBytes} of ` +
        `${kept.maxBytes} bytes are needed; discard some, or raise keepMax`
      ); // O2
    await log.sync();
    if (log.bytes <= undoBytesMax || (this.#own?.count ?? 0) > 0) return '';
    says(`so much differs that the way back is given up: the copy is incomplete until it is in step`);
    await ground.save({ undoTo: null, consistent: false }); // O3
    log.remove();
    this.#log = null;
    return '';
  }

  /** In step: what is own is kept for good, and the rest of the log is not needed. */
  async finish(nowMs: number, record: Parameters<VolumeGround['save']>[0]): Promise<void> {
    const { ground, kept } = this.#ports;
    const log = this.#log;
    const epoch = ground.record.ownEpoch ?? ground.record.undoTo?.epoch ?? 0n;
    if (log !== null && log.ownBytes > 0) await kept.keep(ownOf(log), epoch, nowMs);
    await ground.save({ ...record, consistent: true, ownEpoch: null, undoTo: null });
    this.#log = null;
    log?.remove();
    const own = this.#own;
    if (own === null || own.count === 0) return;
    own.clear();
    await own.save();
  }

  /**
   * The copy goes back to the consistent point that it had. What is undone differs from the source again: that is on record
   * before anything is written.
   */
  async rollBack(): Promise<void> {
    const { ground, store, says } = this.#ports;
    const log = this.#log;
    if (log === null) return;
    let bytes = 0;
    for (const { offset, length } of log.entries()) {
      const [first, last] = ground.chunksOf(offset, length);
      bytes += length;
      for (const [, peer] of ground.peers())
        for (let chunk = first; chunk <= last; chunk += 1) peer.add(chunk);
    }
    for (const [, peer] of ground.peers()) await peer.save();
    log.rollBack();
    await store.sync();
    await ground.save({ undoTo: null, consistent: true });
    says(`a resync did not come to its end: ${bytes} bytes were taken back to the last consistent point`);
    this.#log = null;
    log.remove();
  }

  close(): void {
    this.#log?.close();
    this.#log = null;
  }
}

function* ownOf(log: UndoLog): Iterable<{ offset: number; length: number; contents: Buffer | null }> {
  for (const { own, offset, length, contents } of log.entries()) if (own) yield { offset, length, contents };
}
