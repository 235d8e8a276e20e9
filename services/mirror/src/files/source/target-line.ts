/**
 * One target of a source, for as long as it is one: dials again and again, runs a session on each connection, and knows what
 * the target holds.
 *
 * T1. While it is paused nothing is kept of it but the number that it acknowledged.
 * T2. Every wait between two connections is bounded and grows; what a target refuses is tried again, too, because a refusal
 *     may pass (a configuration that reaches it later).
 * T3. That the line can't keep up is judged while replicating only (lag.ts), and from nothing whenever the target lacks nothing.
 */

import type { MirrorRow, MirrorState } from '@holdfast/core';
import type { Ack, Beat, BeatFacts, Connection, Refuse } from '../../transport/types.ts';
import { behind } from './behind.ts';
import { Comparison } from './comparison.ts';
import { helloOf } from './hello.ts';
import { checksumOf, historyUpTo, join } from './joining.ts';
import { isTooSlow, lagAfter, type Lag } from './lag.ts';
import { Link } from './link.ts';
import { SessionOver } from './outlet.ts';
import { keyOf } from './path.ts';
import { Progress } from './progress.ts';
import { CompareInstead, runSession } from './session.ts';
import type { SessionGround } from './session-ground.ts';
import { Slice } from './slice.ts';
import type { SourceGround } from './source-ground.ts';
import type { Ordered, SourceTarget, Verified } from './types.ts';

const retryMsMin = 100;
const retryMsMax = 5_000;
/** T3. */
const slowAfterMsDefault = 10_000;
const firstWalkPollMs = 1_000;
const adoptingSays =
  'its folder held files of unknown origin: all is compared, and what differs is kept aside there before it is replaced';
/** A connection that ended in order is there again before that. */
const awayMs = 2_000;
const comparedLookMs = 1_000;

export class TargetLine {
  readonly member: string;
  readonly #ground: SourceGround;
  #target: SourceTarget;
  #link: Link | null = null;
  #progress = new Progress();
  #stop = new AbortController();
  #running: Promise<void> | null = null;
  #closed = false;
  #acked: number | null;
  #caughtUp = false;
  /** Batches that were sent before it had caught up, and are not acknowledged. */
  #owed = 0;
  #refused: Refuse | null = null;
  #says = '';
  #compare = false;
  /** The target's folder held files before its first copy. */
  #adopting = false;
  /** Why everything is compared though nobody ordered it; empty: it is not, or somebody did. */
  #comparedFor = '';
  #verify: Comparison | null = null;
  /** By performance.now(): since when it is not there, or waits; null: it goes on. */
  #stuckSinceMs: number | null = performance.now();
  /** T3. */
  #lag: Lag | null = null;
  /** Called whenever something was acknowledged, or a session ended. */
  readonly #waiters = new Set<() => void>();

  /** `acked`: what it acknowledged in a former life; null: nothing is known. */
  constructor(ground: SourceGround, target: SourceTarget, acked: number | null) {
    this.#ground = ground;
    this.#target = target;
    this.member = target.member;
    this.#acked = acked;
    this.#run();
  }

  /** The number that it holds for certain; null: not known. */
  get acked(): number | null {
    return this.#acked;
  }

  /** It holds one point in time of the source, and nothing else: what it changed by itself was compared and replaced. */
  holds(sequence: number): boolean {
    const { consistent, phase } = this.#progress;
    const inStep = consistent && phase === 'replicating' && this.#link !== null;
    return inStep && (this.#acked ?? -1) >= sequence;
  }

  change(target: SourceTarget): void {
    const before = this.#target;
    this.#target = target;
    if (target.paused !== null && before.paused === null) this.#hangUp(`paused: ${target.paused}`);
    if (target.paused === null) this.#run();
  }

  /** Dials anew: the terms of the connection changed. */
  redial(): void {
    this.#hangUp('the terms of the connection changed');
  }

  /** Everything is compared. */
  resync(): void {
    this.#compare = true;
    this.#hangUp('a person wants everything to be compared');
  }

  /** Why nothing can be compared with it now; null: it is there, or was a moment ago. */
  hindrance(): string | null {
    const { state, says } = this.#state();
    if (this.#closed) return this.#says;
    const since = this.#stuckSinceMs;
    const stuck = since !== null && performance.now() - since > awayMs;
    if (state !== 'paused' && !stuck) return null;
    return says === '' ? `it is ${state}` : `it is ${state}: ${says}`;
  }

  /** Everything is compared; `repair`: and then resync() is under way, if anything differed. */
  async verify(repair: boolean, signal: AbortSignal): Promise<Verified> {
    if (this.#verify !== null) return { kind: 'failed', says: 'it is being compared already' };
    const comparison = new Comparison(repair, { hindrance: () => this.hindrance(), signal });
    if (!comparison.isOver) {
      this.#verify = comparison;
      this.#hangUp('everything is compared');
    }
    const verified = await comparison.ended;
    this.#verify = null;
    if (verified.kind === 'failed') this.#hangUp(verified.says);
    else if (repair && verified.differences.length > 0) this.#compare = true;
    return verified;
  }

  /** Until what resync() ordered is done, and durable there. */
  async compared(signal: AbortSignal): Promise<Ordered> {
    while (this.#compare || this.#link === null || this.#progress.phase !== 'replicating') {
      if (signal.aborted) return { kind: 'failed', says: 'whoever asked went away' };
      if (this.#closed) return { kind: 'failed', says: this.#says };
      const { paused } = this.#target;
      if (paused !== null) return { kind: 'failed', says: `it is paused: ${paused}` };
      await this.#news(comparedLookMs);
    }
    return { kind: 'done' };
  }

  wake(): void {
    this.#link?.wake();
  }

  /** Until `holds(sequence)`, or the time (performance.now()) has come. */
  async holdsBy(sequence: number, untilMs: number): Promise<boolean> {
    while (!this.holds(sequence)) {
      const left = untilMs - performance.now();
      if (left <= 0 || this.#closed) return false;
      await this.#news(left);
    }
    return true;
  }

  /** Until something was acknowledged, a session ended, or the time is over. */
  #news(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, limitMs);
      const waiters = this.#waiters;
      function done(): void {
        clearTimeout(timer);
        waiters.delete(done);
        resolve();
      }
      waiters.add(done);
    });
  }

  async close(says: string): Promise<void> {
    this.#closed = true;
    this.#hangUp(says);
    this.#says = says;
    this.#verify?.end({ kind: 'failed', says });
    this.#wakeWaiters();
    await this.#running;
  }

  row(): MirrorRow {
    const { bytes, ms } = this.#behind();
    const { consistent, totalBytes, doneBytes, rateBytesPerSecond, hot } = this.#progress;
    const { state, says } = this.#state();
    return {
      target: this.member,
      state,
      consistent,
      behindBytes: bytes,
      behindMs: ms,
      totalBytes,
      doneBytes,
      rateBytesPerSecond,
      says,
      ...(hot === undefined ? {} : { hot }),
    };
  }

  #state(): { state: MirrorState; says: string } {
    const { paused } = this.#target;
    if (paused !== null) return { state: 'paused', says: paused };
    const { phase, targetWaits, targetDiverged, targetSays } = this.#progress;
    if (this.#link !== null && targetDiverged) return { state: 'diverged', says: targetWaits };
    if (this.#link === null || phase === 'joining') {
      if (targetWaits !== '') return { state: 'diverged', says: targetWaits };
      if (this.#refused === null) return { state: 'disconnected', says: this.#says };
      return { state: 'failed', says: this.#refused.says };
    }
    if (targetWaits !== '') return { state: 'waiting', says: targetWaits };
    const slow = this.#slowLine();
    if (slow !== null) return { state: 'waiting', says: slow };
    const why = this.#adopting ? adoptingSays : this.#comparedFor;
    return { state: phase, says: phase === 'replicating' || why === '' ? targetSays : why };
  }

  #behind(): { bytes: number; ms: number } {
    return behind(this.#ground, this.#acked ?? 0);
  }

  /** T3. */
  #slowLine(): string | null {
    const now = performance.now();
    const bytesPerSecond = this.#progress.rateBytesPerSecond;
    const full = this.#progress.phase === 'replicating' && this.#link?.outlet.isFull === true;
    const facts = { full, behindBytes: full ? this.#behind().bytes : 0, bytesPerSecond };
    this.#lag = lagAfter(this.#lag, facts, now);
    const { slowAfterMs = slowAfterMsDefault } = this.#ground.options;
    if (!isTooSlow(this.#lag, facts, now, slowAfterMs)) return null;
    return `the line can't keep up: ${String(bytesPerSecond)} bytes a second go out, and more is changed`;
  }

  #hangUp(says: string): void {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.#link?.close(says);
  }

  #run(): void {
    if (this.#closed || this.#target.paused !== null) return;
    this.#running ??= this.#dialing().finally(() => {
      this.#running = null;
      this.#run();
    });
  }

  async #dialing(): Promise<void> {
    let waitMs = retryMsMin;
    while (!this.#closed && this.#target.paused === null) {
      const { signal } = this.#stop;
      const stopped = this.#ground.stopped();
      if (stopped === null && !this.#ground.catalog.meta.complete) {
        // To wait for the first walk is no failure: it is dialled in the moment in which that ends.
        await pause(firstWalkPollMs, signal, this.#ground.firstWalk());
        continue;
      }
      let good = false;
      if (stopped !== null) this.#says = stopped;
      else good = await this.#once(signal);
      this.#wakeWaiters();
      waitMs = good ? retryMsMin : Math.min(retryMsMax, waitMs * 2);
      // Hung up by us: at once.
      if (!signal.aborted) await pause(waitMs, signal, null);
    }
  }

  /** One connection; true when it came to something. */
  async #once(signal: AbortSignal): Promise<boolean> {
    const dialed = await this.#target.dial(signal);
    if (dialed.kind === 'failed') {
      // Hung up by us: why it is not there is what was said before.
      if (dialed.failure.kind !== 'stopped') this.#says = dialed.failure.says;
      return false;
    }
    if (signal.aborted) {
      dialed.connection.close(this.#says);
      return false;
    }
    return this.#session(dialed.connection);
  }

  async #session(connection: Connection): Promise<boolean> {
    const link = new Link(connection, () => this.#ground.stopped(), {
      acknowledged: (ack) => {
        this.#acknowledged(ack);
      },
      refused: (refuse) => {
        // It is there, and wants to be compared.
        if (refuse.code === 'diverged') this.#comparedFor = refuse.says;
        else this.#refused = refuse;
      },
      heard: (beat) => {
        this.#heard(beat);
      },
    });
    this.#link = link;
    this.#progress = new Progress();
    this.#lag = null;
    this.#caughtUp = false;
    connection.beats(() => this.#facts(link));
    try {
      await this.#join(link);
    } catch (error) {
      if (error instanceof CompareInstead) {
        this.#compare = true;
        this.#comparedFor = error.message;
      } else if (!(error instanceof SessionOver)) {
        link.close('the source failed');
        this.#ground.failed(this.member, error);
      }
      this.#says = error instanceof Error ? error.message : String(error);
    }
    link.close(this.#says);
    this.#link = null;
    this.#stuckSinceMs ??= performance.now();
    return this.#progress.phase !== 'joining';
  }

  async #join(link: Link): Promise<void> {
    const { catalog, options, history } = this.#ground;
    const { lastSequence: sequence } = catalog;
    const checksum = checksumOf(catalog);
    await this.#ground.capture.onDisk(sequence);
    const said = helloOf(options, { sequence, checksum, history: history(sequence) });
    await link.outlet.send(said);
    const hello = await link.hello();
    const verify = this.#verify;
    const facts = {
      cluster: options.cluster,
      mirror: options.name,
      member: this.member,
      epoch: options.epoch,
      history: history(sequence),
      selection: said.selection,
      lastSequence: sequence,
      checksum,
      horizon: catalog.horizon,
      copyEnd: this.#ground.copyEnd(this.member),
      compare: this.#compare || verify !== null,
    };
    const joined = join(facts, hello);
    if (joined.kind === 'refused') {
      const refuse: Refuse = { kind: 'refuse', code: joined.code, says: joined.says, epoch: options.epoch };
      this.#refused = refuse;
      await link.outlet.send(refuse);
      throw new SessionOver(joined.says);
    }
    this.#refused = null;
    this.#comparedFor = joined.kind === 'compare' ? (joined.says ?? this.#comparedFor) : '';
    if (hello.position === null) this.#adopting = hello.foreign;
    this.#stuckSinceMs = null;
    const knowsEpoch =
      hello.history.at(-1)?.epoch === options.epoch && hello.position?.epoch === options.epoch;
    // To look whether it is in step does not make it anything else.
    const held = verify === null ? joined : join({ ...facts, compare: this.#compare }, hello);
    const steady = knowsEpoch && hello.consistent && held.kind === 'continue';
    const from = joined.kind === 'compare' ? 0 : joined.from;
    this.#acked = verify !== null && steady ? held.from : from;
    this.#progress.consistent = hello.consistent && (joined.kind === 'continue' || steady);
    await runSession(
      this.#sessionGround(link, new Map(hello.parts.map((part) => [keyOf(part.path), part]))),
      {
        joined,
        knowsEpoch,
        steadyAt: steady ? held.from : null,
        consistent: hello.consistent,
        verify,
      },
    );
  }

  #sessionGround(link: Link, parts: SessionGround['parts']): SessionGround {
    const { tree, catalog, capture, blocks, options, history } = this.#ground;
    return {
      tree,
      catalog,
      capture,
      blocks,
      link,
      parts,
      history: (upTo = catalog.lastSequence) => historyUpTo(history(catalog.lastSequence), upTo),
      slice: new Slice(),
      progress: this.#progress,
      settleMs: options.settleMs ?? 2_000,
      keepCopyEnd: (end) => {
        this.#ground.keepCopyEnd(this.member, end);
      },
      caughtUp: () => {
        this.#caughtUp = true;
        this.#owed = link.underWay;
        this.#compare = false;
        this.#catchUp();
        this.#wakeWaiters();
      },
    };
  }

  #acknowledged({ sequence }: Ack): void {
    this.#acked = Math.max(this.#acked ?? 0, sequence);
    if (this.#caughtUp && this.#owed > 0) this.#owed -= 1;
    if (sequence >= this.#ground.catalog.lastSequence) this.#lag = null;
    this.#catchUp();
    this.#wakeWaiters();
  }

  /** The copy or resync is complete when what made it so is durable: a number may have been reached long before. */
  #catchUp(): void {
    if (!this.#caughtUp || this.#owed > 0) return;
    this.#progress.caughtUp();
    this.#comparedFor = '';
    this.#ground.recovered(this.member);
    this.#ground.keepCopyEnd(this.member, null);
  }

  #heard(beat: Beat): void {
    this.#progress.targetWaits = beat.waiting;
    this.#progress.targetDiverged = beat.diverged;
    this.#progress.targetSays = beat.says;
    if (beat.waiting === '') this.#stuckSinceMs = null;
    else this.#stuckSinceMs ??= performance.now();
  }

  /** Asked for each beat; the end of the grant is noticed here, too. */
  #facts(link: Link): BeatFacts {
    const stopped = this.#ground.stopped();
    if (stopped !== null) link.close(stopped);
    const { bytes, ms } = this.#behind();
    const sequence = this.#ground.catalog.lastSequence;
    return {
      behindBytes: bytes,
      behindMs: ms,
      waiting: '',
      sequence,
      receivedBytes: 0,
      says: '',
      diverged: false,
    };
  }

  #wakeWaiters(): void {
    for (const done of [...this.#waiters]) done();
  }
}

function pause(ms: number, signal: AbortSignal, sooner: Promise<unknown> | null): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
    if (sooner !== null) void sooner.then(done, done);
  });
}
