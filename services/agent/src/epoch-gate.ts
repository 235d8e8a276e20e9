/**
 * Which epochs of a group are over here, and what is still under way for it. A fence can begin while a step, a restart
 * or an extension is in the middle of something; whatever ends after that must not leave anything behind.
 *
 *   G1  an epoch that is over stays over: nothing begins under it
 *   G2  what was under way is known until it has ended, and a fence is complete only after that
 */

import type { Epoch, GroupId } from '@holdfast/core';
import { withinMs } from './within.ts';

export class EpochGate {
  readonly #over = new Map<GroupId, Epoch>();
  readonly #underWay = new Map<GroupId, Set<Promise<unknown>>>();

  end(group: GroupId, epoch: Epoch): void {
    if (!this.isOver(group, epoch)) this.#over.set(group, epoch);
  }

  /** G1. */
  isOver(group: GroupId, epoch: Epoch): boolean {
    const over = this.#over.get(group);
    return over !== undefined && epoch <= over;
  }

  /** G2. The work itself deals with its failures. */
  track<T>(group: GroupId, work: Promise<T>): Promise<T> {
    const set = this.#underWay.get(group) ?? new Set();
    this.#underWay.set(group, set);
    set.add(work);
    const forget = (): void => {
      set.delete(work);
    };
    void work.then(forget, forget);
    return work;
  }

  /** True when nothing of the group is under way any more; false when that lasted longer than the limit. */
  async settled(group: GroupId, limitMs: number): Promise<boolean> {
    const endMs = performance.now() + limitMs;
    for (;;) {
      const work = [...(this.#underWay.get(group) ?? [])];
      if (work.length === 0) return true;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0 || !(await withinMs(Promise.allSettled(work), leftMs))) return false;
    }
  }
}
