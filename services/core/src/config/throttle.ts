/**
 * How fast a mirror may send: one rate, or rates by the time of the week.
 *
 *   throttle: 100Mbit
 *   throttle: { default: 100Mbit, "Mon-Fri 08:00-18:00": 20Mbit, "Sun 00:00-24:00": unlimited }
 *
 * The first window that holds now wins; outside of all of them `default` holds, and no limit where it is absent.
 */

import { limits } from './limits.ts';
import type { Place } from './place.ts';
import { readMapping, readWith, wrong } from './place.ts';
import type { Parsed } from './quantity.ts';
import { formatRate, ok, parseRate } from './quantity.ts';
import type { Throttle, ThrottleWindow } from './types.ts';
import { formatWindow, parseWindow } from './window.ts';

const example = '100Mbit, or { default: 100Mbit, "Mon-Fri 08:00-18:00": 20Mbit }';
const otherwise = 'default';

export function readThrottle(place: Place): Throttle | null {
  const { raw } = place;
  if (raw === undefined) return null;
  if (typeof raw !== 'object' || raw === null) {
    const bits = readWith(place, parseRate, example);
    return bits === null ? null : { otherwiseBits: bits, windows: [] };
  }
  let otherwiseBits: number | null = null;
  const windows: ThrottleWindow[] = [];
  for (const [key, child] of readMapping(place, example, limits.throttleWindows) ?? []) {
    const bits = readWith(child, parseLimit, 'a rate such as 20Mbit, or unlimited');
    if (key === otherwise) {
      otherwiseBits = bits;
      continue;
    }
    const window = parseWindow(key);
    if (window.kind === 'invalid') wrong(child, window.reason.replace('failback window', 'window'));
    else windows.push({ window: window.value, bits });
  }
  return { otherwiseBits, windows };
}

function parseLimit(raw: unknown): Parsed<number | null> {
  return raw === 'unlimited' ? ok(null) : parseRate(raw);
}

/** For the difference that `apply` shows. */
export function throttleText(throttle: Throttle | null): string | null {
  if (throttle === null) return null;
  const rate = (bits: number | null): string => (bits === null ? 'unlimited' : formatRate(bits));
  if (throttle.windows.length === 0) return rate(throttle.otherwiseBits);
  const rows = throttle.windows.map((w) => `${formatWindow(w.window)} ${rate(w.bits)}`);
  return [...rows, `otherwise ${rate(throttle.otherwiseBits)}`].join(', ');
}
