/** How far a session is, for reports: what was to be sent, what went out, and how fast. */

import type { HotFiles } from '@holdfast/core';
import { shownPath } from '../shown-path.ts';
import { pathOfKey } from './path.ts';

const rateOverMs = 2_000;
const hotMax = 1_000;
const hotNamedMax = 5;

export type SessionPhase =
  /** Nothing is known of the target yet. */
  'joining' | 'initial-copy' | 'resync' | 'replicating';

export class Progress {
  phase: SessionPhase = 'joining';
  /** The target is at one point in time of the source. */
  consistent = false;
  /** Of the copy or resync under way, in bytes of contents. */
  totalBytes = 0;
  doneBytes = 0;
  /** Why the target does not go on; empty when it does. */
  targetWaits = '';
  /** It holds writes of its own that are not kept aside yet. */
  targetDiverged = false;
  /** What else it has to say. */
  targetSays = '';
  /** Keys of files that did not hold still in the last batch that had them. */
  readonly #hot = new Set<string>();
  #rate = 0;
  #rateAtMs = performance.now();
  #rateBytes = 0;

  begin(phase: SessionPhase, totalBytes: number): void {
    this.phase = phase;
    this.totalBytes = totalBytes;
    this.doneBytes = 0;
  }

  /** Of the files that did not hold still; undefined: there are none. */
  get hot(): HotFiles | undefined {
    if (this.#hot.size === 0) return undefined;
    const named = [...this.#hot].slice(0, hotNamedMax).map((key) => shownPath(pathOfKey(key)));
    return { count: this.#hot.size, named };
  }

  /** A batch went out: of what it had, these files never held still. */
  settled(names: Iterable<string>, hot: readonly string[]): void {
    for (const name of names) this.#hot.delete(name);
    for (const name of hot) if (this.#hot.size < hotMax) this.#hot.add(name);
  }

  /** The copy or resync is complete. */
  caughtUp(): void {
    this.phase = 'replicating';
    this.consistent = true;
    this.totalBytes = 0;
    this.doneBytes = 0;
  }

  /** Contents that are on their way. */
  sent(bytes: number): void {
    this.#rateBytes += bytes;
    // To compare a copy in step counts, too; to replicate is never done.
    if (this.phase === 'replicating' && this.totalBytes === 0) return;
    this.doneBytes += bytes;
    if (this.doneBytes > this.totalBytes && this.phase !== 'replicating') this.totalBytes = this.doneBytes;
  }

  /** Of contents, smoothed over seconds. */
  get rateBytesPerSecond(): number {
    const now = performance.now();
    const forMs = now - this.#rateAtMs;
    if (forMs >= 500) {
      const share = Math.min(1, forMs / rateOverMs);
      this.#rate += (this.#rateBytes / (forMs / 1_000) - this.#rate) * share;
      this.#rateAtMs = now;
      this.#rateBytes = 0;
    }
    return Math.round(this.#rate);
  }
}
