/** What people order: a failover by force, and the end of a group with all that is under way for it. */

import { encode, keys, parseGroup, type GroupRecord, type QuorumEvent } from '../src/index.ts';
import {
  activeOnA,
  leader,
  noGroups,
  ownedByA,
  renewal,
  rows,
  wall,
  withoutA,
  type Leader,
} from './leader.ts';

function answerOf(w: Leader): unknown {
  return w.orders.findLast((o) => o.kind === 'answer-command')?.result;
}

describe('who commands something', () => {
  const switchover = (dryRun = false): QuorumEvent => ({
    ...{ kind: 'command', id: 7, by: 'olga', dryRun },
    command: { kind: 'switchover', group: 'g1', to: 'b' },
  });

  it('is answered when it is on record, and not before', () => {
    const w = leader();
    w.tell(switchover(), 1_500);
    expect(w.changes()).toHaveLength(1);
    expect(answerOf(w)).toBeUndefined();
    w.stored(1_510);
    expect(answerOf(w)).toMatchObject({ kind: 'accepted', operation: 'g1-10-switchover' });
  });

  it('is told that nothing was begun when something else changed, and that nobody knows when nobody answers', () => {
    const [overtaken, silent] = [leader(), leader()];
    overtaken.tell(switchover(), 1_500);
    overtaken.stored(1_510, 'compare-failed');
    const says = expect.stringContaining('nothing was begun; ask again') as string;
    expect(answerOf(overtaken)).toEqual({ kind: 'refused', says });
    silent.tell(switchover(), 1_500);
    silent.stored(3_000, 'unknown');
    expect(answerOf(silent)).toEqual({ kind: 'unknown', says: 'no answer in time' });
  });

  it('is told that nobody leads, and not to wait for another change, while the store is silent', () => {
    const w = leader();
    w.tell(switchover(), 1_500);
    w.tell(switchover(), 1_510);
    const says = 'another change of g1 is under way; try again';
    expect(answerOf(w)).toEqual({ kind: 'refused', says });
    w.tell(switchover(), 5_000);
    expect(answerOf(w)).toEqual({ kind: 'not-leader', leader: null });
  });

  it('is answered at once where only asked what would be', () => {
    const w = leader();
    w.tell(switchover(true), 1_500);
    expect(answerOf(w)).toMatchObject({ kind: 'accepted' });
    expect(w.changes()).toEqual([]);
  });
});

describe('a failover that a person forces to a server that failed before', () => {
  const failed = renewal('b', {
    groups: [
      {
        ...(activeOnA.groups[0] as (typeof activeOnA.groups)[number]),
        epoch: 3n,
        state: 'failed',
        says: 'start app: exit status 1',
      },
    ],
  });

  const failover = (force: boolean) =>
    ({
      kind: 'command',
      id: 1,
      by: 'olga',
      command: { kind: 'failover', group: 'g1', to: 'b', force },
      dryRun: false,
    }) as const;

  function answered(w: Leader, force: boolean, now: number): unknown {
    w.tell(failover(force), now);
    return answerOf(w);
  }

  it('is carried out, and a person is told that it can be', () => {
    const w = leader(rows(activeOnA, failed));
    const says = expect.stringContaining('--force takes over all the same') as string;
    expect(answered(w, false, 1_500)).toMatchObject({ kind: 'refused', says });
    w.tell(failover(true), 1_500);
    w.stored(1_510);
    expect(answerOf(w)).toMatchObject({ kind: 'accepted' });
  });

  it.each([
    ['and is not there any more', 30_000, 'b has not been heard for'],
    ['and is in maintenance', 1_500, 'b is in maintenance'],
  ])('%s, is refused, whoever owns the group', (_, now, why) => {
    const works = { cluster: null, servers: now < 2_000 ? { b: '' } : {}, groups: {} };
    const row = { key: keys.maintenance, value: encode(works), modRevision: 25n };
    const unowned: GroupRecord = {
      ...ownedByA,
      ownership: { kind: 'unowned', epoch: 4n, lastOwner: 'a' },
      operation: null,
    };
    for (const [record, a] of [
      [ownedByA, activeOnA],
      // Nobody else can have it.
      [unowned, renewal('a', { leaving: true })],
    ] as const) {
      const read = rows(a, failed).filter(({ key }) => key !== keys.group('g1'));
      const group = { key: keys.group('g1'), value: encode(record), modRevision: 10n };
      const w = leader([...read, row, group]);
      for (let at = 2_000; at < now; at += 1_000) w.hears('a', at);
      const says = expect.stringContaining(why) as string;
      expect(answered(w, true, now)).toMatchObject({ kind: 'refused', says });
      expect(w.changes().filter((txn) => txn.puts[0]?.value.includes('"owner":"b"'))).toEqual([]);
    }
  });
});

describe('that a group was given by force', () => {
  const report = activeOnA.groups[0] as (typeof activeOnA.groups)[number];
  const failover = (to: string, force: boolean): QuorumEvent => ({
    ...{ kind: 'command', id: 1, by: 'olga', dryRun: false },
    command: { kind: 'failover', group: 'g1', to, force },
  });

  /** What became of the group, as it is read again. */
  function recordOf(w: Leader): GroupRecord {
    const put = w
      .changes()
      .at(-1)
      ?.puts.find(({ key }) => key === keys.group('g1'));
    const read = parseGroup(put?.value ?? '');
    if (read.kind !== 'ok') throw new Error(read.says);
    return read.value;
  }

  /** Both servers were heard before that came. */
  function withRecord(record: GroupRecord, read = rows()): Leader {
    const w = leader(read);
    const row = { key: keys.group('g1'), value: encode(record), modRevision: 31n };
    w.tell({ kind: 'changed', revision: 31n, rows: [row] }, 1_100);
    return w;
  }

  it('is on record from then on', () => {
    const w = leader();
    withoutA(w, 25_000);
    w.tell(failover('b', true), 25_000);
    expect(recordOf(w)).toMatchObject({ ownership: { owner: 'b', epoch: 5n }, forced: 5n });
    const next = withRecord({ ...ownedByA, forced: 3n });
    withoutA(next, 36_001);
    next.tell({ kind: 'wake' }, 36_001);
    expect(recordOf(next)).toMatchObject({ ownership: { owner: 'b', epoch: 5n }, forced: 3n });
  });

  it('is not, when it was declared down, or a person only asked', () => {
    const declared = leader();
    withoutA(declared, 36_001);
    declared.tell({ kind: 'wake' }, 36_001);
    expect(recordOf(declared)).not.toHaveProperty('forced');
    const asked = leader();
    withoutA(asked, 35_999);
    asked.tell(failover('b', false), 36_000);
    expect(recordOf(asked)).toMatchObject({ ownership: { owner: 'b' } });
    expect(recordOf(asked)).not.toHaveProperty('forced');
  });

  it('is, when the owner was asked to release first, and died meanwhile', () => {
    const operation: NonNullable<GroupRecord['operation']> = {
      id: 'g1-10-switchover',
      group: 'g1',
      kind: 'switchover',
      phase: 'releasing',
      ...{ from: 'a', to: 'b', by: 'olga', forced: true, reason: 'olga ordered it', startedAt: wall },
      steps: [],
    };
    const ownership = { kind: 'releasing', owner: 'a', epoch: 4n, to: 'b' } as const;
    const releasing: GroupRecord = { ...ownedByA, ownership, operation };
    const released = withRecord(releasing);
    released.renewed('a', renewal('a', { groups: [{ ...report, state: 'fenced' }] }), 32n, 1_200);
    expect(recordOf(released)).toMatchObject({ ownership: { owner: 'b', epoch: 5n }, forced: 5n });
    const dies = withRecord(releasing);
    withoutA(dies, 36_001);
    dies.tell({ kind: 'wake' }, 36_001);
    expect(recordOf(dies)).toMatchObject({ ownership: { owner: 'b' }, forced: 5n });
    expect(recordOf(dies).operation).toMatchObject({ kind: 'failover', forced: true });
  });

  it('is not, when it goes on where its data is', () => {
    const w = withRecord(
      { ...ownedByA, ownership: { kind: 'unowned', epoch: 4n, lastOwner: 'b' } },
      rows(renewal('a', { leaving: true }), renewal('b', { groups: [{ ...report, state: 'failed' }] })),
    );
    w.tell(failover('b', true), 1_500);
    expect(recordOf(w)).toMatchObject({ ownership: { owner: 'b', epoch: 5n }, operation: { forced: true } });
    expect(recordOf(w)).not.toHaveProperty('forced');
  });
});

describe('a group that is removed while an operation of it is under way', () => {
  const op: NonNullable<GroupRecord['operation']> = {
    id: 'g1-10-switchover',
    group: 'g1',
    kind: 'switchover',
    phase: 'releasing',
    from: 'a',
    to: 'b',
    by: 'olga',
    forced: false,
    reason: 'olga asked for the switchover to b',
    startedAt: wall,
    steps: [],
  };
  const owned = ownedByA.ownership;
  const releasing: GroupRecord['ownership'] = { kind: 'releasing', owner: 'a', epoch: 4n, to: 'b' };
  const unowned: GroupRecord['ownership'] = { kind: 'unowned', epoch: 4n, lastOwner: 'a' };

  it.each([
    ['owned', { ...ownedByA, ownership: owned, operation: { ...op, phase: 'acquiring' } }],
    ['being released', { ...ownedByA, ownership: releasing, operation: op }],
    ['owned by nobody', { ...ownedByA, ownership: unowned, operation: op }],
  ] as const)('and %s: the operation has an end, and everybody is told', (_, record: GroupRecord) => {
    const read = rows().filter(({ key }) => key !== keys.group('g1') && key !== keys.config);
    const none = { key: keys.config, value: JSON.stringify({ config: noGroups }), modRevision: 3n };
    const group = { key: keys.group('g1'), value: encode(record), modRevision: 10n };
    const w = leader([...read, none, group]);
    const puts = w.changes().flatMap((txn) => txn.puts);
    expect(w.changes()).toHaveLength(1);
    const end = puts.find(({ key }) => key === keys.operation(op.id))?.value ?? '{}';
    expect(JSON.parse(end)).toMatchObject({
      outcome: 'failed',
      says: 'g1 was removed from the configuration',
    });
    const next = parseGroup(puts.find(({ key }) => key === keys.group('g1'))?.value ?? '');
    expect(next.kind === 'ok' ? next.value.operation : next).toBeNull();
  });
});

describe('a record that can not be read', () => {
  const spoilt = (key: string): QuorumEvent => ({
    ...{ kind: 'changed', revision: 50n },
    rows: [{ key, value: '{"of":"another version"}', modRevision: 50n }],
  });

  it.each([keys.group('g1'), keys.maintenance])('%s: nothing is ordered that it may forbid', (key) => {
    const w = leader();
    w.tell(spoilt(key), 1_100);
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    w.tell({ kind: 'wake' }, 36_000);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain("can't be read");
    const command = { kind: 'failover', group: 'g1', to: 'b', force: true } as const;
    w.tell({ kind: 'command', id: 7, by: 'olga', dryRun: false, command }, 36_001);
    const says = expect.stringContaining("can't be read") as string;
    expect(answerOf(w)).toEqual({ kind: 'refused', says });
  });

  it('of another kind: what the store refuses each time is tried once in a heartbeat, and not without a pause', () => {
    const w = leader();
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    w.tell({ kind: 'wake' }, 36_000);
    for (let now = 36_000; now < 37_000; now += 1) {
      const before = w.changes().length;
      w.stored(now, 'compare-failed');
      if (w.changes().length === before) break;
    }
    const tries = w.changes().length;
    expect(tries).toBeLessThan(5);
    w.tell({ kind: 'wake' }, 36_900);
    expect(w.changes()).toHaveLength(tries);
    expect(w.wakesAt()).toBeLessThanOrEqual(37_100);
    w.tell({ kind: 'wake' }, 37_100);
    expect(w.changes()).toHaveLength(tries + 1);
  });
});
