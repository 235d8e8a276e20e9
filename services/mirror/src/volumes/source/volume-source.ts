/**
 * A volume at its owner: what clients wrote, on its way to every target. Clients are another thread's (export/exported-volume.ts),
 * and so are reads and writes of the store.
 *
 *   V1  nothing is written before its extents are on record as hot (bitmap/hot-extents.ts), and nothing without a grant
 *   V2  the store comes first; then the write has its sequence number, and every line takes it, in that order
 *   V3  answers come when answering.ts says so; a write that failed here, or a disk that can't be synced, is never answered well
 *   V4  a disk that can't be synced takes nothing more, not even a flush: what was written before may be lost
 *   V5  closed, everything that still waits is answered with ESHUTDOWN; then the bitmaps are brought in step
 *   V6  that a sync failed is put on record, and tried until it is, or the source is closed: the next life would believe what it
 *       reads from the cache (ground.ts, G5)
 *   V7  from the moment its line is gone a target's bitmap names everything: what is written from then on is in no other place
 */

import type { Epoch, MirrorRow } from '@holdfast/core';
import { errorCode, errorText } from '@holdfast/wire/directory';
import type { SourceTarget } from '../../files/source/types.ts';
import type { BlockChange } from '../../transport/volume-frames.ts';
import { noStamp } from '../bitmap/peer-bitmap.ts';
import type { VolumeGround } from '../ground.ts';
import { Intake } from '../export/intake.ts';
import { gate, SharedMemory } from '../export/shared-memory.ts';
import { recordFlag, recordKind, type WriteRecord } from '../export/write-ring.ts';
import { outcome } from '../nbd/protocol.ts';
import type { Store } from '../store/store.ts';
import { Answering, type SyncTerms } from './answering.ts';
import { FailureRecord } from './failure-record.ts';
import type { Greeting } from './greeting.ts';
import { Growing } from './growing.ts';
import { Syncing } from './syncing.ts';
import type { Comparison, Verification } from './verifying.ts';
import { VolumeLine } from './volume-line.ts';
import { Warming } from './warming.ts';

export interface VolumeSourceOptions extends SyncTerms {
  readonly name: string;
  readonly cluster: string;
  readonly self: string;
  readonly epoch: Epoch;
  /** Boot time until which it may act, unless grant() says another; Infinity: no grant is needed. */
  readonly grantUntilMs: number;
  /** Boot time. */
  readonly nowMs: () => number;
  readonly targets: readonly SourceTarget[];
  /** The export sleeps, and there is something to look at (exported-volume.ts). */
  readonly wakeExport: () => void;
  readonly says: (sentence: string) => void;
}

type Done = (outcome: number) => void;

const lookMs = 50;
/** Bits that were cleared in memory reach the disk so often. */
const saveMs = 10_000;
const drainLookMs = 5;
/** What the disk refused is tried again so often. */
const againMs = 5_000;

export class VolumeSource {
  /** For the export. */
  readonly shared: SharedMemory;
  readonly #store: Store;
  readonly #ground: VolumeGround;
  readonly #options: VolumeSourceOptions;
  readonly #answering: Answering;
  readonly #syncing: Syncing;
  readonly #growing: Growing;
  readonly #warming: Warming;
  readonly #lines = new Map<string, VolumeLine>();
  readonly #timers: NodeJS.Timeout[];
  readonly #intake: Intake;
  readonly #failureRecord: FailureRecord;
  #sequence: number;
  #turn: Promise<void> = Promise.resolve();
  /** What setTargets() could not carry out yet; null: nothing. */
  #wanted: readonly SourceTarget[] | null = null;
  #closing = false;
  #failed = '';

  private constructor(store: Store, ground: VolumeGround, options: VolumeSourceOptions) {
    this.shared = SharedMemory.made(ground.hot.memory, ground.hot.extentBytes);
    this.shared.grant(options.grantUntilMs);
    this.shared.sizeBytes = ground.sizeBytes;
    this.#store = store;
    this.#ground = ground;
    this.#options = options;
    const says = (sentence: string): void => options.says(`${options.name}: ${sentence}`);
    this.#failureRecord = new FailureRecord(ground, says);
    this.#answering = new Answering(options, () => [...this.#lines.values()], says);
    this.#answering.granted(options.grantUntilMs);
    this.#sequence = ground.sequence;
    this.#syncing = new Syncing({
      store,
      flushes: () => {
        for (const line of this.#lines.values()) line.barrier();
      },
      failed: (why) => this.#fail(why),
    });
    this.#intake = new Intake({
      shared: this.shared,
      wakeExport: options.wakeExport,
      take: (record, contents, answer) => this.#take(record, contents, answer),
      taken: () => this.#taken(),
    });
    this.#growing = new Growing({
      ...{ store, ground, shared: this.shared },
      sync: () => this.#syncing.sync(),
      hangUp: () => {
        this.#syncing.changed();
        for (const line of this.#lines.values()) line.hangUp(`${options.name} has become larger`);
      },
      says,
    });
    this.#warming = new Warming({
      ground,
      sequence: () => this.#sequence,
      settle: async () => {
        this.#intake.catchUp();
        await this.#syncing.sync();
        await this.#saveBits();
      },
      warmed: () => {
        this.#intake.open(gate.numbers);
        this.#intake.warmed();
      },
      over: () => this.#closing || this.#failed !== '',
      says,
    });
    this.#timers = [
      setInterval(() => this.#release(), lookMs),
      setInterval(() => void this.#saveSometimes(), saveMs),
      setInterval(() => this.#tryAgain(), againMs),
      setInterval(() => this.#warming.coolIdle(), ground.hot.idleMs),
    ];
  }

  /** Store and ground are closed with it, and when it can't be opened. */
  static async open(store: Store, ground: VolumeGround, options: VolumeSourceOptions): Promise<VolumeSource> {
    const { epoch, targets } = options;
    const history = ground.historyAt(epoch, ground.sequence);
    let source: VolumeSource | null = null;
    try {
      await ground.save({ epoch, history, consistent: true, ownEpoch: epoch, choice: null });
      source = new VolumeSource(store, ground, options);
      await source.change(targets);
      return source;
    } catch (error) {
      // Half open it would go on writing to targets, beside the one that is opened next.
      await source?.close();
      ground.close();
      store.close();
      throw error;
    }
  }

  get sizeBytes(): number {
    return this.#ground.sizeBytes;
  }

  get sequence(): number {
    return this.#sequence;
  }

  /** Why it takes no writes; empty while it does. */
  get failed(): string {
    return this.#failed;
  }

  /** Why not every write comes to its end; empty while it does. */
  get trouble(): string {
    const unread = [...this.#lines.values()].map((line) => line.unread);
    return [this.#failed, this.#warming.trouble, ...unread].find((says) => says !== '') ?? '';
  }

  /** Of everything that was answered so far. */
  rows(): readonly MirrorRow[] {
    if (!this.#closing) this.#intake.catchUp();
    const rows = [...this.#lines.values()].map((line) => line.row());
    return rows.map((row) => {
      const line = this.#lines.get(row.target);
      const more = [this.#growing.says, line === undefined ? '' : this.#answering.tells(line)];
      return { ...row, says: [row.says, ...more].filter((says) => says !== '').join('; ') };
    });
  }

  /** One after the other, and a line for each target. */
  change(targets: readonly SourceTarget[]): Promise<void> {
    const changed = this.#turn.then(() => this.#change(targets));
    this.#turn = changed.catch(() => undefined);
    return changed;
  }

  /** The same, of a source that is open: what the disk refuses is said, and tried again. */
  async setTargets(targets: readonly SourceTarget[]): Promise<void> {
    this.#wanted = targets;
    try {
      await this.change(targets);
      if (this.#wanted === targets) this.#wanted = null;
    } catch (error) {
      if (errorCode(error) === '') throw error;
      this.#options.says(`${this.#options.name}: its targets can't be recorded: ${errorText(error)}`);
    }
  }

  async #change(targets: readonly SourceTarget[]): Promise<void> {
    if (this.#closing) return;
    const isGone = (member: string): boolean => !targets.some((target) => target.member === member);
    for (const [member, line] of this.#lines) {
      if (!isGone(member)) continue;
      this.#lines.delete(member);
      const closed = line.close(`${member} is no target any more`);
      this.#ground.distrust(member); // V7
      await closed;
    }
    for (const [member] of this.#ground.peers()) if (isGone(member)) await this.#ground.drop(member);
    for (const target of targets) {
      const known = this.#lines.get(target.member);
      if (known !== undefined) {
        if (known.elsewhere && target.elsewhere !== true) this.#intake.meanMore();
        known.change(target);
        continue;
      }
      const bitmap = await this.#ground.peer(target.member);
      if (bitmap.stamp === noStamp) bitmap.addAll();
      this.#lines.set(target.member, this.#lineTo(target, bitmap));
    }
    this.#release();
  }

  /** Boot time. Clients see it at once. */
  grant(untilMs: number): void {
    this.shared.grant(untilMs);
    this.#answering.granted(untilMs);
  }

  /** For what waits, too. */
  setMode(terms: SyncTerms): void {
    if (terms.mode === 'sync' && !this.#answering.isSync) this.#intake.meanMore();
    this.#answering.terms = terms;
    this.#release();
  }

  /** While clients are connected. A smaller size is none. */
  setSize(sizeBytes: number): void {
    this.#growing.want(sizeBytes);
  }

  line(member: string): VolumeLine | null {
    return this.#lines.get(member) ?? null;
  }

  redial(member: string): void {
    this.#lines.get(member)?.hangUp('the terms of the connection changed');
  }

  resync(member: string): void {
    this.#lines.get(member)?.resync();
  }

  verify(
    member: string,
    comparison: Comparison,
    progress: (doneBytes: number) => void,
  ): Promise<Verification | string> {
    const line = this.#lines.get(member);
    return line === undefined ? Promise.resolve(`${member} is no target`) : line.verify(comparison, progress);
  }

  /** The targets that hold everything that was written before, durably. `to`: only this one is meant. */
  async drain(to: string | null, limitMs: number): Promise<readonly string[]> {
    const until = performance.now() + limitMs;
    this.#intake.catchUp();
    const wanted = this.#sequence;
    const lines = [...this.#lines.values()].filter(({ member }) => to === null || member === to);
    for (const line of lines) line.barrier();
    while (!lines.every((line) => line.holds(wanted)) && performance.now() < until && !this.#closing)
      await new Promise((next) => setTimeout(next, drainLookMs));
    return lines.flatMap((line) => (line.holds(wanted) ? [line.member] : []));
  }

  /** Writes and flushes wait until letGo(), or until it is closed. */
  hold(): void {
    this.#intake.close(gate.held);
  }

  letGo(): void {
    this.#intake.open(gate.held);
  }

  /** V5. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#intake.close(gate.closed);
    // Nothing comes any more, and a disk that hangs would keep it listening for ever.
    this.#intake.end();
    this.#closing = true;
    for (const timer of this.#timers) clearInterval(timer);
    this.#answering.end(outcome.shutdown); // V5
    await this.#turn;
    for (const line of this.#lines.values()) await line.close('the source closes');
    await this.#warming.end();
    await this.#growing.end();
    await this.#syncing.idle();
    this.#answering.end(outcome.shutdown);
    await this.#settle();
    this.#ground.close();
    this.#store.close();
  }

  /** A clean mark: nothing is hot, and the bitmaps tell of everything. Not after a failure: then nothing is known. */
  async #settle(): Promise<void> {
    const { epoch } = this.#options;
    try {
      await this.#syncing.sync();
      for (const [, bitmap] of this.#ground.peers()) await bitmap.save();
      await this.#ground.save({ history: this.#ground.historyAt(epoch, this.#sequence) });
      await this.#ground.hot.settled(this.#sequence);
    } catch (error) {
      this.#options.says(`${this.#options.name} is closed without a clean mark: ${errorText(error)}`);
    }
    await this.#failureRecord.write();
  }

  #lineTo(target: SourceTarget, bitmap: Awaited<ReturnType<VolumeGround['peer']>>): VolumeLine {
    return new VolumeLine(target, bitmap, {
      ground: this.#ground,
      store: this.#store,
      greeting: (member) => this.#greeting(member),
      sequence: () => this.#sequence,
      wantContents: () => this.#intake.wantContents(true),
      catchUp: () => this.#intake.catchUp(),
      still: (work) => this.#intake.still(work),
      urgent: () => this.#answering.isSync,
      lossMs: () => this.#answering.lossMs,
      progressed: () => this.#release(),
      says: this.#options.says,
    });
  }

  #greeting(target: string): Greeting {
    const { cluster, name, self, epoch } = this.#options;
    const { sizeBytes, chunkBytes } = this.#ground;
    const history = this.#ground.historyAt(epoch, this.#sequence);
    const rangesMax = Math.ceil(sizeBytes / chunkBytes);
    return {
      cluster,
      mirror: name,
      self,
      target,
      epoch,
      history,
      sequence: this.#sequence,
      sizeBytes,
      rangesMax,
    };
  }

  /** V2. It is in the store already. */
  #take(record: WriteRecord, contents: Buffer, answer: Done | null): void {
    const { kind, offset, length } = record;
    switch (kind) {
      case recordKind.write:
        this.#changed({ kind: 'write', offset, contents }, record, answer);
        return;
      case recordKind.zero: {
        const hole = (record.flags & recordFlag.hole) !== 0;
        this.#changed({ kind: 'zero', offset, length, hole }, record, answer);
        return;
      }
      case recordKind.flush:
        if (answer !== null) this.#flush(answer);
        return;
      case recordKind.warm:
        this.#warming.ask({ offset, length });
        return;
      case recordKind.unknown: {
        // Whatever is there now, nobody else has it.
        this.#syncing.changed();
        const [first, last] = this.#ground.chunksOf(offset, length);
        for (const line of this.#lines.values()) line.unknown(first, last);
        return;
      }
      default:
        throw new Error(`a record of kind ${kind}`);
    }
  }

  #changed(change: BlockChange, { offset, length, flags }: WriteRecord, answer: Done | null): void {
    const [first, last] = this.#ground.chunksOf(offset, length);
    this.#ground.hot.touch(offset, length);
    this.#sequence += 1;
    this.#syncing.changed();
    const bare = (flags & recordFlag.bare) !== 0;
    for (const line of this.#lines.values()) {
      if (change.kind === 'write') line.wrote(length);
      if (bare) line.dirty(first, last);
      else line.changed(this.#sequence, change, first, last);
    }
    if (answer === null) return;
    if (this.#failed !== '') answer(outcome.io);
    else if ((flags & recordFlag.durable) !== 0) this.#flush(answer);
    else this.#answering.written(this.#sequence, answer);
  }

  #taken(): void {
    if (this.#closing) return;
    this.#intake.answerWrites(this.#answering.answersWrites);
    if (this.#warming.isOut) this.#intake.close(gate.numbers);
    this.#warming.look();
  }

  #flush(done: Done): void {
    const sequence = this.#sequence;
    this.#syncing.flush((ok) => {
      if (!ok || this.#failed !== '')
        done(outcome.io); // V4
      else if (this.#closing) done(outcome.shutdown);
      else this.#answering.flushed(sequence, done);
    });
  }

  #tryAgain(): void {
    this.#growing.look();
    if (this.#wanted !== null) void this.setTargets(this.#wanted);
    void this.#failureRecord.write(); // V6
  }

  #release(): void {
    if (this.#closing) return;
    if (this.#options.nowMs() >= this.shared.untilMs) {
      this.#answering.end(outcome.shutdown); // V1
      return;
    }
    this.#intake.answerWrites(this.#answering.answersWrites);
    if (![...this.#lines.values()].some((line) => line.forwarding)) this.#intake.wantContents(false);
    this.#answering.release();
  }

  /** What is not on disk lies in extents that are hot, so a failure costs a comparison after a crash, and nothing else. */
  async #saveSometimes(): Promise<void> {
    try {
      await this.#saveBits();
    } catch (error) {
      if (errorCode(error) === '') throw error;
      this.#options.says(`${this.#options.name}: the bitmaps can't be written: ${errorText(error)}`);
    }
  }

  async #saveBits(): Promise<void> {
    for (const [member, bitmap] of this.#ground.peers())
      await bitmap.save(null, () => this.#lines.get(member)?.underWay() ?? []);
  }

  #fail(says: string): void {
    if (this.#failed !== '') return;
    this.#failed = says;
    this.#intake.close(gate.failed);
    this.#options.says(`${this.#options.name} takes no writes any more: ${says}`);
    this.#failureRecord.begin(); // V6
  }
}
