/** How far a session is, for reports: what was to be sent, what went out, and how fast. */

const rateOverMs = 2_000;

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
  #rate = 0;
  #rateAtMs = performance.now();
  #rateBytes = 0;

  begin(phase: SessionPhase, totalBytes: number): void {
    this.phase = phase;
    this.totalBytes = totalBytes;
    this.doneBytes = 0;
  }

  /** Contents that are on their way. */
  sent(bytes: number): void {
    this.doneBytes += bytes;
    this.#rateBytes += bytes;
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
