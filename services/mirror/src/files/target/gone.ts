/** Removes what batches threw away (Staging, gone/), a slice at a time. */

import { setImmediate } from 'node:timers/promises';
import type { Ground } from './applying.ts';
import { isMisfit, waitingReason } from './trouble.ts';

const sliceMs = 8;

/** What the disk refuses stays for the next time. */
export async function emptyGone({ staging }: Ground, until: () => boolean): Promise<void> {
  for (const name of staging.gone()) {
    try {
      while (!until() && !staging.tree.removeAll(name, performance.now() + sliceMs)) await setImmediate();
    } catch (error) {
      if (waitingReason(error) === null && !isMisfit(error)) throw error;
    }
    if (until()) return;
  }
}
