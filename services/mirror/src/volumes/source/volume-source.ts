/**
 * A volume at its owner: what clients read and write, on its way into the store and to every target.
 *
 *   V1  nothing is written before its extents are on record as hot (bitmap/hot-extents.ts), and nothing without a grant
 *   V2  the store comes first; then the write has its sequence number, and every line takes it, in that order
 *   V3  async: a write is answered when it is here, unless a target has too much under way (volume-line.ts, L3).
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
import { outcome } from '../nbd/protocol.ts';
import { outcomeOf } from '../plain-volume.ts';
import type { Segment, Store } from '../store/store.ts';
import type { Volume, VolumeRequest } from '../volume.ts';
import { Answers } from './answers.ts';
import type { Greeting } from './greeting.ts';
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
  /** Asked before every request. */
  readonly mayAct: () => boolean;
  readonly targets: readonly SourceTarget[];
  readonly says: (sentence: string) => void;
}

type Done = (outcome: number) => void;

interface Cold {
  readonly change: BlockChange;
  readonly offset: number;
  readonly length: number;
  readonly durable: boolean;
  readonly done: Done;
}

/** Zeros of one request are carried out in pieces. */
const zeroBytesMax = 268_435_456;
const lookMs = 50;
/** Bits that were cleared in memory reach the disk so often. */
const saveMs = 10_000;
const drainLookMs = 5;

export class VolumeSource implements Volume {
  readonly sizeBytes: number;
  readonly #store: Store;
  readonly #ground: VolumeGround;
  readonly #options: VolumeSourceOptions;
  #terms: SyncTerms;
  readonly #syncing: Syncing;
  readonly #lines = new Map<string, VolumeLine>();
  readonly #received = new Answers();
  readonly #durable = new Answers();
  readonly #timers: NodeJS.Timeout[];
  #sequence: number;
  #cold: Cold[] = [];
  #warming: Promise<void> | null = null;
  #closing = false;
  #failed = '';

  private constructor(store: Store, ground: VolumeGround, options: VolumeSourceOptions) {
    this.sizeBytes = ground.sizeBytes;
    this.#store = store;
    this.#ground = ground;
    this.#options = options;
    this.#terms = options;
    this.#sequence = ground.sequence;
    this.#syncing = new Syncing(store, (says) => this.#fail(says));
    this.#timers = [setInterval(() => this.#release(), lookMs), setInterval(() => void this.#save(), saveMs)];
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

  get sequence(): number {
    return this.#sequence;
  }

  /** Why it takes no writes; empty while it does. */
  get failed(): string {
    return this.#failed;
  }

  rows(): readonly MirrorRow[] {
    return [...this.#lines.values()].map((line) => line.row());
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

  /** For what waits, too. */
  setMode({ mode, onTargetLoss, targetLossMs }: SyncTerms): void {
    this.#terms = { mode, onTargetLoss, targetLossMs };
    this.#release();
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
    const wanted = this.#sequence;
    const lines = [...this.#lines.values()].filter(({ member }) => to === null || member === to);
    for (const line of lines) line.barrier();
    while (!lines.every((line) => line.holds(wanted)) && performance.now() < until && !this.#closing)
      await new Promise((next) => setTimeout(next, drainLookMs));
    return lines.flatMap((line) => (line.holds(wanted) ? [line.member] : []));
  }

  submit(request: VolumeRequest, done: Done): void {
    if (this.#closing || !this.#options.mayAct()) {
      done(outcome.shutdown); // V1
      return;
    }
    switch (request.kind) {
      case 'read':
        done(this.#read(request.into, request.offset));
        return;
      case 'write':
        this.#change(request, request.contents.length, request.durable, done);
        return;
      case 'zero':
        this.#zero(request, done);
        return;
      case 'flush':
        this.#flush(done);
    }
  }

  segments(offset: number, length: number): readonly Segment[] {
    return this.#store.segments(offset, length);
  }

  /** V5. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const timer of this.#timers) clearInterval(timer);
    await this.#warming;
    this.#answerAll();
    await this.#syncing.idle();
    this.#answerAll();
    for (const line of this.#lines.values()) await line.close('the source closes');
    await this.#settle();
    this.#ground.close();
    this.#store.close();
  }

  #answerAll(): void {
    for (const { done } of this.#cold.splice(0)) done(outcome.shutdown);
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

  #read(into: Buffer, offset: number): number {
    try {
      this.#store.read(into, offset);
      return outcome.done;
    } catch (error) {
      this.#options.says(`${this.#options.name} can't be read at ${offset}: ${errorText(error)}`);
      return outcomeOf(error);
    }
  }

  /** In pieces, one after the other; the first that fails is the answer. */
  #zero(request: Extract<VolumeRequest, { kind: 'zero' }>, done: Done): void {
    const { offset, length, hole, durable } = request;
    const piece = Math.min(length, zeroBytesMax);
    if (piece === 0) {
      done(outcome.done);
      return;
    }
    const rest = { ...request, offset: offset + piece, length: length - piece };
    const last = rest.length === 0;
    this.#change({ kind: 'zero', offset, length: piece, hole }, piece, durable && last, (came) => {
      if (last || came !== outcome.done) done(came);
      else if (this.#closing) done(outcome.shutdown);
      else this.#zero(rest, done);
    });
  }

  #change(change: BlockChange, length: number, durable: boolean, done: Done): void {
    if (length === 0) {
      done(outcome.done);
      return;
    }
    const { hot } = this.#ground;
    // Behind one that waits, so that writes are carried out in the order in which they came.
    if (
      this.#cold.length === 0 &&
      hot.admits(change.offset, length) &&
      !hot.needsSequences(this.#sequence + 1)
    ) {
      this.#carryOut(change, length, durable, done);
      return;
    }
    this.#cold.push({ change, offset: change.offset, length, durable, done });
    this.#warming ??= this.#warm().finally(() => {
      this.#warming = null;
    });
  }

  /** V1. */
  async #warm(): Promise<void> {
    const { hot } = this.#ground;
    try {
      while (this.#cold.length > 0 && !this.#closing) {
        await hot.warm(this.#cold, this.#sequence, async () => {
          await this.#store.sync();
          await this.#save();
        });
        for (const cold of this.#cold.splice(0))
          this.#change(cold.change, cold.length, cold.durable, cold.done);
      }
    } catch (error) {
      this.#fail(`what is written to can't be recorded: ${errorText(error)}`);
      for (const { done } of this.#cold.splice(0)) done(outcome.io);
    }
  }

  /** V2. */
  #carryOut(change: BlockChange, length: number, durable: boolean, done: Done): void {
    const [first, last] = this.#ground.chunksOf(change.offset, length);
    if (this.#failed !== '') {
      done(outcome.io);
      return;
    }
    try {
      if (change.kind === 'write') this.#store.write(change.contents, change.offset);
      else this.#store.zero(change.offset, length, change.hole);
    } catch (error) {
      // Whatever is there now, nobody else has it.
      for (const line of this.#lines.values()) line.dirty(first, last);
      this.#options.says(`${this.#options.name} can't be written at ${change.offset}: ${errorText(error)}`);
      done(outcomeOf(error));
      return;
    }
    this.#sequence += 1;
    for (const line of this.#lines.values()) line.changed(this.#sequence, change, first, last);
    if (durable) this.#flush(done);
    else this.#answer(this.#received, this.#receivedEverywhere(), done);
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

  /** V3. */
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
    if (!this.#options.mayAct()) {
      this.#answerAll(); // V1
      return;
    }
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
    this.#options.says(`${this.#options.name} takes no writes any more: ${says}`);
  }
}
