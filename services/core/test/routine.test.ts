/** What a leader hears all the time is noted, and judged only when it tells something. */

import { encode, keys, parseRenewal, type GroupRecord, type RenewalRecord, type Row } from '../src/index.ts';
import { activeOnA, leader, ownedByA, renewal, rows } from './leader.ts';

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

describe('a group that nobody can take', () => {
  const [report] = activeOnA.groups;
  /** A could not start it, and rests. */
  const failed: RenewalRecord = {
    ...activeOnA,
    groups: report === undefined ? [] : [{ ...report, state: 'failed', says: 'no disk' }],
  };
  const nobodys: GroupRecord = { ...ownedByA, ownership: { kind: 'unowned', epoch: 4n, lastOwner: 'a' } };
  /** By what is on record, B has not run beside A since it booted (rule 10). */
  const blocked = (): readonly Row[] =>
    rows(failed, renewal('b', { bootRevision: 25n })).map((row) =>
      row.key === keys.group('g1') ? { ...row, value: encode(nobodys) } : row,
    );

  it('is not judged at every renewal', () => {
    expect(leader(blocked()).passesOver({ ...failed, counter: 2 }, 50n, 1_500)).toBe(true);
  });

  it('is given away within a heartbeat of the renewal that allows it', () => {
    const w = leader(blocked());
    expect(w.phaseTold()).toBe('blocked');
    w.renewed('a', { ...failed, counter: 2 }, 50n, 1_500);
    expect(w.changes()).toEqual([]);
    expect(w.wakesAt()).toBeLessThanOrEqual(2_500);
    w.tell({ kind: 'wake' }, w.wakesAt());
    expect(w.changes()).toHaveLength(1);
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
