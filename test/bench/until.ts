/** Waiting for a condition, never for a fixed time, and never without a limit. */
import { setTimeout as sleep } from 'node:timers/promises';

/** What did not happen, and what was seen instead. */
export class NotInTime extends Error {
  constructor(what: string, limitMs: number, seen: string) {
    super(`not within ${limitMs} ms: ${what}${seen === '' ? '' : `\n${seen}`}`);
    this.name = 'NotInTime';
  }
}

export interface Patience {
  readonly limitMs: number;
  /** Between two looks; default 20 ms. */
  readonly everyMs?: number;
  /** What to show of the world when the limit has passed. */
  readonly seen?: () => Promise<string>;
}

/** Resolves to the first value that is neither undefined nor false. Throws NotInTime. */
export async function until<Value>(
  what: string,
  look: () => Promise<Value | undefined | false> | Value | undefined | false,
  { limitMs, everyMs = 20, seen }: Patience,
): Promise<Value> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new NotInTime(what, limitMs, (await seen?.()) ?? '');
    await sleep(everyMs);
  }
}

/** Fails instead of hanging. */
export async function within<Value>(what: string, limitMs: number, work: Promise<Value>): Promise<Value> {
  const abort = new AbortController();
  const late = sleep(limitMs, undefined, { signal: abort.signal }).then(() => {
    throw new NotInTime(what, limitMs, '');
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    abort.abort();
    late.catch(() => undefined); // aborted: nobody waits for it any more
  }
}
