/** What a leader hears all the time is noted, and judged only when it tells something. */

import { encode, parseRenewal, type RenewalRecord } from '../src/index.ts';
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

describe('a renewal that is read', () => {
  const read = (record: RenewalRecord) => parseRenewal(encode(record));

  it('is what was written, whatever was read before it', () => {
    const ofCounter = { ...activeOnA, waits: { counter: 5 }, asks: { counter: ['a'] } };
    for (const record of [
      activeOnA,
      { ...activeOnA, counter: 2 },
      { ...activeOnA, counter: 3, bootRevision: null },
      { ...activeOnA, counter: 4, bootRevision: null },
      { ...activeOnA, counter: 4, groups: [] },
      { ...ofCounter, counter: 6 },
      { ...ofCounter, counter: 7, waits: { counter: 6 } },
    ])
      expect(read(record)).toEqual({ kind: 'ok', value: record });
  });

  it('with a count that is none is garbage, whatever was read before it', () => {
    const text = encode(activeOnA);
    expect(parseRenewal(text).kind).toBe('ok');
    for (const count of ['01', '1.5', '"1"', '1e400', 'null'])
      expect(parseRenewal(text.replace('"counter":1', `"counter":${count}`)).kind).toBe('garbage');
  });
});
