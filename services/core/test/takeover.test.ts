/** The leader takes over from a server that died, and from nobody else. */

import {
  configToJson,
  encode,
  keys,
  newQuorum,
  parseConfig,
  parseGroup,
  phaseTold,
  stepQuorum,
  type GroupRecord,
  type Heartbeat,
  type Member,
  type QuorumAction,
  type QuorumEvent,
  type QuorumState,
  type RenewalRecord,
  type Row,
} from '../src/index.ts';

const wall = 1_800_000_000_000;

function member(id: string, role: Member['role'], last: number): Member {
  return { id, role, addresses: [`10.77.0.${String(last)}`, `10.78.0.${String(last)}`], voter: true };
}

const members = [member('a', 'server', 11), member('b', 'server', 12), member('w', 'witness', 13)];

function configText(takeover = 'automatic'): string {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const group = { servers: ['a', 'b'], identity, takeover };
  const parsed = parseConfig({ groups: { g1: group } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return JSON.stringify({ config: configToJson(parsed.config) });
}

function renewal(server: string, told: Partial<RenewalRecord> = {}): RenewalRecord {
  return {
    server,
    incarnation: 1,
    counter: 1,
    bootId: `${server}-boot-1`,
    bootRevision: 5n,
    version: '1',
    leaving: false,
    waits: { g1: 20_000 },
    awaitsFormer: true,
    groups: [],
    ...told,
  };
}

const ownedByA: GroupRecord = {
  group: 'g1',
  ownership: { kind: 'owned', owner: 'a', epoch: 4n },
  operation: null,
  ownerBoot: 'a-boot-1',
  failovers: [],
  reason: 'a takes g1 up',
  since: wall,
  takeoverMs: [],
};

const activeOnA: RenewalRecord = renewal('a', {
  groups: [
    {
      group: 'g1',
      epoch: 4n,
      state: 'active',
      says: '',
      steps: [],
      resources: {},
      wantsRelease: null,
      releaseRefused: null,
    },
  ],
});

function rows(
  a: RenewalRecord = activeOnA,
  b: RenewalRecord = renewal('b'),
  config = configText(),
): readonly Row[] {
  const list: [string, string, bigint][] = [
    ...members.map((m): [string, string, bigint] => [keys.member(m.id), JSON.stringify(m), 2n]),
    [keys.config, config, 3n],
    [keys.leader, encode({ member: 'w', incarnation: 1, term: 1 }), 4n],
    [keys.beat, 'w 1 0', 30n],
    [keys.renewal('a'), encode(a), 20n],
    [keys.renewal('b'), encode(b), 21n],
    [keys.group('g1'), encode(ownedByA), 10n],
  ];
  return list.map(([key, value, modRevision]) => ({ key, value, modRevision }));
}

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 0,
  echo: null,
  version: '1',
  leaving: false,
  addresses: [],
  groups: [],
  vantage: [],
  diagnoses: [],
};

/** A quorum service on W that leads, and everything that it was told so far. */
class Leader {
  private state: QuorumState = newQuorum('w', true, 1, 0);
  readonly orders: QuorumAction[] = [];

  tell(event: QuorumEvent, now: number): void {
    const step = stepQuorum(this.state, event, now, wall + now);
    this.state = step.state;
    this.orders.push(...step.actions);
  }

  hears(from: string, now: number, heartbeat: Heartbeat = beat): void {
    this.tell({ kind: 'heard', from, path: 0, heartbeat }, now);
  }

  renewed(server: string, record: RenewalRecord, modRevision: bigint, now: number): void {
    const row = { key: keys.renewal(server), value: encode(record), modRevision };
    this.tell({ kind: 'changed', revision: modRevision, rows: [row] }, now);
  }

  reason(): string {
    return this.state.judgements.get('g1')?.reason ?? '';
  }

  phaseTold(): string {
    const judged = this.state.judgements.get('g1');
    return judged === undefined ? '' : phaseTold(judged, this.state.view.groups.get('g1')?.value ?? null);
  }

  /** The transactions that change the group. */
  changes() {
    return this.orders
      .flatMap((o) => (o.kind === 'txn' ? [o.txn] : []))
      .filter((txn) => txn.puts.some((p) => p.key === keys.group('g1')));
  }
}

/** W has read everything at 1 s and heard both servers. */
function leader(read: readonly Row[] = rows()): Leader {
  const w = new Leader();
  w.tell({ kind: 'relay', connected: true }, 0);
  w.tell({ kind: 'read', answer: { kind: 'read', revision: 30n, rows: read } }, 1_000);
  w.hears('a', 1_000);
  w.hears('b', 1_000);
  return w;
}

/** B goes on as ever, and A is not heard and does not renew any more. */
function withoutA(w: Leader, untilMs: number): void {
  for (let now = 2_000; now < untilMs; now += 1_000) {
    w.hears('b', now);
    w.renewed('b', renewal('b', { counter: now }), 30n + BigInt(now), now);
  }
}

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

  it('gives nothing to a server whose renewal is of an earlier boot than its voice', () => {
    const w = leader();
    withoutA(w, 34_000);
    const afterBoot = { ...beat, bootId: 'b-boot-2' };
    w.hears('b', 36_500, afterBoot);
    expect(w.changes()).toEqual([]);
    expect(w.reason()).toContain('b has not renewed since its host booted');
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
