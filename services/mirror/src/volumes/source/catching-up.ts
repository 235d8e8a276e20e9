/**
 * When a target that fell behind is brought into step again. Times are of a clock that only rises.
 *
 *   R1  not while the service writes about as much as the line and the target took when there was too much: it would fall
 *       behind again at once, and the service would have shared the processor with a comparison in vain
 *   R2  ever later when it happens often, and after `mostMs` at the latest: what they take may be more by then
 */

import { Rate } from './rate.ts';

const firstMs = 200;
const mostMs = 10_000;
/** In step for so long, it begins with the first pause again. */
const steadyMs = 30_000;
const lookMs = 200;
const tooMuch = 0.8;

export class CatchingUp {
  readonly #rate: Rate;
  #writtenBytes = 0;
  #delayMs = firstMs;
  #notBeforeMs = 0;
  #latestMs = 0;
  #fell: { readonly bytes: number; readonly atMs: number } | null = null;
  /** Bytes a second; infinity: not known. */
  #takes = Infinity;

  constructor(nowMs: number) {
    this.#rate = new Rate(lookMs, nowMs);
  }

  /** By the service. */
  wrote(bytes: number): void {
    this.#writtenBytes += bytes;
  }

  look(nowMs: number): void {
    this.#rate.look(this.#writtenBytes, nowMs);
  }

  /** It is behind; `bytes` are still under way. */
  fell(bytes: number, nowMs: number): void {
    this.#fell = { bytes, atMs: nowMs };
    this.#notBeforeMs = nowMs + this.#delayMs;
    this.#latestMs = nowMs + mostMs;
    this.#delayMs = Math.min(mostMs, this.#delayMs * 2);
  }

  /** All that was under way has arrived. */
  drained(nowMs: number): void {
    if (this.#fell === null) return;
    const { bytes, atMs } = this.#fell;
    this.#fell = null;
    this.#takes = nowMs > atMs && bytes > 0 ? (bytes / (nowMs - atMs)) * 1_000 : Infinity;
  }

  inStepSince(sinceMs: number, nowMs: number): void {
    if (nowMs - sinceMs > steadyMs) this.#delayMs = firstMs;
  }

  isDue(nowMs: number): boolean {
    if (nowMs < this.#notBeforeMs) return false;
    return nowMs >= this.#latestMs || this.#rate.perSecond < tooMuch * this.#takes; // R1, R2
  }
}
