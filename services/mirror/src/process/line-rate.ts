/**
 * The rate of one line to a target, as configured: one figure, or figures by the time of the week, in local time of
 * this member. It holds at once when the configuration changes, and from the minute at which a window begins or ends.
 */

import { isInWindow, type Throttle as Rates } from '@holdfast/core';
import { Throttle } from '../transport/throttle.ts';

/** Bits per second at that moment; null: no limit. The first window that holds wins. */
export function rateAt(rates: Rates | null, at: Date): number | null {
  if (rates === null) return null;
  const minute = at.getHours() * 60 + at.getMinutes();
  const now = rates.windows.find(({ window }) => isInWindow(window, at.getDay(), minute));
  return now === undefined ? rates.otherwiseBits : now.bits;
}

const lookMs = 5_000;

export class LineRate {
  readonly throttle: Throttle;
  #rates: Rates | null;
  readonly #timer: NodeJS.Timeout;

  constructor(rates: Rates | null) {
    this.#rates = rates;
    this.throttle = new Throttle(rateAt(rates, new Date()));
    this.#timer = setInterval(() => this.#set(), lookMs);
    this.#timer.unref();
  }

  change(rates: Rates | null): void {
    this.#rates = rates;
    this.#set();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #set(): void {
    const bits = rateAt(this.#rates, new Date());
    if (bits !== this.throttle.bitsPerSecond) this.throttle.setRate(bits);
  }
}
