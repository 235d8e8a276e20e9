/**
 * One target of a volume's source, for as long as it is one: the connection to it, what is under way on that, and what the
 * target lacks.
 *
 *   L1  a write is either forwarded, in order, or its chunks are dirty in the bitmap; never neither
 *   L2  what was forwarded is dirty again when the connection ends before the target had it durable
 *   L3  what is under way is bounded: beyond `softBytes` writes are answered only when the target has them, and a target that
 *       does not get below that within `congestedMs`, or goes beyond `hardBytes`, falls back to the bitmap
 *   L4  it catches up by itself when everything that was under way has arrived, ever later when that happens often
 */

import { randomBytes } from 'node:crypto';
import type { MirrorRow, MirrorState } from '@holdfast/core';
import { errorText } from '@holdfast/wire/directory';
import type { Beat, BeatFacts, Connection, Frame } from '../../transport/types.ts';
import type { BlockChange, VolumeAck } from '../../transport/volume-frames.ts';
import { redialMs } from '../../transport/backoff.ts';
import type { SourceTarget } from '../../files/source/types.ts';
import { noStamp, type PeerBitmap } from '../bitmap/peer-bitmap.ts';
import type { VolumeGround } from '../ground.ts';
import type { Store } from '../store/store.ts';
import { Batch } from './batch.ts';
import { Comparing } from './comparing.ts';
import { greet, type Greeting } from './greeting.ts';
import { Outstanding } from './outstanding.ts';
import { Resyncing } from './resyncing.ts';
import { verify, type Verification } from './verifying.ts';

export interface LinePorts {
  readonly ground: VolumeGround;
  readonly store: Store;
  readonly greeting: (target: string) => Greeting;
  /** Of the last write. */
  readonly sequence: () => number;
  /** Something arrived, or nothing more will: whoever waits looks again. */
  readonly progressed: () => void;
  readonly says: (sentence: string) => void;
}

const softBytes = 8_388_608;
const hardBytes = 67_108_864;
const congestedMs = 500;
const resumeMs = { first: 200, most: 10_000 } as const;
/** In step for so long, it begins with the first pause again. */
const steadyMs = 30_000;
const lookMs = 100;
const queuePieces = 8;

type Phase =
  | { readonly kind: 'apart' }
  | { readonly kind: 'joining' }
  | {
      readonly kind: 'resync';
      readonly resyncing: Resyncing;
      readonly totalBytes: number;
      mark: number | null;
    }
  | { readonly kind: 'in-step'; readonly sinceMs: number }
  | { readonly kind: 'waiting' };

export class VolumeLine {
  readonly member: string;
  readonly #ports: LinePorts;
  readonly #bitmap: PeerBitmap;
  readonly #timer: NodeJS.Timeout;
  #target: SourceTarget;
  #phase: Phase = { kind: 'apart' };
  #connection: Connection | null = null;
  #comparing: Comparing;
  #outstanding = new Outstanding();
  #batch = new Batch(0);
  #scheduled = false;
  #number = 0;
  #received = 0;
  #durable = 0;
  #consistent = false;
  #first = true;
  #congestedSinceMs: number | null = null;
  #resumeDelayMs: number = resumeMs.first;
  #resumeAtMs = 0;
  /** Since when it is not in step; null: it is. */
  #apartSinceMs: number | null = performance.now();
  #failures = 0;
  #running: Promise<void> | null = null;
  #stop = new AbortController();
  #closed = false;
  #says = '';
  #waitingSays = '';
  #rate = { bytes: 0, atMs: performance.now(), perSecond: 0 };

  constructor(target: SourceTarget, bitmap: PeerBitmap, ports: LinePorts) {
    this.member = target.member;
    this.#target = target;
    this.#bitmap = bitmap;
    this.#ports = ports;
    this.#comparing = new Comparing((frame) => this.#connection?.send(frame));
    this.#timer = setInterval(() => this.#look(), lookMs);
    this.#run();
  }

  get inStep(): boolean {
    return this.#phase.kind === 'in-step';
  }

  get apartSinceMs(): number | null {
    return this.#apartSinceMs;
  }

  /** Everything up to here is at the target. */
  get receivedSequence(): number {
    return this.#received;
  }

  /** Everything up to here would survive a power cut there. */
  get durableSequence(): number {
    return this.#durable;
  }

  get congested(): boolean {
    return this.inStep && this.#outstanding.bytes + this.#batch.bytes > softBytes;
  }

  holds(sequence: number): boolean {
    return this.inStep && this.#durable >= sequence;
  }

  change(target: SourceTarget): void {
    const before = this.#target;
    this.#target = target;
    if (target.paused !== null && before.paused === null) this.hangUp(`paused: ${target.paused}`);
    if (target.paused === null) this.#run();
  }

  hangUp(says: string): void {
    this.#stop.abort();
    this.#connection?.close(says);
  }

  /** Everything is compared. */
  resync(): void {
    this.#bitmap.addAll();
    this.hangUp('a person wants everything to be compared');
  }

  /** L1. The volume holds it already. */
  changed(sequence: number, change: BlockChange, firstChunk: number, lastChunk: number): void {
    if (!this.#forwards(firstChunk, lastChunk)) {
      this.dirty(firstChunk, lastChunk);
      return;
    }
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) this.#outstanding.add(chunk);
    const full = this.#batch.add(sequence, change, this.#connection?.dataBytes ?? Infinity);
    if (full) this.#sendBatch({});
    else this.#schedule();
    if (this.#outstanding.bytes + this.#batch.bytes > hardBytes)
      this.#fall('more is under way than it takes'); // L3
  }

  dirty(firstChunk: number, lastChunk: number): void {
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) this.#bitmap.add(chunk);
  }

  /** What was written so far is durable there before anything that comes later is applied. */
  barrier(): void {
    const { kind } = this.#phase;
    if (kind !== 'in-step' && kind !== 'resync') return;
    if (!this.#batch.empty || this.#outstanding.undurable) this.#sendBatch({ barrier: true });
  }

  /** Chunks whose new contents may not be durable at the target, beside those of the bitmap. */
  *underWay(): Iterable<number> {
    yield* this.#outstanding.chunks();
    if (this.#phase.kind === 'resync') yield* this.#phase.resyncing.asked();
  }

  async verify(repair: boolean, progress: (doneBytes: number) => void): Promise<Verification | string> {
    const connection = this.#connection;
    if (!this.inStep) return `${this.member} is not in step: ${this.#says || 'it is being brought there'}`;
    const { store, ground } = this.#ports;
    const verified = await verify({
      store,
      sizeBytes: ground.sizeBytes,
      comparing: this.#comparing,
      before: () => this.#sendBatch({}),
      over: () => (this.#connection === connection && this.inStep ? '' : `${this.member} went out of step`),
      progress,
    });
    if (typeof verified === 'string' || !repair || verified.differences.length === 0) return verified;
    for (const { offset, length } of verified.differences) this.dirty(...ground.chunksOf(offset, length));
    this.#fall('what differs is mended');
    return verified;
  }

  row(): MirrorRow {
    const { kind } = this.#phase;
    const chunkBytes = this.#bitmap.chunkBytes;
    const nowMs = performance.now();
    const lacking = this.#bitmap.count * chunkBytes + this.#outstanding.bytes + this.#batch.bytes;
    const oldestMs = kind === 'in-step' ? this.#outstanding.oldestMs : this.#apartSinceMs;
    const behind = this.inStep ? this.#outstanding.bytes + this.#batch.bytes > 0 : lacking > 0;
    const phase = this.#phase;
    const resync = phase.kind === 'resync';
    return {
      target: this.member,
      state: this.#state(),
      consistent: this.#consistent,
      behindBytes: this.inStep ? this.#outstanding.bytes + this.#batch.bytes : lacking,
      behindMs: behind && oldestMs !== null ? Math.max(0, Math.round(nowMs - oldestMs)) : 0,
      totalBytes: resync ? phase.totalBytes : 0,
      doneBytes: resync ? Math.min(phase.totalBytes, phase.resyncing.doneBytes) : 0,
      rateBytesPerSecond: this.#rate.perSecond,
      says: this.#target.paused ?? (kind === 'waiting' ? this.#waitingSays : this.#says),
    };
  }

  async close(says: string): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    // What the service wrote last still goes: a planned move waits for it elsewhere, this costs nothing.
    if (this.inStep) this.#sendBatch({});
    this.hangUp(says);
    await this.#running;
    this.#ports.progressed();
  }

  #state(): MirrorState {
    if (this.#target.paused !== null) return 'paused';
    switch (this.#phase.kind) {
      case 'apart':
      case 'joining':
        return 'disconnected';
      case 'resync':
        return this.#first && !this.#consistent ? 'initial-copy' : 'resync';
      case 'in-step':
        return 'replicating';
      case 'waiting':
        return 'waiting';
    }
  }

  /** In a resync what is dirty anyway need not travel twice. */
  #forwards(firstChunk: number, lastChunk: number): boolean {
    if (this.#phase.kind === 'in-step') return true;
    if (this.#phase.kind !== 'resync') return false;
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) if (!this.#bitmap.has(chunk)) return true;
    return false;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After the answers to the service have left.
    setImmediate(() => {
      this.#scheduled = false;
      if (!this.#batch.empty) this.#sendBatch({});
    });
  }

  /** With a flag there is a frame even when nothing waits. Answers the number of the last one. */
  #sendBatch({ barrier = false, inStep = false, resync = false }): number {
    const frames = this.#batch.take();
    const last = frames.length - 1;
    const sequence = this.#batch.sequence;
    if (last < 0 && (barrier || inStep)) this.#send([], sequence, 0, { barrier, inStep, resync });
    frames.forEach((frame, i) => {
      const flags = i === last ? { barrier, inStep, resync } : { barrier: false, inStep: false, resync };
      this.#send(frame.changes, frame.sequence, frame.bytes, flags);
    });
    return this.#number;
  }

  #send(
    changes: readonly BlockChange[],
    sequence: number,
    bytes: number,
    flags: { readonly barrier: boolean; readonly inStep: boolean; readonly resync: boolean },
  ): void {
    this.#number += 1;
    this.#rate.bytes += bytes;
    this.#outstanding.sent(this.#number, sequence, bytes, performance.now());
    this.#connection?.send({ kind: 'volume-writes', number: this.#number, sequence, changes, ...flags });
  }

  #run(): void {
    if (this.#running !== null || this.#closed || this.#target.paused !== null) return;
    this.#running = this.#dialAgain().finally(() => {
      this.#running = null;
    });
  }

  async #dialAgain(): Promise<void> {
    while (!this.#closed && this.#target.paused === null) {
      this.#stop = new AbortController();
      await this.#session(this.#stop.signal);
      if (this.#closed || this.#target.paused !== null) return;
      this.#failures += 1;
      await pause(redialMs(this.#failures, Math.random()), this.#stop.signal);
    }
  }

  async #session(signal: AbortSignal): Promise<void> {
    const dialed = await this.#target.dial(signal);
    if (dialed.kind === 'failed') {
      this.#says = dialed.failure.says;
      return;
    }
    const { connection } = dialed;
    if (signal.aborted) {
      connection.close('not wanted any more');
      return;
    }
    this.#connection = connection;
    this.#phase = { kind: 'joining' };
    connection.beats(() => this.#facts());
    const met = await greet(connection, this.#ports.greeting(this.member));
    if (met.kind === 'refused') this.#says = met.says;
    else {
      this.#consistent = met.hello.consistent;
      this.#first = met.hello.position === null;
      await this.#agree(met.stamp, met.ranges);
      const ended = new Promise<string>((resolve) => connection.onEnd(({ says }) => resolve(says)));
      if (connection.ended === null) this.#begin(connection);
      this.#says = await ended;
    }
    connection.close(this.#says);
    this.#apart();
  }

  /** Both bitmaps become one, or everything counts as different. Durable before the target hears of it. */
  async #agree(
    stamp: string,
    ranges: readonly { readonly offset: number; readonly length: number }[],
  ): Promise<void> {
    const { ground } = this.#ports;
    const same = stamp !== noStamp && stamp === this.#bitmap.stamp;
    if (!same) this.#bitmap.addAll();
    else
      for (const { offset, length } of ranges)
        if (offset < ground.sizeBytes)
          this.dirty(...ground.chunksOf(offset, Math.min(length, ground.sizeBytes - offset)));
    await this.#bitmap.save(same ? stamp : randomBytes(12).toString('hex'));
  }

  #begin(connection: Connection): void {
    this.#number = 0;
    this.#outstanding = new Outstanding();
    this.#received = 0;
    this.#durable = 0;
    this.#batch = new Batch(this.#ports.sequence());
    this.#comparing = new Comparing((frame) => connection.send(frame));
    this.#failures = 0;
    this.#says = '';
    connection.onFrame((frame) => {
      const wrong = this.#take(frame);
      if (wrong !== '') connection.close(wrong);
    });
    this.#resyncNow();
  }

  #resyncNow(): void {
    const { ground, store } = this.#ports;
    const bytes = Math.min(ground.sizeBytes, this.#bitmap.count * this.#bitmap.chunkBytes);
    const resyncing = new Resyncing({
      store,
      sizeBytes: ground.sizeBytes,
      bitmap: this.#bitmap,
      comparing: this.#comparing,
      room: () => this.#outstanding.bytes < this.#resyncBytes(),
      send: (changes, chunks) => this.#sendDifferences(changes, chunks),
      done: () => this.#markInStep(),
    });
    this.#phase = { kind: 'resync', resyncing, totalBytes: bytes, mark: null };
    const { stamp } = this.#bitmap;
    this.#connection?.send({ kind: 'volume-resync', stamp, bytes, sizeBytes: ground.sizeBytes });
    resyncing.pump();
  }

  /** Little enough that what the service writes does not wait long behind it. */
  #resyncBytes(): number {
    return Math.min(softBytes, (this.#connection?.dataBytes ?? 0) * queuePieces * 4);
  }

  #sendDifferences(changes: readonly BlockChange[], chunks: readonly number[]): void {
    this.#sendBatch({});
    for (const chunk of chunks) this.#outstanding.add(chunk);
    const sequence = this.#batch.sequence;
    for (const change of changes) this.#batch.add(sequence, change, this.#connection?.dataBytes ?? Infinity);
    this.#sendBatch({ resync: true });
  }

  #markInStep(): void {
    if (this.#phase.kind !== 'resync') return;
    this.#phase.mark = this.#sendBatch({ barrier: true, inStep: true });
  }

  /** Empty, or why the connection can't go on. */
  #take(frame: Frame): string {
    switch (frame.kind) {
      case 'volume-ack':
        return this.#acknowledged(frame);
      case 'volume-hashes':
        return this.#comparing.answer(frame) ? '' : 'the target answers what it was not asked';
      case 'beat':
        this.#heard(frame);
        return '';
      case 'refuse':
        return frame.says;
      default:
        return `a target does not send ${frame.kind}`;
    }
  }

  #acknowledged(ack: VolumeAck): string {
    if (ack.received > this.#number) return 'the target acknowledges what it was not sent';
    const received = this.#outstanding.received(ack.received);
    const durable = this.#outstanding.durable(ack.durable);
    this.#consistent = ack.consistent;
    this.#received = received ?? this.#received;
    this.#durable = durable ?? this.#durable;
    if (this.#phase.kind === 'resync') {
      const { mark, resyncing } = this.#phase;
      if (mark !== null && ack.durable >= mark) this.#nowInStep();
      else resyncing.pump();
    }
    this.#ports.progressed();
    return '';
  }

  #nowInStep(): void {
    this.#phase = { kind: 'in-step', sinceMs: performance.now() };
    this.#apartSinceMs = null;
    this.#first = false;
    this.#congestedSinceMs = null;
    this.#ports.says(`${this.member} is in step at ${this.#durable}`);
    // Soon, so that a crash does not make everything dirty that was copied.
    void this.#bitmap
      .save(null, () => this.underWay())
      .catch((error: unknown) => {
        this.#ports.says(`the bitmap of ${this.member} can't be written: ${errorText(error)}`);
      });
  }

  #heard({ says, waiting }: Beat): void {
    this.#waitingSays = waiting || this.#waitingSays;
    if (says !== '') this.#says = says;
  }

  #look(): void {
    const nowMs = performance.now();
    const sinceMs = nowMs - this.#rate.atMs;
    if (sinceMs >= 1_000)
      this.#rate = { bytes: 0, atMs: nowMs, perSecond: Math.round((this.#rate.bytes / sinceMs) * 1_000) };
    if (this.#phase.kind === 'waiting') {
      const settled = this.#outstanding.bytes === 0 && nowMs >= this.#resumeAtMs; // L4
      if (settled && this.#connection !== null) this.#resyncNow();
    } else if (this.#phase.kind === 'in-step') {
      if (nowMs - this.#phase.sinceMs > steadyMs) this.#resumeDelayMs = resumeMs.first;
      this.#judge(nowMs);
    } else if (this.#phase.kind === 'resync') this.#phase.resyncing.pump();
  }

  /** L3. */
  #judge(nowMs: number): void {
    if (!this.congested) {
      this.#congestedSinceMs = null;
      return;
    }
    this.#congestedSinceMs ??= nowMs;
    if (nowMs - this.#congestedSinceMs > congestedMs)
      this.#fall('the line or the disk of the target can not keep up');
  }

  /** To the bitmap, on the same connection. */
  #fall(says: string): void {
    if (this.#phase.kind !== 'in-step' && this.#phase.kind !== 'resync') return;
    this.#fold();
    this.#batch = new Batch(this.#ports.sequence());
    this.#phase = { kind: 'waiting' };
    this.#waitingSays = says;
    this.#apartSinceMs ??= performance.now();
    this.#resumeAtMs = performance.now() + this.#resumeDelayMs;
    this.#resumeDelayMs = Math.min(resumeMs.most, this.#resumeDelayMs * 2);
    this.#ports.says(`${this.member} is behind: ${says}`);
    this.#ports.progressed();
  }

  /** L2. */
  #fold(): void {
    for (const chunk of this.underWay()) this.#bitmap.add(chunk);
    if (this.#phase.kind === 'resync') this.#phase.resyncing.stop();
    this.#outstanding.forgetChunks();
  }

  #apart(): void {
    this.#fold();
    const was = this.#phase.kind;
    this.#connection = null;
    this.#outstanding = new Outstanding();
    this.#batch = new Batch(this.#ports.sequence());
    this.#phase = { kind: 'apart' };
    this.#apartSinceMs ??= performance.now();
    if (was === 'in-step') this.#ports.says(`${this.member} is out of step: ${this.#says}`);
    this.#ports.progressed();
  }

  #facts(): BeatFacts {
    const { behindBytes, behindMs, says } = this.row();
    const waiting = this.#phase.kind === 'waiting' ? this.#waitingSays : '';
    const sequence = this.#ports.sequence();
    return { behindBytes, behindMs, waiting, sequence, receivedBytes: 0, says, diverged: false };
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
