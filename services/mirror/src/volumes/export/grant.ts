/** Whether the source may act, as the thread of its clients asks before each request: by the clock, and by nobody's leave. */

import { bootTimeMs } from '../../os/boot-time.ts';
import { word, type SharedMemory } from './shared-memory.ts';

export class Grant {
  readonly #shared: SharedMemory;
  #grants = -1;
  #untilMs = 0;

  constructor(shared: SharedMemory) {
    this.#shared = shared;
  }

  get holds(): boolean {
    const grants = this.#shared.load(word.grants);
    if (grants !== this.#grants) {
      this.#grants = grants;
      this.#untilMs = this.#shared.untilMs;
    }
    return bootTimeMs() < this.#untilMs;
  }
}
