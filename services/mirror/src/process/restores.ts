/**
 * Restores that are under way on this member, whatever role their mirrors have meanwhile.
 *
 *   R1  nothing of a mirror is discarded while something of it is restored: what is not copied yet would be gone
 *   R2  a folder that does not answer is not begun with: to open it would wait in the event loop of all mirrors
 */

import { access } from 'node:fs/promises';
import { errorCode } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import { DiskProbe } from '../files/disk-probe.ts';
import { failed, type Answered } from './side.ts';

export class Restores {
  readonly #underWay = new Map<string, number>();
  readonly #probe: DiskProbe;

  constructor(probe = new DiskProbe(undefined, answered)) {
    this.#probe = probe;
  }

  async pass(run: MirrorRun, work: () => Promise<Answered>): Promise<Answered> {
    const count = this.#underWay.get(run.mirror) ?? 0;
    if (run.kind === 'discard' && count > 0)
      return failed(`something of ${run.mirror} is being restored here: discard when that has ended`); // R1
    if (run.kind !== 'restore') return work();
    this.#underWay.set(run.mirror, count + 1);
    try {
      if (!(await this.#probe.answers(run.to))) return failed(`${run.to} does not answer`); // R2
      return await work();
    } finally {
      this.#ended(run.mirror);
    }
  }

  #ended(mirror: string): void {
    const left = (this.#underWay.get(mirror) ?? 0) - 1;
    if (left > 0) this.#underWay.set(mirror, left);
    else this.#underWay.delete(mirror);
  }
}

/** That it is no folder is an answer, too. */
async function answered(folder: string): Promise<string> {
  try {
    await access(folder);
    return '';
  } catch (error) {
    return errorCode(error);
  }
}
