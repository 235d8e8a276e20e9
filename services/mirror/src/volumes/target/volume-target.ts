/**
 * A volume at a target: takes one source at a time, at an epoch that is not over, and keeps the copy ready for a takeover.
 *
 *   T1  the highest epoch that was seen is durable before anything is answered at it; lower ones are refused
 *   T2  one connection at a time; the next one waits until everything of the one before is carried out
 *   T3  whoever takes changes from one source trusts no relation with anybody else any more
 *   T4  promoted, it takes nothing any more; what an unfinished resync changed is taken back first
 *   T5  when its disk failed it takes nothing until it is opened anew, ever later (`lost`). A sync that failed is on record
 *       before that: until the copy is in step again, what the source sends of it counts, and no hash of what is read back
 *   T6  with writes of its own that can't be kept aside it takes nothing until there is room for them, and with such as a person has
 *       to choose about nothing until that is done (choice.ts)
 */

import { unknownChecksum, type Epoch, type Position } from '@holdfast/core';
import { errorCode, errorText } from '@holdfast/wire/directory';
import { refusalOf } from '../../files/target/greeting.ts';
import type { Accepted, TargetPhase } from '../../files/target/types.ts';
import { protocolVersion, type Connection, type Hello, type RefusalCode } from '../../transport/types.ts';
import { compareBlocksMax, rangesMax, type VolumeResync } from '../../transport/volume-frames.ts';
import { noStamp, type PeerBitmap } from '../bitmap/peer-bitmap.ts';
import type { KeptBlocks } from '../divergence/kept-blocks.ts';
import type { VolumeGround } from '../ground.ts';
import { wholeVolume } from '../source/greeting.ts';
import { SealingStore } from '../store/sealing-store.ts';
import type { Snapshots, Store } from '../store/store.ts';
import { Applying } from './applying.ts';
import { Choice, type ChoicePorts, type OwnRange } from './choice.ts';
import { Overwriting } from './overwriting.ts';
import { Turns } from '../../turns.ts';

export interface VolumeTargetOptions {
  readonly name: string;
  readonly cluster: string;
  readonly self: string;
  readonly store: Store;
  /** Of the store; absent: it has none. */
  readonly snapshots?: Snapshots | null;
  readonly ground: VolumeGround;
  readonly kept: KeptBlocks;
  readonly ordered: ChoicePorts['ordered'];
  /** Beyond it the way back is given up (overwriting.ts). */
  readonly undoBytesMax: number;
  /** What is to be known of it until it is in step again; empty: nothing. */
  readonly warning?: string;
  /** In step, and closed: by what it is recognised is noted. Absent: it is not. */
  readonly noteLikeness?: () => Promise<void>;
  /** Why the store is not the one any more that is meant; empty while it is. Absent: nobody looks. */
  readonly gone?: () => string;
  /** After how long it may be opened anew when its disk failed for the first time. */
  readonly reopenMs?: number;
  /** Wall time, for what is kept aside. */
  readonly nowMs: () => number;
  readonly says: (sentence: string) => void;
}

/** diverged: what it wrote itself can't be kept aside, or a person has to choose. failed: the system does not let it write. */
export type VolumeTargetPhase = TargetPhase | 'diverged' | 'failed';

export interface VolumeTargetState {
  readonly phase: VolumeTargetPhase;
  readonly says: string;
  /** What a takeover would come to. Null: nothing was ever received. */
  readonly position: Position | null;
  /** The highest that was seen. */
  readonly epoch: Epoch;
  readonly consistent: boolean;
  /** diverged, because a person has to choose. */
  readonly choice: boolean;
}

/** May change at any time. */
interface Room {
  undoBytesMax: number;
}

const reopenMs = { first: 1_000, most: 60_000 } as const;

export class VolumeTarget {
  readonly kept: KeptBlocks;
  readonly #options: VolumeTargetOptions;
  readonly #store: SealingStore;
  readonly #overwriting: Overwriting;
  readonly #choice: Choice;
  #applying: Applying | null = null;
  /** The one whose source it is, or was to the end, in step with; null: none. */
  #following: Applying | null = null;
  readonly #turns = new Turns();
  #phase: VolumeTargetPhase = 'disconnected';
  #says = '';
  #epoch: Epoch;
  #sequence: number;
  #closed = '';
  readonly #room: Room;
  #warning: string;
  /** Performance time; null: the failure is not on record yet. */
  #reopenAtMs: number | null = null;

  private constructor(
    options: VolumeTargetOptions,
    store: SealingStore,
    overwriting: Overwriting,
    room: Room,
  ) {
    this.#options = options;
    this.kept = options.kept;
    this.#store = store;
    this.#overwriting = overwriting;
    this.#room = room;
    this.#warning = options.warning ?? '';
    const { name: mirror, self, ordered, ground } = options;
    this.#choice = new Choice({ ground, mirror, self, ordered });
    if (this.#choice.says !== '') this.#phase = 'diverged';
    this.#says = this.#choice.says;
    this.#epoch = ground.record.history.at(-1)?.epoch ?? 0n;
    this.#sequence = ground.sequence;
  }

  /** Store, ground and kept are closed with it, and by whoever asked when it throws what the disk says. */
  static async open(options: VolumeTargetOptions): Promise<VolumeTarget> {
    const { ground, kept, nowMs, says, snapshots = null, undoBytesMax } = options;
    const store = new SealingStore(options.store);
    const room = { undoBytesMax };
    const ports = { ground, store, kept, nowMs, says, snapshots, undoBytesMax: () => room.undoBytesMax };
    return new VolumeTarget(options, store, await Overwriting.open(ports), room);
  }

  state(): VolumeTargetState {
    const { record } = this.#options.ground;
    const { undoTo } = record;
    const epoch = undoTo?.epoch ?? this.#epoch;
    const sequence = undoTo?.sequence ?? this.#sequence;
    const position = record.history.length === 0 ? null : { epoch, sequence, checksum: unknownChecksum };
    return {
      phase: this.#phase,
      says: this.#says === '' ? this.#warning : this.#says,
      position,
      epoch: record.epoch,
      consistent: record.consistent && (this.#store.failed === '' || undoTo !== null),
      choice: this.#phase === 'diverged' && this.#choice.says !== '',
    };
  }

  /** Why it has to be opened anew; empty while it need not, and after a failure while it may not yet (T5). */
  get lost(): string {
    const gone = this.#options.gone?.() ?? '';
    if (gone !== '') return gone;
    if (this.#phase !== 'failed' || this.#reopenAtMs === null) return '';
    return performance.now() >= this.#reopenAtMs ? `it is opened anew: ${this.#says}` : '';
  }

  /** What may be kept aside, and the way back, in bytes: from now on. */
  setRoom(bytes: number): void {
    this.#room.undoBytesMax = bytes;
    this.kept.maxBytes = bytes;
  }

  accept(connection: Connection, hello: Hello): Promise<Accepted> {
    return this.#turns.next(() => this.#accept(connection, hello));
  }

  /** A person wants its own writes to be kept aside and overwritten. What comes of it; empty: nobody waited for that. */
  choose(): Promise<string> {
    return this.#turns.next(async () => {
      const says = await this.#choice.make();
      if (says === '' || this.#phase !== 'diverged') return says;
      this.#phase = 'disconnected';
      this.#says = '';
      return says;
    });
  }

  /** Its own writes about which a person has to choose. */
  apart(): Iterable<OwnRange> {
    return this.#choice.ranges();
  }

  /** T4. */
  async promote(): Promise<{ readonly position: Position | null }> {
    this.#closed = 'it is being opened here';
    await this.#turns.idle();
    await this.#stop('it is being opened here');
    try {
      await this.#overwriting.rollBack();
      await this.#store.sync();
      await this.#saveHistory();
    } catch (error) {
      this.#closed = '';
      this.#broken('failed', `it can't be opened: ${errorText(error)}`);
      await this.#turns.idle();
      if (this.#reopenAtMs !== null) this.#reopenAtMs = 0;
      throw error;
    }
    this.#phase = 'promoted';
    return { position: this.state().position };
  }

  /** Empty when the copy stays as it is until somebody connects, and is one moment of its source; otherwise why not. */
  atRest(): Promise<string> {
    return this.#turns.next(() => this.#rest());
  }

  async close(): Promise<void> {
    this.#closed ||= 'it closes';
    await this.#turns.idle();
    await this.#stop('the target closes');
    const { ground, kept } = this.#options;
    try {
      if (this.#store.failed === '') await this.#store.sync();
      await this.#saveHistory();
      if (this.#store.failed === '') await this.#options.noteLikeness?.();
    } catch (error) {
      this.#options.says(`${this.#options.name} is closed without its last position: ${errorText(error)}`);
    }
    if (this.#store.failed !== '') this.#phase = 'failed';
    await this.#noteFailure();
    this.#overwriting.close();
    kept.close();
    ground.close();
    this.#store.close();
  }

  async #rest(): Promise<string> {
    const { phase, choice } = this.state();
    if (phase === 'failed' || (phase === 'diverged' && !choice)) return this.#says;
    if (phase !== 'disconnected' && !choice) return `its source is connected; pause it first`;
    await this.#stop('its source is gone');
    try {
      // Whoever opens it may flush, and the system tells only once of what it could not write.
      await this.#store.sync();
    } catch (error) {
      this.#fail(error);
      return this.#says;
    }
    const { consistent, undoTo } = this.#options.ground.record;
    return consistent && undoTo === null ? '' : 'the copy is not complete';
  }

  async #accept(connection: Connection, hello: Hello): Promise<Accepted> {
    const { name, cluster, ground } = this.#options;
    const refusal = refusalOf(hello, {
      name,
      cluster,
      root: '',
      otherRoots: [],
      selection: wholeVolume,
      epoch: ground.record.epoch,
      closed: this.#closed,
    });
    if (refusal !== null) return this.#refuse(connection, refusal.code, refusal.says);
    if (this.#phase === 'failed') {
      await this.#noteFailure();
      return this.#refuse(connection, 'shutdown', this.#says); // T5
    }
    if (this.#phase === 'diverged' && this.#overwriting.stuck !== '') {
      this.#says = this.#overwriting.stuck;
      return this.#refuse(connection, 'shutdown', this.#says); // T6
    }
    if (this.#choice.isOf(hello)) return this.#refuse(connection, 'diverged', this.#choice.says); // T6
    try {
      await this.#stop('its source dialed again'); // T2
      if (hello.epoch > ground.record.epoch) await ground.save({ epoch: hello.epoch }); // T1
      this.#greet(connection, hello);
      this.#begin(connection, hello);
      return { kind: 'accepted' };
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return this.#refuse(connection, 'shutdown', errorText(error));
    }
  }

  #refuse(connection: Connection, code: RefusalCode, says: string): Accepted {
    connection.send({ kind: 'refuse', code, says, epoch: this.#options.ground.record.epoch });
    connection.close(says);
    return { kind: 'refused', code, says };
  }

  #greet(connection: Connection, hello: Hello): void {
    const { name, cluster, self, ground } = this.#options;
    const { position, consistent, epoch } = this.state();
    connection.send({
      kind: 'hello',
      protocol: protocolVersion,
      cluster,
      member: self,
      mirror: name,
      role: 'target',
      epoch,
      position,
      history: ground.record.history,
      selection: wholeVolume,
      consistent,
      parts: [],
      foreign: false,
      compareRanges: compareBlocksMax,
    });
    const own = ground.peers().find(([peer]) => peer === hello.member)?.[1];
    const stamp = own?.stamp ?? noStamp;
    const ranges = own === undefined || stamp === noStamp ? [] : own.ranges();
    const { sizeBytes } = ground;
    for (let at = 0; at === 0 || at < ranges.length; at += rangesMax) {
      const last = at + rangesMax >= ranges.length;
      const some = ranges.slice(at, at + rangesMax);
      connection.send({ kind: 'volume-standing', sizeBytes, stamp, ranges: some, last });
    }
  }

  #begin(connection: Connection, hello: Hello): void {
    const { ground } = this.#options;
    const store = this.#store;
    this.#says = this.#choice.says;
    const applying = new Applying(connection, {
      store,
      sizeBytes: ground.sizeBytes,
      overwriting: this.#overwriting,
      begin: (frame) => this.#beginResync(frame, hello),
      inStep: async (sequence) => {
        if (await this.#inStep(connection, hello.epoch, sequence)) this.#following = applying;
      },
      consistent: () => ground.record.consistent,
      suspect: () => ground.record.suspect,
      durable: (sequence) => {
        if (this.#following !== applying) return;
        this.#epoch = hello.epoch;
        this.#sequence = sequence;
      },
      failed: (kind, says) => this.#broken(kind, says),
    });
    this.#applying = applying;
    connection.onEnd(({ says }) => {
      if (this.#applying !== applying || this.#phase === 'failed' || this.#phase === 'diverged') return;
      this.#phase = 'disconnected';
      this.#says = says;
    });
  }

  async #beginResync(frame: VolumeResync, hello: Hello): Promise<string> {
    const { ground } = this.#options;
    if (frame.sizeBytes > ground.sizeBytes) return 'the volume of the source is larger';
    const verdict = await this.#choice.judge(hello, frame.stamp);
    if (verdict.kind === 'choose') this.#broken('diverged', verdict.says); // T6
    if (verdict.kind !== 'free') return verdict.says;
    for (const [peer] of ground.peers()) if (peer !== hello.member) await ground.drop(peer); // T3
    const own = await ground.peer(hello.member);
    if (own.stamp !== frame.stamp) await this.#relate(own, frame.stamp);
    await this.#store.sync();
    const { consistent, history } = ground.record;
    this.#phase = consistent || history.length > 0 ? 'resync' : 'initial-copy';
    if (ground.record.undoTo === null) await this.#saveHistory();
    this.#following = null;
    await this.#overwriting.begin(own, this.#sequence);
    return '';
  }

  /** A new relation: everything may be its own, or nothing is. */
  async #relate(own: PeerBitmap, stamp: string): Promise<void> {
    if (this.#options.ground.record.ownEpoch === null) own.clear();
    else own.addAll();
    await own.save(stamp);
  }

  /** What a lost source had sent is applied to its end; in step with it is nobody any more. */
  async #inStep(connection: Connection, epoch: Epoch, sequence: number): Promise<boolean> {
    const { ground } = this.#options;
    if (this.#diskFailed()) return false;
    await this.#overwriting.finish({ history: ground.historyAt(epoch, sequence) });
    this.#epoch = epoch;
    this.#sequence = sequence;
    this.#warning = '';
    await this.#options.noteLikeness?.();
    if (connection.ended === null && !this.#diskFailed()) this.#phase = 'replicating';
    return true;
  }

  async #saveHistory(): Promise<void> {
    const { ground } = this.#options;
    if (ground.record.history.length === 0 && !ground.record.consistent) return;
    await ground.save({ history: ground.historyAt(this.#epoch, this.#sequence) });
  }

  #fail(error: unknown): void {
    if (errorCode(error) === '') throw error;
    this.#broken('failed', `the volume can't be written here: ${errorText(error)}`);
  }

  /** Also in the middle of something. */
  #diskFailed(): boolean {
    return this.#store.failed !== '';
  }

  #broken(kind: 'diverged' | 'failed', says: string): void {
    this.#phase = kind;
    this.#says = says;
    this.#options.says(says);
    if (kind === 'diverged') return;
    // What was taken before is carried out, or fails, first.
    void this.#turns.next(async () => {
      await this.#stop(says);
      await this.#noteFailure();
    });
  }

  /** T5. Where records can't be written either it is tried again, and until then it is not opened anew. */
  async #noteFailure(): Promise<void> {
    if (this.#phase !== 'failed' || this.#reopenAtMs !== null) return;
    const { ground, says } = this.#options;
    const { failures, consistent, undoTo } = ground.record;
    try {
      // With a way back everything that the failure may concern is written again by that.
      const distrust = { suspect: true, consistent: consistent && undoTo !== null };
      await ground.save({ failures: failures + 1, ...(this.#store.failed === '' ? {} : distrust) });
      const { reopenMs: first = reopenMs.first } = this.#options;
      this.#reopenAtMs = performance.now() + Math.min(reopenMs.most, first * 2 ** failures);
    } catch (error) {
      says(`${this.#options.name}: that its disk failed can't be recorded: ${errorText(error)}`);
    }
  }

  async #stop(says: string): Promise<void> {
    const applying = this.#applying;
    this.#applying = null;
    if (applying === null) return;
    await applying.stop(says);
    // Everything that was applied belongs to the copy that is opened or goes on, also what came just before its source went.
    if (this.#following === applying && this.#store.failed === '')
      this.#sequence = Math.max(this.#sequence, applying.sequence);
    this.#following = null;
    if (this.#phase !== 'failed' && this.#phase !== 'diverged') this.#phase = 'disconnected';
  }
}
