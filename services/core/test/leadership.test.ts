/** A leader that ends lets go, and the others need not wait until its beat is dead. */

import {
  encode,
  keys,
  newQuorum,
  stepQuorum,
  type Heartbeat,
  type QuorumState,
  type QuorumStep,
  type Row,
} from '../src/index.ts';
import { configText } from './leader.ts';

const rows = (leader: object): readonly Row[] => [
  { key: keys.leader, value: encode({ member: 'w', incarnation: 1, term: 4, ...leader }), modRevision: 4n },
  { key: keys.beat, value: 'w 7 1000', modRevision: 5n },
];

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

/** A quorum service that read the store at 1 s of its clock, and hears its agent. */
function reader(self: string, leader: object): QuorumState {
  const fresh = newQuorum(self, self === 'w', 1, 0);
  const relayed = stepQuorum(fresh, { kind: 'relay', connected: true }, 0, 0).state;
  const answer = { kind: 'read', revision: 5n, rows: rows(leader) } as const;
  return stepQuorum(relayed, { kind: 'read', answer }, 1_000, 0).state;
}

const leaderPut = ({ actions }: QuorumStep): string | undefined =>
  actions.flatMap((a) => (a.kind === 'txn' ? a.txn.puts : [])).find(({ key }) => key === keys.leader)?.value;

describe('leadership', () => {
  it('is let go of by a record that compares the one it replaces, once', () => {
    const step = stepQuorum(reader('w', {}), { kind: 'leaving' }, 1_100, 0);
    expect(leaderPut(step)).toBe('{"incarnation":1,"left":true,"member":"w","term":4}');
    const txn = step.actions.flatMap((a) => (a.kind === 'txn' ? [a.txn] : [])).at(-1);
    expect(txn?.compares).toEqual([{ kind: 'mod-revision', key: keys.leader, revision: 4n }]);
    expect(leaderPut(stepQuorum(step.state, { kind: 'wake' }, 1_200, 0))).toBeUndefined();
  });

  it('is taken at once when it was let go of, and not before', () => {
    const left = reader('b', { left: true });
    expect(left.wakeAt).toBeLessThanOrEqual(1_100);
    expect(leaderPut(stepQuorum(left, { kind: 'wake' }, 1_100, 0))).toBe(
      '{"incarnation":1,"member":"b","term":5}',
    );
    expect(leaderPut(stepQuorum(reader('b', {}), { kind: 'wake' }, 1_100, 0))).toBeUndefined();
  });

  it('is not taken by one that ends itself', () => {
    const ending = stepQuorum(reader('b', { left: true }), { kind: 'leaving' }, 1_010, 0).state;
    expect(leaderPut(stepQuorum(ending, { kind: 'wake' }, 60_000, 0))).toBeUndefined();
  });

  it('is taken soon when nobody hears the leader any more, and after three beats when it is heard', () => {
    const takenAt = (...speakers: readonly string[]): number => {
      let state = reader('b', {});
      for (let now = 1_100; now < 20_000; now += 100) {
        const events = speakers.map((from) => ({ kind: 'heard', from, path: 0, heartbeat: beat }) as const);
        for (const event of [...events, { kind: 'wake' } as const]) {
          const step = stepQuorum(state, event, now, 0);
          if (leaderPut(step) !== undefined) return now;
          ({ state } = step);
        }
      }
      return Infinity;
    };
    expect(takenAt('a')).toBe(4_500);
    expect(takenAt('a', 'w')).toBe(7_500);
  });

  it('goes on when the pace becomes quicker: the leader beats at once, and until then nobody judges by that pace', () => {
    const quicker = {
      kind: 'changed',
      revision: 9n,
      rows: [{ key: keys.config, value: configText('automatic', '3s'), modRevision: 9n }],
    } as const;
    const heard = { kind: 'heard', from: 'w', path: 0, heartbeat: beat } as const;
    const began = reader('w', {});
    const [id = 0] = [...began.underway].find(([, { kind }]) => kind === 'beat') ?? [];
    const answer = { kind: 'succeeded', revision: 6n, rows: [] } as const;
    const beaten = stepQuorum(began, { kind: 'txn-ended', id, answer }, 1_010, 0).state;
    const leading = stepQuorum(beaten, heard, 2_700, 0).state;
    const puts = stepQuorum(leading, quicker, 2_900, 0).actions.flatMap((a) =>
      a.kind === 'txn' ? a.txn.puts.map(({ key }) => key) : [],
    );
    expect(puts).toContain(keys.beat);
    const standing = stepQuorum(reader('b', {}), heard, 2_700, 0).state;
    let { state } = stepQuorum(standing, quicker, 2_900, 0);
    for (let now = 3_000; now < 4_100; now += 50) {
      const step = stepQuorum(state, { kind: 'wake' }, now, 0);
      expect(leaderPut(step)).toBeUndefined();
      ({ state } = step);
    }
  });
});
