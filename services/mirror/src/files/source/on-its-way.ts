/**
 * What a target lacks only because it was not sent to it yet: no difference between both sides, however long the list of it.
 * Made after the comparison, so that what changed meanwhile counts as well.
 */

import type { Catalog } from '../../catalog/types.ts';
import { keyOf } from './path.ts';

const slash = '/'.charCodeAt(0);
const changesAtOnce = 1_000;

export class OnItsWay {
  readonly #catalog: Catalog;
  /** The target is where the source was at this number. */
  readonly #upTo: number;
  readonly #paths = new Set<string>();
  /** What moved with its contents, which no change names one by one. */
  readonly #moved = new Set<string>();

  constructor(catalog: Catalog, upTo: number) {
    this.#catalog = catalog;
    this.#upTo = upTo;
    let [sequence, afterId] = [upTo, Infinity];
    for (;;) {
      const changes = catalog.changesSince(sequence, changesAtOnce, afterId);
      const last = changes.at(-1);
      if (last === undefined) return;
      for (const { id } of changes) this.#note(id);
      [sequence, afterId] = [last.sequence, last.id];
    }
  }

  has(path: Buffer): boolean {
    if (this.#paths.has(keyOf(path))) return true;
    for (let end = path.indexOf(slash); end !== -1; end = path.indexOf(slash, end + 1))
      if (this.#moved.has(keyOf(path.subarray(0, end)))) return true;
    return false;
  }

  #note(id: number): void {
    const [then, now] = [this.#catalog.pathAt(id, this.#upTo), this.#catalog.pathOf(id)];
    const moved = then !== null && (now === null || !then.equals(now));
    for (const place of [then, now]) {
      if (place === null) continue;
      this.#paths.add(keyOf(place));
      if (moved) this.#moved.add(keyOf(place));
    }
  }
}
