/** What `status` tells of a group's resources, of paths, and of the votes. */
import {
  hear,
  newQuorum,
  parseConfig,
  sceneOf,
  type GroupRecord,
  type GroupReport,
  type Heartbeat,
  type RenewalRecord,
} from '@holdfast/core';
import { notReady } from '../src/admin-calls.ts';
import { statusOf } from '../src/status.ts';
import { statusWarnings } from '../src/status-warnings.ts';
import type { VoterStore } from '../src/voter-health.ts';

const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const record: GroupRecord = {
  ...{ group: 'd3', ownership: { kind: 'owned', owner: 'a', epoch: 4n }, operation: null, ownerBoot: 'a1' },
  ...{ failovers: [], reason: 'a takes d3 up', since: 0, takeoverMs: [] },
};
const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });

function resourcesOf(told: Pick<GroupReport, 'state' | 'says' | 'resources'>) {
  const command = { start: ['/bin/true'], stop: ['/bin/true'] };
  const resources = ['web', 'app', 'mail'].map((name) => ({ name, command }));
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const parsed = parseConfig(
    { groups: { d3: { servers: ['a', 'b'], identity, resources } } },
    'cluster.yaml',
    members,
  );
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const report = { group: 'd3', epoch: 4n, steps: [], wantsRelease: null, releaseRefused: null, ...told };
  const renewal: RenewalRecord = {
    ...{ server: 'a', incarnation: 1, counter: 1, bootId: 'a1', bootRevision: 1n, version: '1' },
    ...{ leaving: false, waits: {}, groups: [report] },
  };
  const fresh = newQuorum('a', false, 1, 0);
  const view = {
    ...fresh.view,
    config: held(parsed.config),
    members: new Map(members.map((m) => [m.id, held(m)])),
    groups: new Map([['d3', held(record)]]),
    renewals: new Map([['a', held(renewal)]]),
  };
  const cluster = { name: 'acme', externalEtcd: false };
  return statusOf({ ...fresh, view }, cluster, new Map(), 1_000, 0).groups['d3']?.resources;
}

describe('the resources of a group', () => {
  it('tell why the first that failed did, in the order in which they are started', () => {
    const resources = { app: 'failed', mail: 'failed', web: 'running' } as const;
    expect(resourcesOf({ state: 'active', says: 'exit status 7', resources })).toEqual({
      web: { state: 'running', says: '' },
      app: { state: 'failed', says: 'exit status 7' },
      mail: { state: 'failed', says: '' },
    });
  });

  it('do not run before their server says so: one that was added may not have been started', () => {
    const resources = { app: 'running', web: 'running' } as const;
    const says = 'held: start mail: exit status 5';
    expect(resourcesOf({ state: 'active', says, resources })?.['mail']).toEqual({
      state: 'stopped',
      says: '',
    });
  });

  it('tell nothing that was said of something else', () => {
    const resources = { app: 'failed', mail: 'running', web: 'running' } as const;
    expect(resourcesOf({ state: 'releasing', says: 'olga asked for it', resources })?.['app']?.says).toBe('');
  });
});

describe('the paths of a member', () => {
  it('tell a round trip only while they are alive', () => {
    const beat: Heartbeat = {
      ...{ kind: 'heartbeat', sentAt: 1_000, echo: { sentAt: 990, ageMs: 6 }, version: '1', leaving: false },
      ...{ addresses: [], groups: [], vantage: [], diagnoses: [] },
    };
    const fresh = newQuorum('a', false, 1, 0);
    const view = { ...fresh.view, members: new Map(members.map((m) => [m.id, held(m)])) };
    const state = { ...fresh, view, vantage: hear(fresh.vantage, 'b', 0, beat, 1_000) };
    const cluster = { name: 'acme', externalEtcd: false };
    const pathAt = (now: number) => statusOf(state, cluster, new Map(), now, 0).servers['b']?.paths[0];
    expect(pathAt(1_100)).toMatchObject({ state: 'up', rttMs: 4 });
    expect(pathAt(600_000)).toMatchObject({ state: 'down', rttMs: 0 });
  });
});

const noStore: VoterStore = { isWell: false, dbBytes: null, alarms: [] };

describe('the votes', () => {
  /** `runs`: whose etcd answers, with a leader or without one. */
  const warned = (
    healthy: readonly string[],
    runs: readonly string[] = healthy,
    self = 'a',
  ): readonly string[] => {
    const three = ['a', 'b', 'w'].map((id) => ({
      ...{ id, role: 'server' as const, addresses: ['10.77.0.1'], voter: true },
    }));
    const state = newQuorum(self, false, 1, 0);
    const rows = three.map(({ id }) => [id, { healthy: healthy.includes(id), voter: true }] as const);
    const quorum = {
      ...{ healthy: healthy.length > 1, leader: 'a', members: Object.fromEntries(rows) },
      spareVotes: Math.max(0, healthy.length - 2),
    };
    const store = (id: string): VoterStore => ({ isWell: healthy.includes(id), dbBytes: 1, alarms: [] });
    const health = new Map(runs.map((id) => [id, store(id)]));
    const looked = { members: three, quorum, health, externalEtcd: false };
    return statusWarnings(state, sceneOf(state, 1_000), looked).map(({ says, fix }) => `${says}: ${fix}`);
  };

  it('are warned of when none is to spare, and otherwise when too few are left', () => {
    expect(warned(['a', 'b', 'w'])).toEqual([]);
    expect(warned(['a', 'b'])).toEqual([
      'no spare vote: one more failure and nothing can be decided: bring w back',
    ]);
    expect(warned(['a'])).toEqual(['nothing can be decided until a majority is back: bring b and w back']);
    expect(warned([])).toEqual(['nothing can be decided until a majority is back: bring a and b and w back']);
  });

  it('are not those of a member that was removed and runs again: it says so', () => {
    expect(warned(['a', 'b', 'w'], undefined, 'v')).toEqual([
      'v, which says all this, is no member of the cluster any more: it was removed: stop holdfast on v; to have it back, move its directory away and let it join with a new token',
    ]);
  });

  it('are missed of those that do not answer, and not of those that only lack the others', () => {
    const voter = { role: 'server', addresses: ['10.77.0.11'], voter: true } as const;
    const fresh = newQuorum('a', false, 1, 0);
    const three = new Map(['a', 'b', 'w'].map((id) => [id, held({ id, ...voter })]));
    const state = { ...fresh, storeAnsweredAt: 900, view: { ...fresh.view, members: three } };
    const cluster = { name: 'acme', externalEtcd: false };
    const votesOf = (runs: readonly string[]) => {
      const store = (id: string): VoterStore => ({ ...noStore, dbBytes: runs.includes(id) ? 1 : null });
      const health = new Map([...three.keys()].map((id) => [id, store(id)]));
      return statusOf(state, cluster, health, 1_000, 0).quorum;
    };
    const healthyOf = (quorum: ReturnType<typeof votesOf>) =>
      Object.entries(quorum?.members ?? {}).flatMap(([id, m]) => (m.healthy ? [id] : []));
    expect(healthyOf(votesOf(['w']))).toEqual(['w']);
    // An election is under way.
    expect(healthyOf(votesOf(['a', 'b', 'w']))).toEqual(['a', 'b', 'w']);
    expect(votesOf(['a', 'b', 'w'])).toMatchObject({ healthy: false, spareVotes: 0 });
  });

  it('are not asked for of members that run, and only lack the others', () => {
    expect(warned([], ['a'])).toEqual([
      'nothing can be decided until a majority is back: bring b and w back',
    ]);
  });
});

describe('the paths of a member', () => {
  const now = 1_000;
  const beat: Heartbeat = {
    ...{ kind: 'heartbeat', sentAt: 1, echo: null, version: '1', leaving: false, addresses: [], groups: [] },
    ...{ vantage: [{ member: 'a', path: 0, ageMs: 5, rttMs: null }], diagnoses: [] },
  };
  const told = (heard: readonly string[]) => {
    const fresh = newQuorum('a', false, 1, 0);
    const vantage = heard.reduce((v, from) => hear(v, from, 0, beat, now), fresh.vantage);
    const view = { ...fresh.view, members: new Map(members.map((m) => [m.id, held(m)])) };
    const cluster = { name: 'acme', externalEtcd: false };
    const { servers } = statusOf({ ...fresh, view, vantage }, cluster, new Map(), now, 0);
    return Object.entries(servers).map(([id, { paths }]) => `${id} ${paths[0]?.state ?? ''}`);
  };

  it('are up where another member hears it there', () => {
    expect(told(['a', 'b'])).toEqual(['a up', 'b up']);
  });

  it('are unknown, and no broken cable, where nobody else is there to hear it', () => {
    expect(told(['a'])).toEqual(['a unknown', 'b down']);
  });
});

describe('a member that can not answer yet', () => {
  const ports = { grpc: 1, heartbeat: 2, mirror: 3, metrics: 4, etcdClient: 5, etcdPeer: 6 };
  const told = (voter: boolean) =>
    notReady({ id: 'a', members: [{ id: 'a', role: 'server', addresses: ['10.77.0.11'], ports, voter }] });

  it('is not told to have no vote while it starts', () => {
    const error = (message: string) => ({ kind: 'error', error: { kind: 'unreachable', message } });
    expect(told(true)).toEqual(error('a has not begun yet: ask again in some seconds, or another member'));
    expect(told(false)).toEqual(error('a does not vote yet: ask another member'));
  });
});
