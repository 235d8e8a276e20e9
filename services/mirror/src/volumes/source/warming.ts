/**
 * Makes extents hot that clients want to write to, and reserves sequence numbers for them (bitmap/hot-extents.ts). Cools what is idle.
 *
 *   H1  whoever asks waits until the record of it is durable
 *   H2  a record that can't be written is no end: what waits goes on waiting, it is said, and tried again. A volume that can't
 *       be synced is one
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import type { VolumeGround } from '../ground.ts';
import { pause } from './pause.ts';

export interface WarmingPorts {
  readonly ground: VolumeGround;
  /** Of the last write. */
  readonly sequence: () => number;
  /** Everything that was written to what cools is durable, and in the bitmaps. */
  readonly settle: () => Promise<void>;
  /** Extents are hot that were not, or there are numbers. */
  readonly warmed: () => void;
  /** True: nothing is written any more. */
  readonly over: () => boolean;
  readonly says: (sentence: string) => void;
}

interface Cold {
  readonly offset: number;
  readonly length: number;
}

/** Fewer numbers than that are left: nothing is written until there are more. */
const sequencesMin = 65_536;
const againMs = 1_000;

export class Warming {
  readonly #ports: WarmingPorts;
  readonly #stop = new AbortController();
  #cold: Cold[] = [];
  #running: Promise<void> | null = null;
  #looksForIdle = false;
  #trouble = '';

  constructor(ports: WarmingPorts) {
    this.#ports = ports;
  }

  /** H2. Empty: there is none. */
  get trouble(): string {
    return this.#trouble;
  }

  /** Writes have to wait for numbers. */
  get isOut(): boolean {
    return this.#ports.ground.hot.needsSequences(this.#ports.sequence() + sequencesMin);
  }

  ask(cold: Cold): void {
    this.#cold.push(cold);
    this.look();
  }

  /** What nobody wrote to since the last call becomes cold. */
  coolIdle(): void {
    this.#looksForIdle = true;
    this.look();
  }

  look(): void {
    if (!this.#isWanted() || this.#isOver()) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Resolves when nothing of it runs any more. */
  async end(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { ground, sequence, settle, warmed } = this.#ports;
    // Everybody who asks in this turn, and outside of taking what they wrote.
    await Promise.resolve();
    while (this.#isWanted() && !this.#isOver()) {
      const asked = this.#cold.splice(0);
      try {
        if (this.#looksForIdle) await ground.hot.coolIdle(sequence(), settle);
        this.#looksForIdle = false;
        await ground.hot.warm(asked, sequence(), settle);
        this.#tell('');
        warmed();
      } catch (error) {
        if (errorCode(error) === '') throw error;
        this.#cold.unshift(...asked);
        if (this.#isOver()) return;
        this.#tell(`what is written to can't be recorded: ${errorText(error)}`);
        await pause(againMs, this.#stop.signal); // H2
      }
    }
  }

  #isWanted(): boolean {
    const { ground, sequence } = this.#ports;
    return (
      this.#cold.length > 0 || this.#looksForIdle || ground.hot.needsSequences(sequence() + 2 * sequencesMin)
    );
  }

  #isOver(): boolean {
    return this.#stop.signal.aborted || this.#ports.over();
  }

  #tell(trouble: string): void {
    if (trouble !== '' && trouble !== this.#trouble) this.#ports.says(trouble);
    this.#trouble = trouble;
  }
}
