/** Clocks that run wrong by more than the time rules allow for are told of, and waited for. */

import { clockWarnings, stretchFor } from '../src/clock-error.ts';
import { measured } from '../src/clock-rate.ts';
import type { Heartbeat } from '../src/index.ts';
import { hear, startListening, type Vantage } from '../src/vantage.ts';

const beat = (sentAt: number, bootId = 'boot-1'): Heartbeat => ({
  kind: 'heartbeat',
  sentAt,
  echo: null,
  version: '1',
  bootId,
  leaving: false,
  addresses: [],
  groups: [],
  vantage: [],
  diagnoses: [],
});

/** A heartbeat a second, sent by a clock of this rate, that takes up to 20 ms on its way. */
function heardAt(rate: number, seconds: number): Vantage {
  let v = startListening('w', 0);
  for (let s = 1; s <= seconds; s += 1)
    v = hear(v, 'a', 0, beat(500_000 + s * 1_000 * rate), s * 1_000 + ((s * 7) % 20));
  return v;
}

describe('the clock of another host', () => {
  it.each([0.992, 1, 1.009])('that runs at %d of ours is let be', (rate) => {
    const v = heardAt(rate, 100);
    expect(clockWarnings(v)).toEqual([]);
    expect(stretchFor(v, 'a')).toBe(1);
  });

  it('that runs 5 % slow is told of after half a minute, and waited for', () => {
    expect(clockWarnings(heardAt(0.95, 25))).toEqual([]);
    const v = heardAt(0.95, 35);
    expect(clockWarnings(v)).toEqual([
      'the clock of a runs 5 % slower than that of w, and the time rules allow for 1 %: see to the clocks of both',
    ]);
    expect(stretchFor(v, 'a')).toBeCloseTo(1 / 0.95, 2);
  });

  it('that runs 5 % fast is told of, and not waited for', () => {
    const v = heardAt(1.05, 35);
    expect(clockWarnings(v)[0]).toContain('the clock of a runs 5 % faster than that of w');
    expect(stretchFor(v, 'a')).toBe(1);
  });

  it('is measured anew after another boot, and not by what was overtaken', () => {
    const again = hear(heardAt(0.95, 35), 'a', 0, beat(10, 'boot-2'), 36_000);
    expect(stretchFor(again, 'a')).toBe(1);
    const before = { theirs: 1_000, ours: 0, rate: 1 };
    expect(measured(before, 900, 40_000)).toBe(before);
  });
});
