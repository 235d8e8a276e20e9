/** A quorum service that leads, with what it read and heard, for tests of what it does about it. */

import {
  configToJson,
  encode,
  keys,
  newQuorum,
  parseConfig,
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
  type TxnAnswer,
} from '../src/index.ts';
import { decidesNothing } from '../src/quorum/routine.ts';

export const wall = 1_800_000_000_000;

function member(id: string, role: Member['role'], last: number): Member {
  return { id, role, addresses: [`10.77.0.${String(last)}`, `10.78.0.${String(last)}`], voter: true };
}

/** Two servers and a witness. */
export const members: readonly Member[] = [
  member('a', 'server', 11),
  member('b', 'server', 12),
  member('w', 'witness', 13),
];

/** Of the agent of server a, in its first life. */
export const identityOfA = {
  self: 'a',
  role: 'server',
  members,
  incarnation: 1,
  bootId: 'boot-1',
  version: '1',
} as const;

export function configText(takeover = 'automatic', outage = '35s'): string {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const group = { servers: ['a', 'b'], identity, takeover, outage };
  const parsed = parseConfig({ groups: { g1: group } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return JSON.stringify({ config: configToJson(parsed.config) });
}

export const noGroups = configToJson({
  groups: new Map(),
  servers: new Map(),
  mirrors: new Map(),
  leaving: [],
});

export function renewal(server: string, told: Partial<RenewalRecord> = {}): RenewalRecord {
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

export const ownedByA: GroupRecord = {
  group: 'g1',
  ownership: { kind: 'owned', owner: 'a', epoch: 4n },
  operation: null,
  ownerBoot: 'a-boot-1',
  failovers: [],
  reason: 'a takes g1 up',
  since: wall,
  takeoverMs: [],
};

export const activeOnA: RenewalRecord = renewal('a', {
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

export function rows(
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

export const beat: Heartbeat = {
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

function renewedEvent(server: string, record: RenewalRecord, modRevision: bigint): QuorumEvent {
  const row = { key: keys.renewal(server), value: encode(record), modRevision };
  return { kind: 'changed', revision: modRevision, rows: [row] };
}

/** A quorum service on W that leads, and everything that it was told so far. */
export class Leader {
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
    this.tell(renewedEvent(server, record, modRevision), now);
  }

  /** Whether such a renewal would be noted, and nothing judged for it. */
  passesOver(record: RenewalRecord, modRevision: bigint, now: number): boolean {
    return decidesNothing(this.state, renewedEvent(record.server, record, modRevision), now);
  }

  wakesAt(): number {
    return this.state.wakeAt;
  }

  reason(): string {
    return this.state.judgements.get('g1')?.reason ?? '';
  }

  phaseTold(): string {
    const judged = this.state.judgements.get('g1');
    return judged === undefined ? '' : phaseTold(judged, this.state.view.groups.get('g1')?.value ?? null);
  }

  /** What came of the change of the group that was ordered last. */
  stored(now: number, kind: TxnAnswer['kind'] = 'succeeded'): void {
    const order = this.orders.findLast(
      (o) => o.kind === 'txn' && o.txn.puts.some(({ key }) => key === keys.group('g1')),
    );
    if (order?.kind !== 'txn') throw new Error('nothing was ordered');
    const revision = 100_000n;
    const rows = order.txn.puts
      .filter(({ key }) => kind === 'succeeded' && key === keys.group('g1'))
      .map((put) => ({ ...put, modRevision: revision }));
    const answer: TxnAnswer =
      kind === 'unknown' ? { kind, says: 'no answer in time' } : { kind, revision, rows };
    this.tell({ kind: 'txn-ended', id: order.id, answer }, now);
  }

  /** The transactions that change the group. */
  changes() {
    return this.orders
      .flatMap((o) => (o.kind === 'txn' ? [o.txn] : []))
      .filter((txn) => txn.puts.some((p) => p.key === keys.group('g1')));
  }
}

/** W has read everything at 1 s and heard both servers. */
export function leader(read: readonly Row[] = rows()): Leader {
  const w = new Leader();
  w.tell({ kind: 'relay', connected: true }, 0);
  w.tell({ kind: 'read', answer: { kind: 'read', revision: 30n, rows: read } }, 1_000);
  w.hears('a', 1_000);
  w.hears('b', 1_000);
  return w;
}

/** B goes on as ever, and A is not heard and does not renew any more. */
export function withoutA(w: Leader, untilMs: number): void {
  for (let now = 2_000; now < untilMs; now += 1_000) {
    w.hears('b', now);
    w.renewed('b', renewal('b', { counter: now }), 30n + BigInt(now), now);
  }
}
