/** That the disk of a volume can't be synced any more, put on record (volume-source.ts, V6). */

import { errorCode, errorText } from '@holdfast/wire/directory';
import type { VolumeGround } from '../ground.ts';

export class FailureRecord {
  readonly #ground: VolumeGround;
  readonly #says: (sentence: string) => void;
  #isWanted = false;
  #writing: Promise<void> | null = null;

  constructor(ground: VolumeGround, says: (sentence: string) => void) {
    this.#ground = ground;
    this.#says = says;
  }

  /** From now on there is something to write. */
  begin(): void {
    this.#isWanted = true;
    void this.write();
  }

  /** What is not written yet. One at a time: the disk of the records may hang. */
  write(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #write(): Promise<void> {
    if (!this.#isWanted || this.#ground.record.hotSuspect) return;
    try {
      await this.#ground.save({ hotSuspect: true });
    } catch (error) {
      if (errorCode(error) === '') throw error;
      this.#says(`that its disk failed can't be recorded: ${errorText(error)}`);
    }
  }
}
