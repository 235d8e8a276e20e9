/** A server's renewals: what proves, what is only news, and when the next one goes out. */

import type { GroupRecord, RenewAnswer } from '../src/index.ts';
import {
  newRenewal,
  renewalAnswered,
  renewWhenDue,
  type Account,
  type Renewal,
} from '../src/agent/renewal.ts';

const pace = { renewMs: 3_000, attemptMs: 2_000 };
const account: Account = {
  reports: [],
  waits: { g1: 20_000 },
  leaving: false,
  actsUnder: 0n,
  clearing: false,
  mirrors: [],
};

function committed(revision = 7n): RenewAnswer {
  const groups: GroupRecord[] = [];
  return { kind: 'committed', revision, groups };
}

function sent(r: Renewal, now: number): Renewal {
  const { renewal, actions } = renewWhenDue(r, account, pace, now, false);
  expect(actions).toHaveLength(1);
  return renewal;
}

const fresh = newRenewal('a', 1, 'boot-1', '1', 0);

describe('a renewal', () => {
  it('counts from just before it was sent, not from its answer', () => {
    const { proof, renewal } = renewalAnswered(sent(fresh, 100), 1, committed(), pace, 1_900);
    expect(proof).toEqual({ at: 100, waits: { g1: 20_000 } });
    expect(renewal.proof?.at).toBe(100);
  });

  it('proves nothing when its answer comes after the deadline, though it is known to have landed', () => {
    const { proof, renewal } = renewalAnswered(sent(fresh, 100), 1, committed(), pace, 2_101);
    expect(proof).toBeNull();
    expect(renewal.current?.counter).toBe(1);
    expect(renewal.failingSince).toBe(100);
  });

  it('is tried again at once when it is overdue', () => {
    const overdue = sent(fresh, 100);
    expect(renewWhenDue(overdue, account, pace, 2_099, false).actions).toEqual([]);
    const { actions } = renewWhenDue(overdue, account, pace, 2_100, false);
    expect(actions).toMatchObject([{ kind: 'renew', attempt: 2 }]);
  });

  it('ignores the answer to an earlier attempt', () => {
    const second = sent(sent(fresh, 0), 2_000);
    expect(renewalAnswered(second, 1, committed(), pace, 2_100).proof).toBeNull();
  });

  it('knows its own record that came by another road', () => {
    const flying = sent(fresh, 0);
    const record = flying.inFlight?.record ?? null;
    const answer: RenewAnswer = { kind: 'conflict', current: record, revision: 9n, groups: [] };
    expect(renewalAnswered(flying, 1, answer, pace, 500).proof?.at).toBe(0);
  });

  it('stops when somebody else renews in its name', () => {
    const known = renewalAnswered(sent(fresh, 0), 1, committed(), pace, 10).renewal;
    const flying = sent(known, 3_000);
    const other = flying.inFlight === null ? null : { ...flying.inFlight.record, incarnation: 2 };
    const answer: RenewAnswer = { kind: 'conflict', current: other, revision: 9n, groups: [] };
    const { renewal } = renewalAnswered(flying, 2, answer, pace, 3_100);
    expect(renewal.impostor).toContain('incarnation 2');
    expect(renewWhenDue(renewal, account, pace, 9_000, false).actions).toEqual([]);
  });

  it('tells a changed G at once, so that the new rules may be used', () => {
    const known = renewalAnswered(sent(fresh, 0), 1, committed(), pace, 10).renewal;
    const published = renewalAnswered(sent(known, 20), 2, committed(), pace, 30).renewal;
    expect(renewWhenDue(published, account, pace, 40, false).actions).toEqual([]);
    const shorter = { ...account, waits: { g1: 2_000 } };
    expect(renewWhenDue(published, shorter, pace, 40, false).actions).toHaveLength(1);
  });
});
