/** What `explain` says would happen if a server died now. */
import {
  newQuorum,
  parseConfig,
  stepQuorum,
  type GroupRecord,
  type Heartbeat,
  type QuorumState,
  type RenewalRecord,
} from '@holdfast/core';
import { explain } from '../src/explain.ts';

const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const beat: Heartbeat = {
  ...{ kind: 'heartbeat', sentAt: 0, echo: null, version: '1', leaving: false },
  ...{ addresses: [], groups: [], vantage: [], diagnoses: [] },
};
const record: GroupRecord = {
  ...{ group: 'd3', ownership: { kind: 'owned', owner: 'a', epoch: 4n }, operation: null },
  ...{ ownerBoot: 'a1', failovers: [], reason: 'a takes d3 up', since: 0, takeoverMs: [] },
};

/** Renewals are of the moment 0; each server was heard at its own. */
function observed(heardAtMs: Readonly<Record<string, number>>): QuorumState {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const group = { servers: ['a', 'b'], identity, takeover: 'observe' };
  const parsed = parseConfig({ groups: { d3: group } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });
  const renewal = (server: string): RenewalRecord => ({
    ...{ server, incarnation: 1, counter: 1, bootId: `${server}1`, bootRevision: 1n, version: '1' },
    ...{ leaving: false, waits: {}, groups: [] },
  });
  const fresh = newQuorum('b', false, 1, 0);
  const view = {
    ...fresh.view,
    config: held(parsed.config),
    members: new Map(members.map((m) => [m.id, held(m)])),
    groups: new Map([['d3', held(record)]]),
    renewals: new Map(members.map((m) => [m.id, held(renewal(m.id))])),
  };
  return Object.entries(heardAtMs).reduce(
    (state: QuorumState, [from, at]) =>
      stepQuorum(state, { kind: 'heard', from, path: 0, heartbeat: beat }, at, at).state,
    { ...fresh, view },
  );
}

const ifADied = (state: QuorumState, now: number): string =>
  explain(state, 'd3', now, now)?.prospects.find(({ server }) => server === 'a')?.says ?? '';

it('an owner that is heard would be silent for an outage', () => {
  expect(ifADied(observed({ a: 1_000, b: 1_000 }), 1_000)).toContain('a was silent for 35 s');
});

it('the silence of one that has not been heard for some time is counted once', () => {
  expect(ifADied(observed({ a: 1_000, b: 19_000 }), 19_000)).toContain('a was silent for 35 s');
});
