/** What would have been done under maintenance, or to a group that is only observed, is told once and not done. */

import { decideAgain, encode, keys, noMaintenance, parseDecision, parseEvent } from '../src/index.ts';
import type { EventRecord, Row, TxnAnswer } from '../src/index.ts';
import { activeOnA, configText, leader, renewal, rows, withoutA, type Leader } from './leader.ts';

const maintenance: Row = {
  key: keys.maintenance,
  value: encode({ ...noMaintenance, cluster: 'new switch' }),
  modRevision: 5n,
};

interface Order {
  readonly id: number;
  readonly event: EventRecord;
  readonly decision: string;
}

/** The orders to tell something. */
function told(w: Leader): readonly Order[] {
  return w.orders.flatMap((order): readonly Order[] => {
    if (order.kind !== 'txn') return [];
    const valueOf = (prefix: string) => order.txn.puts.find(({ key }) => key.startsWith(prefix))?.value ?? '';
    const event = parseEvent(valueOf(keys.events));
    if (event.kind === 'garbage') return [];
    return [{ id: order.id, event: event.value, decision: valueOf(keys.decisions) }];
  });
}

function answer(w: Leader, now: number, outcome: TxnAnswer['kind'] = 'succeeded'): void {
  const id = told(w).at(-1)?.id ?? 0;
  const says: TxnAnswer =
    outcome === 'unknown'
      ? { kind: outcome, says: 'no answer' }
      : { kind: outcome, revision: 90_000n, rows: [] };
  w.tell({ kind: 'txn-ended', id, answer: says }, now);
}

/** B is heard and renews, for so many seconds. */
function on(w: Leader, fromMs: number, untilMs: number): void {
  for (let now = fromMs; now < untilMs; now += 1_000) {
    w.hears('b', now);
    w.renewed('b', renewal('b', { counter: now }), 100_000n + BigInt(now), now);
    w.tell({ kind: 'wake' }, now + 500);
  }
}

function silentUnderMaintenance(): Leader {
  const w = leader([...rows(), maintenance]);
  withoutA(w, 36_000);
  w.hears('b', 35_999);
  expect(told(w)).toEqual([]);
  w.tell({ kind: 'wake' }, 36_000);
  return w;
}

const why =
  'the cluster is in maintenance (new switch); otherwise: b takes over because a was silent for 35 s and did not renew';

describe('a takeover that maintenance keeps from being made', () => {
  it('is told with its reason, and nothing else is put', () => {
    const w = silentUnderMaintenance();
    expect(told(w)).toHaveLength(1);
    const [{ event } = { event: null }] = told(w);
    expect(event).toMatchObject({ kind: 'would-have', group: 'g1', server: 'b', reason: why, epoch: null });
    expect(w.changes()).toEqual([]);
  });

  it('is told once, however often it is judged', () => {
    const w = silentUnderMaintenance();
    answer(w, 36_010);
    on(w, 37_000, 300_000);
    expect(told(w)).toHaveLength(1);
    expect(w.changes()).toEqual([]);
  });

  it('is the very same event when the store did not say whether it has it', () => {
    const w = silentUnderMaintenance();
    on(w, 37_000, 38_000);
    expect(told(w)).toHaveLength(1);
    answer(w, 38_000, 'unknown');
    on(w, 38_000, 40_000);
    expect(told(w).map(({ event }) => event.id)).toEqual([told(w)[0]?.event.id, told(w)[0]?.event.id]);
    answer(w, 40_000);
    on(w, 40_000, 60_000);
    expect(told(w)).toHaveLength(2);
  });

  it('is told again when the server came back, and fell silent once more', () => {
    const w = silentUnderMaintenance();
    answer(w, 36_010);
    on(w, 37_000, 40_000);
    w.hears('a', 40_000);
    w.renewed('a', { ...activeOnA, counter: 2 }, 200_000n, 40_000);
    on(w, 40_500, 74_000);
    expect(told(w)).toHaveLength(1);
    on(w, 74_500, 80_000);
    expect(told(w)).toHaveLength(2);
  });

  it('is made when the maintenance ends', () => {
    const w = silentUnderMaintenance();
    answer(w, 36_010);
    const row = { key: keys.maintenance, value: encode(noMaintenance), modRevision: 90_001n };
    w.tell({ kind: 'changed', revision: 90_001n, rows: [row] }, 37_000);
    expect(w.changes()).toHaveLength(1);
  });
});

describe('a group that is only observed', () => {
  it('tells what it would have done, with all that the decision was made from', () => {
    const w = leader(rows(activeOnA, renewal('b'), configText('observe')));
    withoutA(w, 36_000);
    w.hears('b', 35_999);
    w.tell({ kind: 'wake' }, 36_000);
    const [order] = told(w);
    expect(order?.event.reason).toMatch(/^g1 is only observed; otherwise: b takes over because a was silent/);
    const decision = parseDecision(order?.decision ?? '');
    if (decision.kind === 'garbage') throw new Error(decision.says);
    const again = decideAgain(decision.value);
    expect(again).toMatchObject({
      reason: order?.event.reason,
      change: null,
      withheld: { what: 'failover' },
    });
    expect(w.changes()).toEqual([]);
  });
});
