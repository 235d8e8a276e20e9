/**
 * The rate of the hour: a week of windows, each with a rate. A pure function, so that the process asks it when something
 * changes and sets one timer.
 */

import { isInWindow, type Throttle } from '@holdfast/core';

interface RateNow {
  readonly bitsPerSecond: number | null;
  /** Wall time in milliseconds at which another rate begins; null: never. */
  readonly changesAtMs: number | null;
}

const minuteMs = 60_000;
const dayMinutes = 24 * 60;
const weekDays = 7;
/** 1970 began on a Thursday. */
const firstDay = 4;

/**
 * The rate at a wall time in milliseconds, as the configuration has it for the week. `offsetMinutes`: what local time is
 * ahead of UTC now; where that changes with the season, the caller asks again at least once an hour.
 */
export function rateAt(week: Throttle, wallMs: number, offsetMinutes: number): RateNow {
  const localMinute = Math.floor(wallMs / minuteMs) + offsetMinutes;
  const bitsPerSecond = rateIn(week, localMinute);
  const today = Math.floor(localMinute / dayMinutes);
  const edges = [...new Set(week.windows.flatMap(({ window }) => [window.fromMinute, window.toMinute]))];
  edges.sort((a, b) => a - b);
  // Everything comes again after a week; the day of an edge at 24:00 is the one before.
  for (let day = today - 1; day <= today + weekDays; day += 1) {
    for (const edge of edges) {
      const minute = day * dayMinutes + edge;
      if (minute <= localMinute || rateIn(week, minute) === bitsPerSecond) continue;
      return { bitsPerSecond, changesAtMs: (minute - offsetMinutes) * minuteMs };
    }
  }
  return { bitsPerSecond, changesAtMs: null };
}

/** The first window that holds wins. */
function rateIn({ windows, otherwiseBits }: Throttle, localMinute: number): number | null {
  const days = Math.floor(localMinute / dayMinutes);
  const day = (((days + firstDay) % weekDays) + weekDays) % weekDays;
  const minute = localMinute - days * dayMinutes;
  const holds = windows.find(({ window }) => isInWindow(window, day, minute));
  return holds === undefined ? otherwiseBits : holds.bits;
}
