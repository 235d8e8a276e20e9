/** How long to wait before a crashed process is started again: not at all the first time, then longer and longer. */

const firstMs = 250;
const mostMs = 5_000;
/** A process that lived this long starts afresh. */
export const healthyMs = 30_000;

/** Crashes in a row. */
export interface Backoff {
  readonly crashes: number;
}

export const noCrashes: Backoff = { crashes: 0 };

export function afterCrash(
  backoff: Backoff,
  livedMs: number,
): { readonly backoff: Backoff; readonly delayMs: number } {
  const crashes = livedMs >= healthyMs ? 0 : backoff.crashes;
  const delayMs = crashes === 0 ? 0 : Math.min(mostMs, firstMs * 2 ** Math.min(crashes - 1, 10));
  return { backoff: { crashes: crashes + 1 }, delayMs };
}
