/** Tries again what a disk refused, because it may pass: somebody makes room, or mounts it for writing again. */

import { setTimeout as delay } from 'node:timers/promises';
import { waitingReason } from './trouble.ts';

export const retryMsMin = 100;

export interface PersistTerms {
  /** After this it is given up; Infinity: never. */
  readonly retryMs: number;
  /** The longest pause between two tries, in milliseconds. */
  readonly pauseMs: number;
  readonly closed: () => boolean;
  /** Empty: it works again. */
  readonly waiting: (reason: string) => void;
}

/** It was not done by the deadline; `message` says why. */
export class GaveUp extends Error {}

/** False: closed meanwhile. Throws GaveUp at the deadline, and what is no trouble of a disk. */
export async function persist(what: () => Promise<void>, terms: PersistTerms): Promise<boolean> {
  const { retryMs, pauseMs, closed, waiting } = terms;
  const until = performance.now() + retryMs;
  let waited = false;
  for (let wait = retryMsMin; ; wait = Math.min(wait * 2, pauseMs)) {
    try {
      await what();
      if (waited) waiting('');
      return true;
    } catch (error) {
      const reason = waitingReason(error);
      if (reason === null) throw error;
      waited = true;
      waiting(reason);
      if (closed() && retryMs === Infinity) return false;
      if (closed() || performance.now() + wait > until) throw new GaveUp(reason);
    }
    await delay(wait);
  }
}
