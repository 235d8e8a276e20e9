/**
 * Boot time that counts suspend.
 *
 * The monotonic clock that Node reads stops while the host sleeps; the kernel's uptime does not, but has a resolution
 * of 10 ms. So: the monotonic clock, plus what the uptime shows it has missed. The offset only ever grows, and only
 * by steps too large to be rounding, so that the clock never goes back.
 *
 * Without a suspend the offset is zero, and all processes of a host read the same time to the microsecond.
 */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import type { Clock } from '../platform.ts';

/** What the uptime's resolution can explain. */
const ROUNDING_MS = 50;

export interface ClockSources {
  readonly monotonicMs: () => number;
  readonly uptimeMs: () => number;
}

const system: ClockSources = {
  monotonicMs: () => Number(process.hrtime.bigint()) / 1e6,
  uptimeMs: () => uptime() * 1000,
};

/** HOLDFAST_BOOT_ID stands for the host's boot id where several hosts share a kernel (a lab). */
export function createClock(sources: ClockSources = system): Clock {
  // A container may show its own age as uptime: less than the monotonic clock. Only what is added to it later counts.
  const baseline = Math.min(0, sources.uptimeMs() - sources.monotonicMs());
  let offset = 0;
  let id: string | null = null;
  return {
    bootMs: () => {
      // The uptime first: a pause between the two reads then hides a suspend until the next call, and never invents one.
      const up = sources.uptimeMs();
      const monotonic = sources.monotonicMs();
      const slept = up - monotonic - baseline;
      if (slept - offset > ROUNDING_MS) offset = slept;
      return monotonic + offset;
    },
    bootId: () => (id ??= readBootId()),
  };
}

function readBootId(): string {
  const given = process.env['HOLDFAST_BOOT_ID'];
  if (given !== undefined && given !== '') return given;
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
