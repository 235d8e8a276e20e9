/**
 * Boot time: milliseconds since the host booted, monotonic, counting suspend. The same formula as the agent's, for
 * deadlines cross between the two.
 *
 * CLOCK_MONOTONIC (process.hrtime) is fine-grained but stands still while the host sleeps; /proc/uptime is
 * CLOCK_BOOTTIME (proc(5)) in steps of 10 ms. So an offset is added to the former, and it grows, never shrinks,
 * whenever the latter is more than 50 ms ahead. Where there is no /proc (Windows) hrtime counts sleep by itself. A container may
 * be shown its own age, less than the former: then only what is added from now on counts.
 */

import { readFileSync } from 'node:fs';

/** Discrepancies up to this size are the coarseness of /proc/uptime. */
const coarseMs = 50;

export interface Ticks {
  monotonicMs(): number;
  /** Null where the system has no such file. */
  uptimeMs(): number | null;
}

export const hostTicks: Ticks = {
  monotonicMs: () => Number(process.hrtime.bigint() / 1_000n) / 1_000,
  uptimeMs: () => {
    if (process.platform !== 'linux') return null;
    const seconds = Number.parseFloat(readFileSync('/proc/uptime', 'latin1'));
    return Number.isFinite(seconds) ? seconds * 1_000 : null;
  },
};

/** Returns a function that reads boot time in milliseconds. */
export function bootClock(ticks: Ticks = hostTicks): () => number {
  const baselineMs = Math.min(0, (ticks.uptimeMs() ?? 0) - ticks.monotonicMs());
  let sleptMs = 0;
  return () => {
    const uptimeMs = ticks.uptimeMs();
    const monotonicMs = ticks.monotonicMs();
    if (uptimeMs !== null) {
      const aheadMs = uptimeMs - baselineMs - (monotonicMs + sleptMs);
      if (aheadMs > coarseMs) sleptMs += aheadMs;
    }
    return monotonicMs + sleptMs;
  };
}
