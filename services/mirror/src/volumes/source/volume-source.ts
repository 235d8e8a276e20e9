/**
 * A volume at its owner: what clients wrote, on its way to every target. Clients are another thread's (export/exported-volume.ts),
 * and so are reads and writes of the store.
 *
 *   V1  nothing is written before its extents are on record as hot (bitmap/hot-extents.ts), and nothing without a grant
 *   V2  the store comes first; then the write has its sequence number, and every line takes it, in that order
 *   V3  async: a write is answered when it is here, unless a target has too much under way (volume-line.ts, L3), and then by us.
 *       sync: when every target in step has received it; a flush when they have it durable
 *   V4  sync, and a target was lost: writes wait for it for `targetLossMs`, and then go on (continue) or go on waiting (block)
 *   V5  closed, everything that still waits is answered with ESHUTDOWN; then the bitmaps are brought in step
 */

import type { Epoch, MirrorRow } from '@holdfast/core';
import { errorText } from '@holdfast/wire/directory';
import type { SourceTarget } from '../../files/source/types.ts';
import type { BlockChange } from '../../transport/volume-frames.ts';
import { noStamp } from '../bitmap/peer-bitmap.ts';
import type { VolumeGround } from '../ground.ts';
import { Intake } from '../export/intake.ts';
import { gate, SharedMemory } from '../export/shared-memory.ts';
import { recordFlag, recordKind, type WriteRecord } from '../export/write-ring.ts';
import { outcome } from '../nbd/protocol.ts';
import type { Store } from '../store/store.ts';
import { Answers } from './answers.ts';
import type { Greeting } from './greeting.ts';
import { Growing } from './growing.ts';
import { Syncing } from './syncing.ts';
import type { Comparison, Verification } from './verifying.ts';
import { VolumeLine } from './volume-line.ts';

/** Whether writes wait for targets, and for how long when one is lost. */
interface SyncTerms {
  readonly mode: 'async' | 'sync';
  readonly onTargetLoss: 'continue' | 'block';
  readonly targetLossMs: number;
}

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

interface Cold {
  readonly offset: number;
  readonly length: number;
}

/** Fewer numbers than that are left: nothing is written until there are more. */
const sequencesMin = 65_536;
/** Writes wait for as long while they are drained; a planned move that was given up must not leave the service hanging. */
const holdMs = 10_000;
const lookMs = 50;
/** Bits that were cleared in memory reach the disk so often. */
const saveMs = 10_000;
const drainLookMs = 5;
/** What is to be larger and can't be yet is tried again so often. */
const growMs = 5_000;

export class VolumeSource {
  /** For the export. */
  readonly shared: SharedMemory;
  readonly #store: Store;
  readonly #ground: VolumeGround;
  readonly #options: VolumeSourceOptions;
  #terms: SyncTerms;
  readonly #syncing: Syncing;
  readonly #growing: Growing;
  readonly #lines = new Map<string, VolumeLine>();
  readonly #received = new Answers();
  readonly #durable = new Answers();
  readonly #timers: NodeJS.Timeout[];
  readonly #intake: Intake;
  #sequence: number;
  #hold: NodeJS.Timeout | null = null;
  #cold: Cold[] = [];
  #warming: Promise<void> | null = null;
  #closing = false;
  #failed = '';

  private constructor(store: Store, ground: VolumeGround, options: VolumeSourceOptions) {
    this.shared = SharedMemory.made(ground.hot.memory, ground.hot.extentBytes);
    this.shared.grant(options.grantUntilMs);
    this.shared.sizeBytes = ground.sizeBytes;
    this.#store = store;
    this.#ground = ground;
    this.#options = options;
    this.#terms = options;
    this.#sequence = ground.sequence;
    this.#syncing = new Syncing(store, (says) => this.#fail(says));
    this.#intake = new Intake({
      shared: this.shared,
      wakeExport: options.wakeExport,
      take: (record, contents, answer) => this.#take(record, contents, answer),
      taken: () => this.#taken(),
    });
    this.#growing = new Growing({
      ...{ store, ground, shared: this.shared },
      hangUp: () => {
        for (const line of this.#lines.values()) line.hangUp(`${options.name} has become larger`);
      },
      says: (sentence) => options.says(`${options.name}: ${sentence}`),
    });
    this.#timers = [
      setInterval(() => this.#release(), lookMs),
      setInterval(() => void this.#save(), saveMs),
      setInterval(() => this.#growing.look(), growMs),
    ];
  }

  /** Store and ground are closed with it. */
  static async open(store: Store, ground: VolumeGround, options: VolumeSourceOptions): Promise<VolumeSource> {
    const { epoch, targets } = options;
    await ground.save({
      epoch,
      history: ground.historyAt(epoch, ground.sequence),
      consistent: true,
      ownEpoch: epoch,
    });
    for (const [peer] of ground.peers())
      if (!targets.some(({ member }) => member === peer)) await ground.drop(peer);
    const source = new VolumeSource(store, ground, options);
    await source.change(targets);
    return source;
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

  /** Of everything that was answered so far. */
  rows(): readonly MirrorRow[] {
    if (!this.#closing) this.#intake.catchUp();
    const rows = [...this.#lines.values()].map((line) => line.row());
    return rows.map((row) => (row.says === '' ? { ...row, says: this.#growing.says } : row));
  }

  async change(targets: readonly SourceTarget[]): Promise<void> {
    for (const [member, line] of this.#lines) {
      if (targets.some((target) => target.member === member)) continue;
      this.#lines.delete(member);
      await line.close(`${member} is no target any more`);
      await this.#ground.drop(member);
    }
    for (const target of targets) {
      const known = this.#lines.get(target.member);
      if (known !== undefined) {
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
  }

  /** For what waits, too. */
  setMode({ mode, onTargetLoss, targetLossMs }: SyncTerms): void {
    this.#terms = { mode, onTargetLoss, targetLossMs };
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

  /** Writes and flushes wait, for `holdMs` at most. */
  hold(): void {
    this.#intake.close(gate.held);
    if (this.#hold !== null) clearTimeout(this.#hold);
    this.#hold = setTimeout(() => this.letGo(), holdMs);
  }

  letGo(): void {
    if (this.#hold !== null) clearTimeout(this.#hold);
    this.#hold = null;
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
    if (this.#hold !== null) clearTimeout(this.#hold);
    await this.#warming;
    await this.#growing.end();
    this.#answerAll();
    await this.#syncing.idle();
    this.#answerAll();
    for (const line of this.#lines.values()) await line.close('the source closes');
    await this.#settle();
    this.#ground.close();
    this.#store.close();
  }

  #answerAll(): void {
    this.#received.release(Infinity, outcome.shutdown);
    this.#durable.release(Infinity, outcome.shutdown);
  }

  /** A clean mark: nothing is hot, and the bitmaps tell of everything. Not after a failure: then nothing is known. */
  async #settle(): Promise<void> {
    const { epoch } = this.#options;
    try {
      await this.#store.sync();
      for (const [, bitmap] of this.#ground.peers()) await bitmap.save();
      await this.#ground.save({ history: this.#ground.historyAt(epoch, this.#sequence) });
      if (this.#failed === '') await this.#ground.hot.settled(this.#sequence);
    } catch (error) {
      this.#options.says(`${this.#options.name} is closed without a clean mark: ${errorText(error)}`);
    }
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
      urgent: () => this.#terms.mode === 'sync',
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
        this.#cold.push({ offset, length });
        this.#warmNow();
        return;
      case recordKind.unknown: {
        // Whatever is there now, nobody else has it.
        const [first, last] = this.#ground.chunksOf(offset, length);
        for (const line of this.#lines.values()) line.dirty(first, last);
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
    const bare = (flags & recordFlag.bare) !== 0;
    for (const line of this.#lines.values())
      if (bare) line.dirty(first, last);
      else line.changed(this.#sequence, change, first, last);
    if (answer === null) return;
    if (this.#failed !== '') answer(outcome.io);
    else if ((flags & recordFlag.durable) !== 0) this.#flush(answer);
    else this.#answer(this.#received, this.#receivedEverywhere(), answer);
  }

  #taken(): void {
    if (this.#closing) return;
    this.#intake.answerWrites(this.#answers);
    const { hot } = this.#ground;
    if (!hot.needsSequences(this.#sequence + 2 * sequencesMin)) return;
    if (hot.needsSequences(this.#sequence + sequencesMin)) this.#intake.close(gate.numbers);
    this.#warmNow();
  }

  #warmNow(): void {
    if (this.#failed !== '' || this.#closing) return;
    this.#warming ??= this.#warm().finally(() => {
      this.#warming = null;
    });
  }

  /** V1. */
  async #warm(): Promise<void> {
    const { hot } = this.#ground;
    // Everybody who asks in this turn, and outside of taking what they wrote.
    await Promise.resolve();
    try {
      while (this.#wantsWarming() && !this.#closing) {
        await hot.warm(this.#cold.splice(0), this.#sequence, async () => {
          this.#intake.catchUp();
          await this.#store.sync();
          await this.#save();
        });
        this.#intake.open(gate.numbers);
        this.#intake.warmed();
      }
    } catch (error) {
      this.#fail(`what is written to can't be recorded: ${errorText(error)}`);
    }
  }

  #wantsWarming(): boolean {
    return this.#cold.length > 0 || this.#ground.hot.needsSequences(this.#sequence + 2 * sequencesMin);
  }

  #flush(done: Done): void {
    const sequence = this.#sequence;
    this.#syncing.request(
      (ok) => {
        if (!ok) done(outcome.io);
        else if (this.#closing) done(outcome.shutdown);
        else this.#answer(this.#durable, this.#durableEverywhere(), done, sequence);
      },
      () => {
        for (const line of this.#lines.values()) line.barrier();
      },
    );
  }

  #answer(answers: Answers, released: number, done: Done, sequence = this.#sequence): void {
    if (answers.empty && released >= sequence) done(outcome.done);
    else answers.add(sequence, done);
  }

  /** V3. In mode sync also while no target is in step: one that comes into step has everything that was answered before. */
  get #answers(): boolean {
    const sync = this.#terms.mode === 'sync' && this.#lines.size > 0;
    return sync || this.#receivedEverywhere() !== Infinity;
  }

  #receivedEverywhere(): number {
    const { mode } = this.#terms;
    return this.#least((line) => (mode === 'sync' || line.congested ? line.receivedSequence : Infinity));
  }

  #durableEverywhere(): number {
    return this.#terms.mode === 'async' ? Infinity : this.#least((line) => line.durableSequence);
  }

  #least(of: (line: VolumeLine) => number): number {
    let least = Infinity;
    for (const line of this.#lines.values())
      least = Math.min(least, line.inStep ? of(line) : this.#withoutStep(line));
    return least;
  }

  /** V4. */
  #withoutStep({ apartSinceMs }: VolumeLine): number {
    const { mode, onTargetLoss, targetLossMs } = this.#terms;
    if (mode === 'async') return Infinity;
    if (onTargetLoss === 'block') return -1;
    return performance.now() - (apartSinceMs ?? 0) >= targetLossMs ? Infinity : -1;
  }

  #release(): void {
    if (this.#closing) return;
    if (this.#options.nowMs() >= this.shared.untilMs) {
      this.#answerAll(); // V1
      return;
    }
    this.#intake.answerWrites(this.#answers);
    if (![...this.#lines.values()].some((line) => line.forwarding)) this.#intake.wantContents(false);
    if (!this.#received.empty) this.#received.release(this.#receivedEverywhere(), outcome.done);
    if (!this.#durable.empty) this.#durable.release(this.#durableEverywhere(), outcome.done);
  }

  async #save(): Promise<void> {
    for (const [member, bitmap] of this.#ground.peers())
      await bitmap.save(null, () => this.#lines.get(member)?.underWay() ?? []);
  }

  #fail(says: string): void {
    if (this.#failed !== '') return;
    this.#failed = says;
    this.#intake.close(gate.failed);
    this.#options.says(`${this.#options.name} takes no writes any more: ${says}`);
  }
}
