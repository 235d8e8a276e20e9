/** When a target that fell behind is brought into step again: pure, with times that the test gives. */
import { CatchingUp } from '../src/volumes/source/catching-up.ts';

const mib = 1_048_576;

/** A service that writes `perSecond` while it looks every 100 ms, from `fromMs` to `toMs`. Answers when it was due first. */
function writes(one: CatchingUp, perSecond: number, fromMs: number, toMs: number): number | null {
  for (let nowMs = fromMs; nowMs <= toMs; nowMs += 100) {
    one.wrote(perSecond / 10);
    one.look(nowMs);
    if (one.isDue(nowMs)) return nowMs;
  }
  return null;
}

/** 64 MiB were under way at 1 s and took half a second: 128 MiB a second. */
function fallen(perSecond: number): CatchingUp {
  const one = new CatchingUp(0);
  expect(writes(one, perSecond, 100, 1_000)).not.toBeNull(); // it was never behind
  one.fell(64 * mib, 1_000);
  expect(writes(one, perSecond, 1_100, 1_100)).toBeNull();
  one.drained(1_500);
  return one;
}

describe('a target that fell behind', () => {
  it('waits while the service writes more than was taken, and for 10 s at most', () => {
    expect(writes(fallen(800 * mib), 800 * mib, 1_500, 20_000)).toBe(11_000);
  });

  it('catches up soon where the service writes less', () => {
    expect(writes(fallen(20 * mib), 20 * mib, 1_500, 20_000)).toBe(1_500);
  });

  it('catches up when the service stops', () => {
    const one = fallen(800 * mib);
    expect(writes(one, 800 * mib, 1_500, 4_000)).toBeNull();
    expect(writes(one, 0, 4_100, 20_000)).toBeLessThanOrEqual(4_500);
  });

  it('waits longer each time that it happens again, until it was in step for a while', () => {
    const one = fallen(0);
    one.fell(mib, 2_000);
    one.drained(2_010);
    expect(writes(one, 0, 2_100, 9_000)).toBe(2_400);
    one.inStepSince(2_400, 40_000);
    one.fell(mib, 41_000);
    one.drained(41_010);
    expect(writes(one, 0, 41_100, 49_000)).toBe(41_200);
  });

  it('of which nothing was under way is compared after the pause', () => {
    const one = new CatchingUp(0);
    one.fell(0, 1_000);
    one.drained(1_050);
    expect(writes(one, 800 * mib, 1_100, 9_000)).toBe(1_200);
  });
});
