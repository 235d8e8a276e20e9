/** Renewals that share a transaction. */
import { describe, expect, it } from '@jest/globals';
import { opsMax, opsOf } from '../src/store.ts';
import { keys } from '../src/keys.ts';
import type { RenewRequest } from '../src/quorum/events.ts';
import { batchEnded, enqueue, nextBatch, noRenewals, type Renewing } from '../src/quorum/renewing.ts';

const request = (id: number, server: string): RenewRequest => ({
  id,
  server,
  previous: `${server} before`,
  next: `${server} ${String(id)}`,
  notes: [],
});

function waiting(r: Renewing, ...requests: readonly RenewRequest[]): Renewing {
  return requests.reduce((renewing, each) => enqueue(renewing, each, 0).renewing, r);
}

function sent(r: Renewing) {
  const next = nextBatch(r, 1);
  if (next === null) throw new Error('nothing is sent');
  return { renewing: next.renewing, written: next.txn.puts.map(({ value }) => value) };
}

/** a's renewal holds; b's was overtaken. */
const conflict = {
  kind: 'compare-failed',
  revision: 9n,
  rows: [
    { key: keys.renewal('a'), value: 'a before', modRevision: 1n },
    { key: keys.renewal('b'), value: 'b otherwise', modRevision: 8n },
  ],
} as const;

describe('renewals of many servers', () => {
  it('a conflict of one server sends the others again', () => {
    const first = sent(waiting(noRenewals, request(1, 'a'), request(2, 'b')));
    const { renewing, actions } = batchEnded(first.renewing, conflict);
    expect(actions).toMatchObject([{ kind: 'answer-renew', id: 2, result: { kind: 'conflict' } }]);
    expect(sent(renewing).written).toEqual(['a 1']);
  });

  it('fit into one transaction each time, with all the notes that it takes of each', () => {
    const notes = ['1', '2', '3'].map((id) => ({ id, text: 'fenced' }));
    const all = Array.from({ length: 70 }, (_, id) => ({ ...request(id, `s${id}`), notes }));
    let renewing = waiting(noRenewals, ...all);
    const sizes: number[] = [];
    while (renewing.waiting.length > 0) {
      const next = nextBatch(renewing, 1);
      if (next === null) throw new Error('nothing is sent');
      expect(opsOf(next.txn)).toBeLessThanOrEqual(opsMax);
      sizes.push(next.txn.compares.length);
      renewing = { ...next.renewing, inFlight: null };
    }
    expect(sizes).toEqual([29, 29, 12]);
  });

  it('of one server only the latest is sent, also when an earlier one comes back from a conflict', () => {
    const first = sent(waiting(noRenewals, request(1, 'a'), request(2, 'b')));
    const later = waiting(first.renewing, request(3, 'a'));
    const { renewing, actions } = batchEnded(later, conflict);
    expect(actions).toContainEqual({
      kind: 'answer-renew',
      id: 1,
      result: { kind: 'no-answer', says: 'superseded by a later attempt' },
    });
    expect(sent(renewing).written).toEqual(['a 3']);
  });
});
