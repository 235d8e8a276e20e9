/**
 * One target of a volume's source, for as long as it is one: the connection to it, what is under way on that, and what the
 * target lacks.
 *
 *   L1  a write is either forwarded, in order, or its chunks are dirty in the bitmap; never neither
 *   L2  what was forwarded is dirty again when the connection ends before the target had it durable
 *   L3  what is under way is bounded (congestion.ts), and nobody is slowed by it: a target with too much of it falls back to the bitmap
 *   L4  what the store holds after a write that failed nobody knows: a target in step is not, until that is compared
 *   L5  it catches up by itself when everything that was under way is durable there and the service leaves it room (catching-up.ts)
 *   L6  one that is there and does not answer is lost after `targetLossMs`, and falls back to the bitmap: its disk hangs, and its line
 *       would never end. Until the mark of its resync nobody waits for it, and it is lost when nothing becomes durable there
 *   L7  what can't be read here keeps it from being in step, and is said, until it can be: everything else is at the target
 */

import { randomBytes } from 'node:crypto';
import type { MirrorRow } from '@holdfast/core';
import { errorCode, errorText } from '@holdfast/wire/directory';
import type { BeatFacts, Connection, Frame, Hello } from '../../transport/types.ts';
import type { BlockChange, VolumeAck } from '../../transport/volume-frames.ts';
import { redialMs } from '../../transport/backoff.ts';
import type { SourceTarget } from '../../files/source/types.ts';
import { noStamp, type PeerBitmap } from '../bitmap/peer-bitmap.ts';
import { CatchingUp } from './catching-up.ts';
import { Comparing } from './comparing.ts';
import { Congestion, isTooMuch, resyncBytesMax } from './congestion.ts';
import { Forwarding } from './forwarding.ts';
import { greet } from './greeting.ts';
import { stateOf, type Phase } from './line-phase.ts';
import type { LinePorts } from './line-ports.ts';
import { pause } from './pause.ts';
import { Rate } from './rate.ts';
import { Resyncing } from './resyncing.ts';
import { Silence } from './silence.ts';
import { verify, type Comparison, type Verification } from './verifying.ts';

const lookMs = 100;
const queuePieces = 8;

export class VolumeLine {
  readonly member: string;
  readonly #ports: LinePorts;
  readonly #bitmap: PeerBitmap;
  readonly #timer: NodeJS.Timeout;
  #target: SourceTarget;
  #phase: Phase = { kind: 'apart' };
  #connection: Connection | null = null;
  #comparing: Comparing;
  #forwarding: Forwarding | null = null;
  #consistent = false;
  #first = true;
  /** It said in this life how its copy stands. */
  #met = false;
  readonly #congestion = new Congestion();
  readonly #silence = new Silence();
  readonly #catchingUp = new CatchingUp(performance.now());
  /** Since when it is not in step; null: it is. */
  #apartSinceMs: number | null = performance.now();
  #failures = 0;
  #running: Promise<void> | null = null;
  #stop = new AbortController();
  #closed = false;
  #says = '';
  #waitingSays = '';
  #unread = '';
  #rate = new Rate();

  constructor(target: SourceTarget, bitmap: PeerBitmap, ports: LinePorts) {
    this.member = target.member;
    this.#target = target;
    this.#bitmap = bitmap;
    this.#ports = ports;
    this.#comparing = new Comparing(0, (frame) => this.#connection?.send(frame));
    this.#timer = setInterval(() => this.#look(), lookMs);
    this.#run();
  }

  get inStep(): boolean {
    return this.#phase.kind === 'in-step';
  }

  /** Its target may be in step by now, which only an answer will tell (answering.ts, W4). */
  get isMarked(): boolean {
    return this.#phase.kind === 'resync' && this.#phase.mark !== null;
  }

  /** Whether it forwards what is written. */
  get forwarding(): boolean {
    return this.#phase.kind === 'resync' || this.#phase.kind === 'in-step';
  }

  get apartSinceMs(): number | null {
    return this.#apartSinceMs;
  }

  /** Everything up to here is at the target. */
  get receivedSequence(): number {
    return this.#forwarding?.received ?? 0;
  }

  /** Everything up to here would survive a power cut there. */
  get durableSequence(): number {
    return this.#forwarding?.durable ?? 0;
  }

  get elsewhere(): boolean {
    return this.#target.elsewhere === true;
  }

  /** Whether writes may have to wait for it when it is not in step (answering.ts, W3). */
  get binds(): boolean {
    const { paused, elsewhere } = this.#target;
    return paused === null && elsewhere !== true && (this.#consistent || !this.#met);
  }

  /** L7; empty: nothing that it lacks was found unreadable. */
  get unread(): string {
    return this.#unread;
  }

  holds(sequence: number): boolean {
    return this.inStep && this.durableSequence >= sequence;
  }

  change(target: SourceTarget): void {
    const before = this.#target;
    this.#target = target;
    if (target.paused !== null && before.paused === null) this.hangUp(`paused: ${target.paused}`);
    if (target.paused === null) this.#run();
  }

  hangUp(says: string): void {
    if (this.#phase.kind === 'resync') this.#phase.resyncing.stop();
    this.#stop.abort();
    this.#connection?.close(says);
  }

  /** Everything is compared. */
  resync(): void {
    this.#bitmap.addAll();
    this.hangUp('a person wants everything to be compared');
  }

  /** By the service, whatever becomes of it here. */
  wrote(bytes: number): void {
    this.#catchingUp.wrote(bytes);
  }

  /** L1. The volume holds it already. */
  changed(sequence: number, change: BlockChange, firstChunk: number, lastChunk: number): void {
    if (!this.#forwards(firstChunk, lastChunk)) {
      this.dirty(firstChunk, lastChunk);
      return;
    }
    this.#forwarding?.add(sequence, change, firstChunk, lastChunk);
    if (isTooMuch(this.#forwarding?.heldBytes ?? 0)) this.#fall('more is under way than it takes'); // L3
  }

  dirty(firstChunk: number, lastChunk: number): void {
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) this.#bitmap.add(chunk);
  }

  /** L4. */
  unknown(firstChunk: number, lastChunk: number): void {
    this.dirty(firstChunk, lastChunk);
    this.#fall('a write failed at the source');
  }

  /** What was written so far is durable there before anything that comes later is applied. */
  barrier(): void {
    if (this.forwarding) this.#forwarding?.barrier();
  }

  /** Chunks whose new contents may not be durable at the target, beside those of the bitmap. */
  *underWay(): Iterable<number> {
    yield* this.#forwarding?.chunks() ?? [];
    if (this.#phase.kind === 'resync') yield* this.#phase.resyncing.asked();
  }

  /** `ranges`: in order; null: everything. */
  async verify(
    { repair, ranges }: Comparison,
    progress: (doneBytes: number) => void,
  ): Promise<Verification | string> {
    const connection = this.#connection;
    if (!this.inStep) return `${this.member} is not in step: ${this.#says || 'it is being brought there'}`;
    const { store, ground, still } = this.#ports;
    const verified = await verify({
      ...{ store, still },
      ranges: ranges ?? [{ offset: 0, length: ground.sizeBytes }],
      comparing: this.#comparing,
      before: () => this.#forwarding?.flush(),
      over: () => (this.#connection === connection && this.inStep ? '' : `${this.member} went out of step`),
      progress,
    });
    if (typeof verified === 'string' || !repair || verified.differences.length === 0) return verified;
    for (const { offset, length } of verified.differences) this.dirty(...ground.chunksOf(offset, length));
    this.#fall('what differs is mended');
    return verified;
  }

  row(): MirrorRow {
    const phase = this.#phase;
    const nowMs = performance.now();
    const underWay = this.#forwarding?.lackingBytes ?? 0;
    const lacking = this.#bitmap.count * this.#bitmap.chunkBytes + underWay;
    const oldestMs = phase.kind === 'in-step' ? (this.#forwarding?.oldestMs ?? null) : this.#apartSinceMs;
    const behindBytes = this.inStep ? underWay : lacking;
    const resync = phase.kind === 'resync';
    return {
      target: this.member,
      state: stateOf(phase, this.#target.paused !== null, this.#first && !this.#consistent),
      consistent: this.#consistent,
      behindBytes,
      behindMs: behindBytes > 0 && oldestMs !== null ? Math.max(0, Math.round(nowMs - oldestMs)) : 0,
      totalBytes: resync ? phase.totalBytes : 0,
      doneBytes: resync ? Math.min(phase.totalBytes, phase.resyncing.doneBytes) : 0,
      rateBytesPerSecond: this.#rate.perSecond,
      says: this.#target.paused ?? (phase.kind === 'waiting' ? this.#waitingSays : this.#says),
    };
  }

  async close(says: string): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    // What the service wrote last still goes: a planned move waits for it elsewhere, this costs nothing.
    if (this.inStep) this.#forwarding?.flush();
    this.hangUp(says);
    await this.#running;
    this.#ports.progressed();
  }

  /** In a resync what is dirty anyway need not travel twice. */
  #forwards(firstChunk: number, lastChunk: number): boolean {
    if (this.#phase.kind === 'in-step') return true;
    if (this.#phase.kind !== 'resync') return false;
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) if (!this.#bitmap.has(chunk)) return true;
    return false;
  }

  /** Of contents. */
  get #underWayBytes(): number {
    return this.#forwarding?.bytes ?? 0;
  }

  #wanted(): boolean {
    return !this.#closed && this.#target.paused === null;
  }

  #run(): void {
    if (this.#running !== null || !this.#wanted()) return;
    this.#running = this.#dialAgain().finally(() => {
      this.#running = null;
    });
  }

  async #dialAgain(): Promise<void> {
    while (this.#wanted()) {
      this.#stop = new AbortController();
      await this.#trySession(this.#stop.signal);
      if (!this.#wanted()) return;
      this.#failures += 1;
      await pause(redialMs(this.#failures, Math.random()), this.#stop.signal);
    }
  }

  /** What the disk of the records says ends a session like anything else. */
  async #trySession(signal: AbortSignal): Promise<void> {
    try {
      await this.#session(signal);
    } catch (error) {
      if (errorCode(error) === '') throw error;
      this.#says = `the bitmap of ${this.member} can't be written: ${errorText(error)}`;
      this.#ports.says(this.#says);
      this.#connection?.close(this.#says);
      this.#apart();
    }
  }

  async #session(signal: AbortSignal): Promise<void> {
    const dialed = await this.#target.dial(signal);
    if (dialed.kind === 'failed') {
      // Hung up by us: why it is not there is what was said before.
      if (dialed.failure.kind !== 'stopped') this.#says = dialed.failure.says;
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
      this.#met = true;
      this.#consistent = met.hello.consistent;
      this.#first = met.hello.position === null;
      await this.#agree(met.stamp, met.ranges);
      const ended = new Promise<string>((resolve) => connection.onEnd(({ says }) => resolve(says)));
      if (connection.ended === null) this.#begin(connection, met.hello);
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

  #begin(connection: Connection, { compareRanges }: Hello): void {
    this.#forwarding = new Forwarding(connection, this.#ports.sequence(), this.#ports.urgent);
    this.#rate = new Rate();
    this.#comparing = new Comparing(compareRanges, (frame) => connection.send(frame));
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
      room: (bytes) => Math.max(bytes, this.#underWayBytes) < this.#resyncBytes(),
      flush: () => this.#forwarding?.flush(),
      send: (changes, chunks) => this.#forwarding?.addDifferences(changes, chunks),
      done: () => setImmediate(() => this.#markInStep(resyncing)),
      unread: (says) => setImmediate(() => this.#notAll(resyncing, says)),
    });
    this.#phase = { kind: 'resync', resyncing, totalBytes: bytes, mark: null };
    const { stamp } = this.#bitmap;
    this.#connection?.send({ kind: 'volume-resync', stamp, bytes, sizeBytes: ground.sizeBytes });
    // It forwards by now: meanwhile nobody else may say that contents are not wanted.
    this.#ports.wantContents();
    resyncing.pump();
  }

  /** Little enough that what the service writes does not wait long behind it. */
  #resyncBytes(): number {
    return Math.min(resyncBytesMax, (this.#connection?.dataBytes ?? 0) * queuePieces * 4);
  }

  /** What was read of the store last may be newer than what was forwarded, and a mark stands for one moment. */
  #markInStep(resyncing: Resyncing): void {
    if (this.#closed) return;
    this.#ports.catchUp();
    if (this.#phase.kind !== 'resync' || this.#phase.resyncing !== resyncing || this.#forwarding === null)
      return;
    this.#unread = '';
    const number = this.#forwarding.markInStep(this.#ports.sequence());
    this.#phase.mark = { number, atMs: performance.now() };
  }

  /** L7. It is tried again as whatever it fell behind for. */
  #notAll(resyncing: Resyncing, says: string): void {
    if (this.#phase.kind !== 'resync' || this.#phase.resyncing !== resyncing) return;
    this.#unread = says;
    this.#fall(says);
  }

  /** Empty, or why the connection can't go on. */
  #take(frame: Frame): string {
    if (frame.kind === 'volume-ack') return this.#acknowledged(frame);
    if (frame.kind === 'volume-hashes')
      return this.#comparing.answer(frame) ? '' : 'the target answers what it was not asked';
    if (frame.kind === 'refuse') return frame.says;
    return frame.kind === 'beat' ? '' : `a target does not send ${frame.kind}`;
  }

  #acknowledged(ack: VolumeAck): string {
    const wrong = this.#forwarding?.acknowledge(ack) ?? '';
    if (wrong !== '') return wrong;
    this.#consistent = ack.consistent;
    if (this.#phase.kind === 'waiting' && this.#forwarding?.lackingBytes === 0)
      this.#catchingUp.drained(performance.now());
    if (this.#phase.kind === 'resync') {
      const { mark, resyncing } = this.#phase;
      if (mark !== null && ack.durable >= mark.number) this.#nowInStep();
      else resyncing.pump();
    }
    this.#ports.progressed();
    return '';
  }

  #nowInStep(): void {
    this.#phase = { kind: 'in-step', sinceMs: performance.now() };
    this.#apartSinceMs = null;
    this.#first = false;
    this.#congestion.begin();
    this.#ports.says(`${this.member} is in step at ${this.durableSequence}`);
    // Soon, so that a crash does not make everything dirty that was copied.
    void this.#bitmap
      .save(null, () => this.underWay())
      .catch((error: unknown) => {
        this.#ports.says(`the bitmap of ${this.member} can't be written: ${errorText(error)}`);
      });
  }

  #look(): void {
    const nowMs = performance.now();
    this.#rate.look(this.#forwarding?.sentBytes ?? 0, nowMs);
    this.#catchingUp.look(nowMs);
    if (this.#phase.kind === 'waiting') {
      const due = this.#forwarding?.undurableMs === null && this.#catchingUp.isDue(nowMs); // L5
      if (due && this.#connection !== null) this.#resyncNow();
    } else if (this.#phase.kind === 'in-step') {
      this.#catchingUp.inStepSince(this.#phase.sinceMs, nowMs);
      if (this.#congestion.look(this.#forwarding?.heldBytes ?? 0, nowMs))
        this.#fall('the line or the disk of the target can not keep up'); // L3
      this.#listen(0, nowMs);
    } else if (this.#phase.kind === 'resync') {
      this.#phase.resyncing.pump();
      this.#listen(this.#phase.mark?.atMs ?? 0, nowMs);
    }
  }

  /** L6. */
  #listen(fromMs: number, nowMs: number): void {
    if (this.#forwarding === null) return;
    const waited = !this.elsewhere && (this.inStep || this.isMarked);
    const lossMs = waited ? this.#ports.lossMs() : Infinity;
    const sinceMs = this.#silence.look(this.#forwarding, fromMs, nowMs, lossMs);
    if (sinceMs !== null)
      this.#fall('it is there, and does not answer what it is sent: its disk may hang', sinceMs);
  }

  /** To the bitmap, on the same connection. */
  #fall(says: string, sinceMs = performance.now()): void {
    if (this.#phase.kind !== 'in-step' && this.#phase.kind !== 'resync') return;
    this.#fold();
    const isNew = this.inStep || says !== this.#waitingSays;
    this.#phase = { kind: 'waiting' };
    this.#waitingSays = says;
    this.#apartSinceMs ??= sinceMs;
    this.#catchingUp.fell(this.#underWayBytes, performance.now());
    if (isNew) this.#ports.says(`${this.member} is behind: ${says}`);
    this.#ports.progressed();
  }

  /** L2. */
  #fold(): void {
    for (const chunk of this.underWay()) this.#bitmap.add(chunk);
    if (this.#phase.kind === 'resync') this.#phase.resyncing.stop();
    this.#forwarding?.drop(this.#ports.sequence());
  }

  #apart(): void {
    this.#fold();
    const was = this.#phase.kind;
    this.#apartSinceMs ??= this.#forwarding?.unansweredMs ?? performance.now();
    this.#connection = null;
    this.#forwarding = null;
    this.#phase = { kind: 'apart' };
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
