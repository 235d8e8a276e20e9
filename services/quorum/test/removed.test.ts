/** What people see of a group that was removed, and that its owner would not let go of. */
import {
  newQuorum,
  parseConfig,
  sceneOf,
  type GroupRecord,
  type GroupReport,
  type QuorumState,
  type RenewalRecord,
} from '@holdfast/core';
import { explain } from '../src/explain.ts';
import { statusOf } from '../src/status.ts';
import { statusWarnings } from '../src/status-warnings.ts';

const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });
const record: GroupRecord = {
  ...{ group: 'd3', ownership: { kind: 'releasing', owner: 'a', epoch: 4n, to: null }, operation: null },
  ...{
    ownerBoot: 'a1',
    failovers: [],
    reason: 'd3 was removed from the configuration',
    since: 0,
    takeoverMs: [],
  },
};

function removed(releaseRefused: string | null, left: Partial<GroupReport> = {}): QuorumState {
  const report = { group: 'd3', epoch: 4n, state: 'active', says: '', steps: [], resources: {} } as const;
  const renewal: RenewalRecord = {
    ...{ server: 'a', incarnation: 1, counter: 1, bootId: 'a1', bootRevision: 1n, version: '1' },
    ...{ leaving: false, waits: {}, groups: [{ ...report, wantsRelease: null, releaseRefused, ...left }] },
  };
  const parsed = parseConfig({ groups: {} }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const fresh = newQuorum('a', false, 1, 0);
  const view = {
    ...fresh.view,
    config: held(parsed.config),
    members: new Map(members.map((m) => [m.id, held(m)])),
    groups: new Map([['d3', held(record)]]),
    renewals: new Map([['a', held(renewal)]]),
  };
  return { ...fresh, view };
}

const says =
  'd3 was removed from the configuration, and still runs on a, which refused to release it (hook beforeRelease 1: exit status 1)';
const fix =
  'holdfast release d3 asks again, and with --force goes on whatever the hook says; or apply a configuration that has d3';

describe('a group that was removed, and whose owner refused to release it', () => {
  const state = removed('hook beforeRelease 1: exit status 1');

  it('is a warning of status and a problem of check, with what to do', () => {
    const status = statusOf(state, { name: 'acme', externalEtcd: true }, new Map(), 1_000, 0);
    expect(status.warnings).toContain(says);
    const { quorum } = status;
    if (quorum === undefined) throw new Error('there is no quorum');
    const looked = { members, quorum, health: new Map(), externalEtcd: true };
    const found = statusWarnings(state, sceneOf(state, 1_000), looked);
    expect(found.filter(({ name }) => name === 'removed')).toEqual([{ name: 'removed', says, fix }]);
  });

  it('is explained', () => {
    expect(explain(state, 'd3', 1_000, 0)?.now).toBe(`${says}: ${fix}.`);
  });

  it('is no warning before it refused, and is nothing that was never there', () => {
    const asked = removed(null);
    const status = statusOf(asked, { name: 'acme', externalEtcd: true }, new Map(), 1_000, 0);
    expect(status.warnings.filter((warning) => warning.includes('d3'))).toEqual([]);
    expect(explain(asked, 'd3', 1_000, 0)?.now).toBe(
      'd3 was removed from the configuration, and a is asked to release it.',
    );
    expect(explain(asked, 'd4', 1_000, 0)).toBeNull();
  });
});

describe('a group that was removed, and that its owner can not let go of', () => {
  const state = removed(null, { state: 'releasing', says: 'stop app: exit status 7' });
  const says =
    'd3 was removed from the configuration, and a could not let go of it (stop app: exit status 7)';

  it('is a warning, not a cluster without groups, and a problem of check', () => {
    const status = statusOf(state, { name: 'acme', externalEtcd: true }, new Map(), 1_000, 0);
    expect(status.warnings).toContain(says);
    const { quorum } = status;
    if (quorum === undefined) throw new Error('there is no quorum');
    const looked = { members, quorum, health: new Map(), externalEtcd: true };
    const found = statusWarnings(state, sceneOf(state, 1_000), looked);
    expect(found.filter(({ name }) => name === 'removed')).toEqual([
      { name: 'removed', says, fix: 'clear it on a; it is tried again by itself' },
    ]);
  });

  it('is explained', () => {
    expect(explain(state, 'd3', 1_000, 0)?.now).toBe(
      'd3 was removed from the configuration, and a could not let go of it, and tries again (stop app: exit status 7).',
    );
  });

  it('is none while the steps of its release go on', () => {
    const step = { name: 'stop app', server: 'a', ms: 0, outcome: 'running', says: '' } as const;
    const asked = removed(null, { state: 'releasing', says: 'd3 was removed', steps: [step] });
    const status = statusOf(asked, { name: 'acme', externalEtcd: true }, new Map(), 1_000, 0);
    expect(status.warnings.filter((warning) => warning.includes('d3'))).toEqual([]);
  });
});
