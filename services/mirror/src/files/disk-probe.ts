/**
 * Whether the disk of a folder answers, before work is begun there that would wait for it in the one event loop of all
 * mirrors. What it answers is another matter (disk-watch.ts).
 */

import { written } from './disk-watch.ts';

const limitMsDefault = 3_000;

export class DiskProbe {
  readonly #limitMs: number;
  readonly #tryIt: (folder: string) => Promise<string>;
  /** A disk that does not answer keeps one thread, and not one for each question. */
  readonly #asked = new Map<string, Promise<string>>();

  constructor(limitMs = limitMsDefault, tryIt = written) {
    this.#limitMs = limitMs;
    this.#tryIt = tryIt;
  }

  async answers(folder: string): Promise<boolean> {
    const answer = this.#asked.get(folder) ?? this.#ask(folder);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => {
        resolve(null);
      }, this.#limitMs);
    });
    const first = await Promise.race([answer, late]);
    clearTimeout(timer);
    return first !== null;
  }

  #ask(folder: string): Promise<string> {
    const answer = this.#tryIt(folder).finally(() => this.#asked.delete(folder));
    this.#asked.set(folder, answer);
    return answer;
  }
}
