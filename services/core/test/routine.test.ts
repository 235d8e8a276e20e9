/** What a leader hears all the time is noted, and judged only when it tells something. */

import type { RenewalRecord } from '../src/index.ts';
import { activeOnA, leader } from './leader.ts';

describe('a renewal of the owner', () => {
  const [report] = activeOnA.groups;
  const says = (text: string): RenewalRecord['groups'] =>
    report === undefined ? [] : [{ ...report, says: text }];

  it.each([
    ['counts one more', { counter: 2 }, true],
    ['counts one more digit', { counter: 1_000 }, true],
    ['is of another boot', { counter: 2, bootId: 'a-boot-2' }, false],
    ['is of an agent that shuts down', { counter: 2, leaving: true }, false],
    ['tells less of its groups', { counter: 2, groups: [] }, false],
    ['says something of a counter', { counter: 2, groups: says('"counter":1') }, false],
    ['is of a cluster with a group of that name', { counter: 2, asks: { counter: ['a'] } }, false],
  ])('that %s', (_what, told, isPassedOver) => {
    const w = leader();
    expect(w.passesOver({ ...activeOnA, ...told }, 50n, 2_000)).toBe(isPassedOver);
  });

  it('that comes after a silence is judged', () => {
    expect(leader().passesOver({ ...activeOnA, counter: 2 }, 50n, 20_000)).toBe(false);
  });
});
