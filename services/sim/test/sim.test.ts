/** A quick batch of seeds. CI runs a thousand with scripts/sim. */

import { runSeed } from '../src/run.ts';
import { failureText, nothing, withRun } from '../src/report.ts';

describe('a simulated cluster', () => {
  it('keeps every invariant through 6 seeds of random faults', () => {
    for (let seed = 1; seed <= 6; seed += 1) {
      const { failures } = withRun(nothing, runSeed(seed, { minutes: 10 }), 10);
      if (failures.length > 0) throw new Error(failures.map(failureText).join('\n'));
    }
  }, 240_000);

  it('replays a seed event for event', () => {
    const first = runSeed(7, { minutes: 10 });
    const again = runSeed(7, { minutes: 10 });
    expect(again.events).toBe(first.events);
    expect(again.journal(4_000)).toEqual(first.journal(4_000));
  }, 60_000);
});
