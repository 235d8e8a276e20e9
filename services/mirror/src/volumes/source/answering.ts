/**
 * Who has to have a write, or a flush, before it is answered, and who waits for that.
 *
 *   W1  async: nobody. sync: every target in step has received a write, and has a flush durable
 *   W2  sync, and a target was lost: writes wait for it for `targetLossMs`, and then go on (continue) or go on waiting (block),
 *       which is said. The time begins with the oldest that it did not answer, whether its line ended or its disk hangs
 *   W3  whom a person paused, or who never had a complete copy that somebody could go on with, is not lost; and nobody ever waits for
 *       a copy elsewhere, with which nobody takes over
 *   W4  from the moment the mark that ends its resync is under way, nothing is answered that a target lacks: it may call itself
 *       in step, and be taken over to, before its source hears so
 *   W5  nobody is gone on without before a grant came that is younger than the loss: who is cut off from everybody gets none, is
 *       taken over from, and must not have answered what nobody else has
 */

import { outcome } from '../nbd/protocol.ts';
import { Answers } from './answers.ts';

/** Whether writes wait for targets, and for how long when one is lost. */
export interface SyncTerms {
  readonly mode: 'async' | 'sync';
  readonly onTargetLoss: 'continue' | 'block';
  readonly targetLossMs: number;
}

/** A target, as far as answers depend on it (volume-line.ts). */
export interface AnsweringTarget {
  readonly member: string;
  readonly inStep: boolean;
  /** W4. */
  readonly isMarked: boolean;
  readonly receivedSequence: number;
  readonly durableSequence: number;
  /** Since when it is not in step; null: it is. */
  readonly apartSinceMs: number | null;
  /** False: W3. In step it counts all the same, but for `elsewhere`. */
  readonly binds: boolean;
  readonly elsewhere: boolean;
}

type Done = (outcome: number) => void;

const nothing = -1;
/** What was granted before the loss may be so long on its way here. */
const grantMs = 250;

export class Answering {
  readonly #targets: () => readonly AnsweringTarget[];
  readonly #says: (sentence: string) => void;
  readonly #received = new Answers();
  readonly #durable = new Answers();
  readonly #told = new Map<string, string>();
  #terms: SyncTerms;
  #grantUntilMs = -Infinity;
  /** When the latest grant came. */
  #grantedMs = -Infinity;

  constructor(terms: SyncTerms, targets: () => readonly AnsweringTarget[], says: (sentence: string) => void) {
    this.#terms = terms;
    this.#targets = targets;
    this.#says = says;
  }

  /** For what waits, too. */
  set terms({ mode, onTargetLoss, targetLossMs }: SyncTerms) {
    this.#terms = { mode, onTargetLoss, targetLossMs };
  }

  /** Boot time until which the source may act; Infinity: it needs nobody's word. */
  granted(untilMs: number): void {
    if (untilMs > this.#grantUntilMs) this.#grantedMs = untilMs === Infinity ? Infinity : performance.now();
    this.#grantUntilMs = untilMs;
  }

  get isSync(): boolean {
    return this.#terms.mode === 'sync';
  }

  /** After so long without an answer a target is lost (W2). Infinity: nobody waits. */
  get lossMs(): number {
    return this.isSync ? this.#terms.targetLossMs : Infinity;
  }

  /** In mode sync also while no target is in step: one that comes into step has everything that was answered before. */
  get answersWrites(): boolean {
    return this.isSync && this.#targets().length > 0;
  }

  written(sequence: number, done: Done): void {
    wait(this.#received, this.#least('receivedSequence'), sequence, done);
  }

  /** It is durable here. */
  flushed(sequence: number, done: Done): void {
    wait(this.#durable, this.#least('durableSequence'), sequence, done);
  }

  release(): void {
    this.#tell();
    if (!this.#received.empty) this.#received.release(this.#least('receivedSequence'), outcome.done);
    if (!this.#durable.empty) this.#durable.release(this.#least('durableSequence'), outcome.done);
  }

  /** Everything that waits. */
  end(came: number): void {
    this.#received.release(Infinity, came);
    this.#durable.release(Infinity, came);
  }

  /** W2, of a target that is not in step; empty: writes do not depend on it. */
  tells(target: AnsweringTarget): string {
    if (!this.isSync || target.inStep || !target.binds) return '';
    return this.#without(target) === Infinity ? 'writes go on without it' : 'writes wait for it';
  }

  #least(of: 'receivedSequence' | 'durableSequence'): number {
    let least = Infinity;
    if (!this.isSync) return least; // W1
    for (const target of this.#targets()) {
      if (target.elsewhere) continue;
      if (target.inStep || target.isMarked) least = Math.min(least, target[of]);
      if (!target.inStep) least = Math.min(least, this.#without(target));
    }
    return least;
  }

  /** W2, W3, W5. */
  #without({ apartSinceMs, binds }: AnsweringTarget): number {
    const { onTargetLoss, targetLossMs } = this.#terms;
    if (!binds) return Infinity;
    if (onTargetLoss === 'block') return nothing;
    const lostMs = apartSinceMs ?? 0;
    const isOver = performance.now() - lostMs >= targetLossMs && this.#grantedMs >= lostMs + grantMs; // W5
    return isOver ? Infinity : nothing;
  }

  #tell(): void {
    for (const target of this.#targets()) {
      const says = this.tells(target);
      if (says === (this.#told.get(target.member) ?? '')) continue;
      this.#told.set(target.member, says);
      if (says !== '') this.#says(`${target.member} is not in step: ${says}`);
    }
  }
}

function wait(answers: Answers, released: number, sequence: number, done: Done): void {
  if (answers.empty && released >= sequence) done(outcome.done);
  else answers.add(sequence, done);
}
