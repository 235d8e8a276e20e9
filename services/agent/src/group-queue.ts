/**
 * What changes a group on this host, one thing after the other: steps, restarts, the spare address. Different groups go
 * on beside each other. So hooks of one group never run twice at once, and a restart never meets a release half-way.
 */

import type { GroupId } from '@holdfast/core';

const waitingMax = 64;

export class GroupQueue {
  readonly #last = new Map<GroupId, Promise<unknown>>();
  readonly #waiting = new Map<GroupId, number>();

  /** Runs `work` after everything that was added before. Null when too much waits already: the loop asks again. */
  add<T>(group: GroupId, work: () => Promise<T>): Promise<T> | null {
    const waiting = this.#waiting.get(group) ?? 0;
    if (waiting >= waitingMax) return null;
    this.#waiting.set(group, waiting + 1);
    const before = this.#last.get(group) ?? Promise.resolve();
    const mine = before.then(work, work).finally(() => {
      this.#waiting.set(group, (this.#waiting.get(group) ?? 1) - 1);
    });
    this.#last.set(group, mine);
    return mine;
  }

  isIdle(group: GroupId): boolean {
    return (this.#waiting.get(group) ?? 0) === 0;
  }
}
