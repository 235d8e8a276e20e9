/** The leader takes over from a server that died, and from nobody else. */

import { encode, keys, parseGroup, type GroupRecord, type RenewalRecord } from '../src/index.ts';
import {
  activeOnA,
  beat,
  configText,
  leader,
  ownedByA,
  renewal,
  rows,
  wall,
  withoutA,
  type Leader,
} from './leader.ts';

describe('a leader', () => {
  it('waits the whole outage after A was last heard, and not a moment longer', () => {
    const w = leader();
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    expect(w.changes()).toEqual([]);
    w.tell({ kind: 'wake' }, 36_000);
    expect(w.changes()).toHaveLength(1);
    expect(w.changes()[0]?.puts[0]?.value).toContain('"owner":"b"');
  });

  it('compares that it leads, what people want, the group, and the very renewal that it judged', () => {
    const w = leader();
    withoutA(w, 36_001);
    w.tell({ kind: 'wake' }, 36_001);
    expect(w.changes()[0]?.compares).toEqual([
      { kind: 'mod-revision', key: keys.leader, revision: 4n },
      { kind: 'mod-revision', key: keys.config, revision: 3n },
      { kind: 'mod-revision', key: keys.maintenance, revision: 0n },
      { kind: 'mod-revision', key: keys.group('g1'), revision: 10n },
      { kind: 'mod-revision', key: keys.renewal('a'), revision: 20n },
    ]);
  });

  it('leaves a server alone that nobody hears and that renews', () => {
    const w = leader();
    withoutA(w, 30_000);
    w.renewed('a', { ...activeOnA, counter: 2 }, 90_000n, 30_000);
    for (let now = 30_000; now < 49_000; now += 1_000) {
      w.hears('b', now);
      w.renewed('b', renewal('b', { counter: now }), 100_000n + BigInt(now), now);
    }
    expect(w.changes()).toEqual([]);
  });

  it('waits for the longer G that the owner told, whatever is configured now', () => {
    const w = leader(rows({ ...activeOnA, waits: { g1: 50_000 } }));
    withoutA(w, 50_000);
    w.tell({ kind: 'wake' }, 50_000);
    expect(w.changes()).toEqual([]);
  });

  it('tells that approval is awaited once there is an operation to approve, not before', () => {
    const w = leader(rows(activeOnA, renewal('b'), configText('manual')));
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    w.tell({ kind: 'wake' }, 36_000);
    expect(w.phaseTold()).toBe('blocked');
    const asked = w.changes()[0]?.puts.find(({ key }) => key === keys.group('g1'))?.value ?? '';
    const row = { key: keys.group('g1'), value: asked, modRevision: 90_000n };
    w.tell({ kind: 'changed', revision: 90_000n, rows: [row] }, 36_001);
    expect(w.phaseTold()).toBe('awaiting-approval');
  });

  it('takes over at once from a server that says it is fenced', () => {
    const w = leader();
    w.hears('a', 2_000, { ...beat, groups: [{ group: 'g1', epoch: 4n, state: 'fenced' }] });
    expect(w.changes()).toHaveLength(1);
    expect(w.reason()).toContain('takes g1 up again');
  });

  describe('whose owner is heard and does not renew', () => {
    function heardAlone(w: Leader, untilMs: number): void {
      for (let now = 1_600; now < untilMs; now += 1_000) {
        for (const server of ['a', 'b']) w.hears(server, now);
        w.renewed('b', renewal('b', { counter: now }), 30n + BigInt(now), now);
      }
    }

    it('takes over from one that never began, an outage after its last renewal and not a moment later', () => {
      const w = leader(rows(renewal('a'))); // A owns epoch 4, and tells nothing of it
      heardAlone(w, 36_000);
      expect(w.changes()).toEqual([]);
      expect(w.wakesAt()).toBeLessThanOrEqual(36_000);
      w.tell({ kind: 'wake' }, 36_000);
      expect(w.changes()[0]?.puts[0]?.value).toContain('"owner":"b"');
      expect(w.reason()).toContain('a is heard and does not renew');
    });

    it('leaves one alone that began', () => {
      const w = leader();
      heardAlone(w, 90_000);
      expect(w.changes()).toEqual([]);
    });
  });

  it('gives nothing to a server whose renewal is of an earlier boot than its voice', () => {
    const w = leader();
    withoutA(w, 34_000);
    const afterBoot = { ...beat, bootId: 'b-boot-2' };
    w.hears('b', 36_500, afterBoot);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('b has not renewed since its host booted');
  });

  it('takes over from a server that booted, is heard, and does not renew, after a whole outage', () => {
    const w = leader();
    const alive = (now: number) => {
      w.hears('a', now, { ...beat, bootId: 'a-boot-2' });
      w.hears('b', now);
      w.renewed('b', renewal('b', { counter: now }), 30n + BigInt(now), now);
    };
    for (let now = 2_000; now < 36_000; now += 1_000) alive(now);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('but has not renewed since its host booted');
    alive(36_000);
    w.tell({ kind: 'wake' }, 36_001);
    expect(w.changes()).toHaveLength(1);
    expect(w.changes()[0]?.puts[0]?.value).toContain('"owner":"b"');
    expect(w.reason()).toContain('a is heard and does not renew');
  });

  it('gives nothing to a server that has yet to clear what an earlier life left there', () => {
    const w = leader();
    for (let now = 2_000; now <= 37_000; now += 1_000) {
      w.hears('b', now);
      w.renewed('b', renewal('b', { counter: now, clearing: true }), 30n + BigInt(now), now);
    }
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('b has yet to clear what an earlier life left there');
  });

  it('gives nothing to a server that has yet to end an epoch that it had before', () => {
    const [active] = activeOnA.groups;
    if (active === undefined) throw new Error('nothing is active');
    const stuck = { ...active, epoch: 3n, state: 'releasing', says: 'app does not stop' } as const;
    const w = leader();
    const goesOn = (now: number, told: RenewalRecord['groups']) => {
      w.hears('b', now);
      w.renewed('b', renewal('b', { counter: now, groups: told }), 30n + BigInt(now), now);
    };
    for (let now = 2_000; now <= 37_000; now += 1_000) goesOn(now, [stuck]);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('b has yet to end epoch 3, which it had before: app does not stop');
    goesOn(38_000, [{ ...stuck, state: 'fenced' }]);
    expect(w.changes()).toHaveLength(1);
  });

  it('gives nothing to a server that was down together with the owner', () => {
    const w = leader(rows(activeOnA, renewal('b', { bootRevision: 25n })));
    for (let now = 2_000; now <= 37_000; now += 1_000) {
      w.hears('b', now);
      w.renewed('b', renewal('b', { counter: now, bootRevision: 25n }), 30n + BigInt(now), now);
    }
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('whose data may be newer');
  });
});

describe('an owner that renews and begins nothing', () => {
  const given: GroupRecord = {
    ...ownedByA,
    ownership: { kind: 'owned', owner: 'b', epoch: 5n },
    ownerBoot: 'b-boot-1',
    operation: {
      ...{ id: 'g1-10-failover', group: 'g1', kind: 'failover', phase: 'acquiring', from: 'a', to: 'b' },
      ...{ by: 'holdfast', forced: false, reason: 'b takes over', startedAt: wall, steps: [] },
    },
  };

  /** B was given the group at 1 s; both are well ever since. */
  function renewing(untilMs: number, b: Partial<RenewalRecord>): Leader {
    const others = rows(renewal('a'), renewal('b', b)).filter(({ key }) => key !== keys.group('g1'));
    const w = leader([...others, { key: keys.group('g1'), value: encode(given), modRevision: 10n }]);
    for (let now = 2_000; now <= untilMs; now += 1_000) {
      for (const [server, told] of [
        ['a', {}],
        ['b', b],
      ] as const) {
        w.hears(server, now);
        const revision = 30n + BigInt(now) + (server === 'a' ? 0n : 1n);
        w.renewed(server, renewal(server, { ...told, counter: now }), revision, now);
      }
    }
    return w;
  }

  it('is asked back after a whole outage, for another one that can', () => {
    expect(renewing(35_000, {}).changes()).toEqual([]);
    const w = renewing(37_000, {});
    const parsed = parseGroup(w.changes()[0]?.puts[0]?.value ?? '');
    expect(parsed).toMatchObject({
      value: { ownership: { kind: 'releasing', owner: 'b', epoch: 5n, to: 'a' } },
    });
    const ended = w.changes()[0]?.puts.find(({ key }) => key === keys.operation('g1-10-failover'));
    expect(ended?.value).toContain('b has g1 and began nothing of it for 35 s');
  });

  it('has that time from when it was started anew, too', () => {
    const w = renewing(30_000, {});
    for (let now = 31_000; now <= 60_000; now += 1_000) {
      w.hears('b', now);
      w.renewed('b', renewal('b', { incarnation: 2, counter: now }), 31n + BigInt(now), now);
    }
    expect(w.changes()).toEqual([]);
  });

  it('is told of meanwhile, with what keeps it from it', () => {
    const w = renewing(20_000, { clearing: true });
    expect(w.reason()).toContain('b has yet to clear what an earlier life left there');
    expect(w.phaseTold()).toBe('blocked');
  });
});

describe('a planned move of a group that is nothing but an address', () => {
  const handedToB: GroupRecord = {
    ...ownedByA,
    ownership: { kind: 'owned', owner: 'b', epoch: 5n, after: { server: 'a', epoch: 4n } },
    reason: 'olga asked for the switchover to b',
  };
  const fenced = { ...beat, groups: [{ group: 'g1', epoch: 4n, state: 'fenced' as const }] };

  function handedOver(): Leader {
    const w = leader();
    const row = { key: keys.group('g1'), value: encode(handedToB), modRevision: 40n };
    w.tell({ kind: 'changed', revision: 40n, rows: [row] }, 1_500);
    return w;
  }

  const ownership = (w: Leader): unknown => {
    const parsed = parseGroup(w.changes().at(-1)?.puts[0]?.value ?? '');
    return parsed.kind === 'ok' ? parsed.value.ownership : parsed;
  };

  it('names the successor before anything is given up, in one transaction', () => {
    const w = leader();
    const command = { kind: 'switchover', group: 'g1', to: 'b' } as const;
    w.tell({ kind: 'command', id: 1, by: 'olga', command, dryRun: false }, 1_500);
    expect(w.changes()).toHaveLength(1);
    expect(ownership(w)).toEqual(handedToB.ownership);
  });

  describe('whose successor is active before the former owner renewed', () => {
    const report = (epoch: bigint, state: 'active' | 'fenced', step: string, server: string) => ({
      groups: [
        {
          ...(activeOnA.groups[0] as (typeof activeOnA.groups)[number]),
          epoch,
          state,
          steps: [{ name: step, server, ms: 3, outcome: 'done' as const, says: '' }],
        },
      ],
    });
    const op: NonNullable<GroupRecord['operation']> = {
      id: 'g1-10-switchover',
      group: 'g1',
      kind: 'switchover',
      phase: 'acquiring',
      from: 'a',
      to: 'b',
      by: 'olga',
      forced: false,
      reason: 'olga asked for the switchover to b',
      startedAt: wall,
      steps: [],
    };

    function activeOnB(): Leader {
      const w = leader();
      const handed = { ...handedToB, operation: op };
      const row = { key: keys.group('g1'), value: encode(handed), modRevision: 40n };
      w.tell({ kind: 'changed', revision: 40n, rows: [row] }, 1_500);
      w.hears('a', 1_510, fenced);
      w.renewed('b', renewal('b', { counter: 2, ...report(5n, 'active', 'add addresses', 'b') }), 41n, 1_520);
      return w;
    }

    const stepsOf = (w: Leader): unknown =>
      w
        .changes()
        .flatMap((txn) => txn.puts)
        .filter(({ key }) => key === keys.operation(op.id))
        .map(({ value }) =>
          (JSON.parse(value) as { steps: { name: string }[] }).steps.map(({ name }) => name),
        );

    it('ends with the steps of both, as soon as those of the former one are here', () => {
      const w = activeOnB();
      expect(w.changes()).toEqual([]);
      w.renewed(
        'a',
        renewal('a', { counter: 2, ...report(4n, 'fenced', 'drop addresses', 'a') }),
        42n,
        1_600,
      );
      expect(stepsOf(w)).toEqual([['drop addresses', 'add addresses']]);
    });

    it('ends without them when they do not come within a second', () => {
      const w = activeOnB();
      w.hears('a', 2_400, fenced);
      w.tell({ kind: 'wake' }, 2_499);
      expect(w.changes()).toEqual([]);
      w.tell({ kind: 'wake' }, 2_500);
      expect(stepsOf(w)).toEqual([['add addresses']]);
    });
  });

  it('is an ordinary release where a server is of a version that would not wait', () => {
    const w = leader(rows(activeOnA, renewal('b', { awaitsFormer: undefined })));
    const command = { kind: 'switchover', group: 'g1', to: 'b' } as const;
    w.tell({ kind: 'command', id: 1, by: 'olga', command, dryRun: false }, 1_500);
    expect(ownership(w)).toEqual({ kind: 'releasing', owner: 'a', epoch: 4n, to: 'b' });
  });

  it('is left to the two of them, who hear each other', () => {
    const w = handedOver();
    w.hears('a', 1_600, fenced);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('b takes g1 over as soon as a has let go of it');
  });

  it('tells a successor that did not hear the former owner', () => {
    const w = handedOver();
    w.hears('a', 1_600, fenced);
    w.hears('b', 2_500);
    w.tell({ kind: 'wake' }, 2_500);
    expect(ownership(w)).toEqual({ kind: 'owned', owner: 'b', epoch: 5n });
  });

  it('waits for a former owner that fell silent as for any other, and compares its renewal', () => {
    const w = handedOver();
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    expect(w.changes()).toEqual([]);
    w.tell({ kind: 'wake' }, 36_000);
    expect(ownership(w)).toEqual({ kind: 'owned', owner: 'b', epoch: 5n });
    expect(w.changes()[0]?.compares).toContainEqual({
      kind: 'mod-revision',
      key: keys.renewal('a'),
      revision: 20n,
    });
  });
});
