/**
 * How fast another host's boot clock runs by ours, from the times in its heartbeats. The time rules allow for an error of rho
 * in each clock; what was measured beyond that is waited for besides.
 *
 *   D1  an owner whose clock runs slow acts for longer in true time, so others wait for longer by as much
 *   D2  one that runs fast stops earlier, and is only told of
 */

import type { MemberId } from './names.ts';
import { rho } from './time.ts';
import type { Vantage } from './vantage.ts';

/** A datagram that lay about for long looks like a slow clock, until the next window. */
const stretchMax = 2;

/** D1. By how much to multiply what is waited for because of this member's clock; 1 when it runs true enough. */
export function stretchFor(v: Vantage, member: MemberId): number {
  const rate = v.ears.get(member)?.clock?.rate ?? 1;
  return rate >= 1 - rho ? 1 : Math.min(stretchMax, 1 / rate);
}

/** What a person should know, for each clock that differs from ours by more than the rules allow for. */
export function clockWarnings({ self, ears }: Vantage): readonly string[] {
  return [...ears].flatMap(([member, { clock }]) => {
    const off = (clock?.rate ?? 1) - 1;
    if (member === self || Math.abs(off) <= rho) return [];
    const size = `${(Math.abs(off) * 100).toFixed(0)} %`;
    const how = off < 0 ? `${size} slower than` : `${size} faster than`;
    const limit = `the time rules allow for ${String(rho * 100)} %`;
    return [`the clock of ${member} runs ${how} that of ${self}, and ${limit}: see to the clocks of both`];
  });
}
