/** What `check` finds: what would make a takeover fail tonight, and what somebody wanted so. */
import {
  keys,
  newQuorum,
  parseConfig,
  type GroupRecord,
  type MaintenanceRecord,
  type MirrorCopy,
  type QuorumState,
  type RenewalRecord,
  type Txn,
} from '@holdfast/core';
import { report } from '../src/agent-calls.ts';
import { check } from '../src/check.ts';
import type { Store } from '../src/store.ts';
import type { VoterStore } from '../src/voter-health.ts';

const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const record: GroupRecord = {
  ...{ group: 'd3', ownership: { kind: 'owned', owner: 'a', epoch: 4n }, operation: null, ownerBoot: 'a1' },
  ...{ failovers: [], reason: 'a takes d3 up', since: 0, takeoverMs: [] },
};
const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });
const nobody: MaintenanceRecord = { cluster: null, servers: {}, groups: {} };

interface Told {
  readonly group?: Readonly<Record<string, unknown>>;
  readonly record?: Partial<GroupRecord>;
  readonly maintenance?: Partial<MaintenanceRecord>;
  readonly renewals?: readonly RenewalRecord[];
  readonly report?: string;
  readonly reporter?: string;
  readonly stores?: Readonly<Record<string, VoterStore>>;
}

async function checked(told: Told) {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const resources = [{ name: 'app', command: { start: ['/bin/true'], stop: ['/bin/true'] } }];
  const yaml = { groups: { d3: { servers: ['a', 'b'], identity, resources, ...told.group } } };
  const parsed = parseConfig(yaml, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const fresh = newQuorum('a', false, 1, 0);
  const state: QuorumState = {
    ...fresh,
    view: {
      ...fresh.view,
      config: held(parsed.config),
      members: new Map(members.map((m) => [m.id, held(m)])),
      groups: new Map([['d3', held({ ...record, ...told.record })]]),
      maintenance: held({ ...nobody, ...told.maintenance }),
      renewals: new Map((told.renewals ?? []).map((r) => [r.server, held(r)])),
    },
  };
  const { reporter = 'b' } = told;
  const rows =
    told.report === undefined
      ? []
      : [{ key: keys.problemsOf(reporter), value: told.report, modRevision: 3n }];
  const storeNow = { read: () => Promise.resolve({ kind: 'read' as const, revision: 9n, rows }) };
  const health = new Map(Object.entries(told.stores ?? {}));
  return check({ state, storeNow }, { name: 'acme', externalEtcd: false }, '', health, 1_000);
}

const named = (list: readonly { name: string; says: string; fix: string }[], name: string) =>
  list.filter((p) => p.name === name).map(({ says, fix }) => ({ says, fix }));

describe('check', () => {
  it('tells of maintenance and of a group that is only observed, as warnings', async () => {
    const fine = await checked({});
    expect(fine.warnings).toEqual([]);
    const cluster = await checked({ maintenance: { cluster: 'new switch' } });
    expect(named(cluster.warnings, 'maintenance')).toEqual([
      {
        says: 'd3: the cluster is in maintenance (new switch); nothing is taken over',
        fix: 'holdfast maintenance off',
      },
    ]);
    const group = await checked({ maintenance: { groups: { d3: '' } } });
    expect(named(group.warnings, 'maintenance')[0]?.fix).toBe('holdfast maintenance off --group d3');
    const observed = await checked({ group: { takeover: 'observe' } });
    expect(named(observed.warnings, 'observe')).toHaveLength(1);
    expect(observed.problems).toEqual(fine.problems);
  });

  it('tells that a standby is in maintenance, and how to end it', async () => {
    const renewals = ['a', 'b'].map((server): RenewalRecord => ({
      ...{ server, incarnation: 1, counter: 1, bootId: `${server}1`, bootRevision: 1n, version: '1' },
      ...{ leaving: false, waits: {}, groups: [] },
    }));
    const { problems } = await checked({ maintenance: { servers: { b: '' } }, renewals });
    expect(named(problems, 'standby')).toEqual([
      { says: 'd3: b is in maintenance', fix: 'holdfast maintenance off --server b' },
    ]);
  });

  it('tells that the failovers of this hour are used up', async () => {
    expect(named((await checked({ record: { failovers: [0, 0] } })).problems, 'failovers')).toEqual([]);
    const { problems } = await checked({ record: { failovers: [0, 0, 0] } });
    expect(named(problems, 'failovers')[0]?.says).toContain('d3 is held after 3 failovers within an hour');
  });

  it('tells that a failback waits for a person', async () => {
    const failbackWaits = { server: 'a', why: 'resource app failed' };
    const { warnings } = await checked({ group: { failback: 'automatic' }, record: { failbackWaits } });
    expect(named(warnings, 'failback')[0]?.says).toContain('resource app failed');
  });

  it('proposes for each weakness of the cluster what helps against that one', async () => {
    const { problems } = await checked({});
    expect(named(problems, 'quorum')).toEqual([
      {
        says: '2 votes only: no automatic failover is safe; add a witness',
        fix: 'let a witness or a third server join: holdfast token --role witness',
      },
    ]);
  });

  it('tells of a database of etcd that is nearly full, and how to get out when it is', async () => {
    const MiB = 1_024 * 1_024;
    const store = (dbMiB: number, ...alarms: readonly string[]): VoterStore => ({
      ...{ isWell: true, dbBytes: dbMiB * MiB, alarms },
    });
    const stores = async (a: VoterStore, b: VoterStore) =>
      named((await checked({ stores: { a, b } })).problems, 'store');
    expect(await stores(store(20), store(250))).toEqual([]);
    expect(await stores(store(20), store(300))).toEqual([
      {
        says: 'the database of etcd on b takes 300 of 512 MiB: when it is full, nothing can be decided',
        fix: 'on b: etcdctl defrag (docs/operations.md, "A full etcd")',
      },
    ]);
    // Both tell of the alarm of one.
    expect(await stores(store(512, 'NOSPACE'), store(500, 'NOSPACE'))).toEqual([
      {
        says: 'the database of etcd is full: nothing can be decided, and no server renews',
        fix:
          'on each member that votes: etcdctl defrag; then once: etcdctl alarm disarm ' +
          '(docs/operations.md, "A full etcd")',
      },
    ]);
  });

  it('tells how to choose between two sides that were written, and otherwise to make room', async () => {
    const group = { mirrors: { disk: { volume: { path: '/srv/disk', size: '1GiB' } } } };
    const fixOf = async (choice: { readonly choice?: true }): Promise<string | undefined> => {
      const copy: MirrorCopy = {
        ...{ mirror: 'd3/disk', epoch: 4n, sequence: 5, consistent: true, state: 'diverged' },
        ...{ lossMs: null, lossBytes: null, wordAgeMs: null, says: 'b wrote what nobody has', ...choice },
      };
      const b: RenewalRecord = {
        ...{ server: 'b', incarnation: 1, counter: 1, bootId: 'b1', bootRevision: 1n, version: '1' },
        ...{ leaving: false, waits: {}, groups: [], mirrors: [copy] },
      };
      const { problems } = await checked({ group, renewals: [b] });
      return problems.find(({ name, server }) => name === 'mirror' && server === 'b')?.fix;
    };
    expect(await fixOf({ choice: true })).toBe(
      'choose the side that survives: holdfast mirror resync d3/disk --target b (that of a), or ' +
        'holdfast failover d3 --to b --force (that of b)',
    );
    expect(await fixOf({})).toContain('make room on b');
  });

  it('does not go on telling what a member reported that was removed', async () => {
    const problem = { name: 'disk', server: 'x', says: 'it is gone', fix: 'nothing' };
    const { problems } = await checked({ report: JSON.stringify([problem]), reporter: 'x' });
    expect(named(problems, 'disk')).toEqual([]);
  });

  it.each(['{', '{"name":1}'])('survives a report that is %s', async (report) => {
    const { problems } = await checked({ report });
    expect(named(problems, 'report')).toEqual([
      { says: "what b reported can't be read", fix: 'restart holdfast on b: it reports anew' },
    ]);
  });
});

describe('a report', () => {
  it('is taken of members only, as long as they are', async () => {
    const fresh = newQuorum('a', false, 1, 0);
    const known = new Map(members.map((m) => [m.id, { ...held(m), modRevision: 7n }]));
    const state: QuorumState = { ...fresh, view: { ...fresh.view, members: known } };
    const asked: Txn[] = [];
    const txn = (wanted: Txn) => {
      asked.push(wanted);
      return Promise.resolve({ kind: 'compare-failed' as const, revision: 9n, rows: [] });
    };
    const service = { state, storeNow: { txn } as unknown as Store };
    const told = async (server: string) => {
      const answer = await report(service, { server, problems: [] });
      return answer.kind === 'error' ? answer.error.message : 'taken';
    };
    expect(await told('x')).toBe('x is no member of this cluster, or was removed from it');
    expect(asked).toEqual([]);
    expect(await told('b')).toBe('the record of b changed just now');
    expect(asked[0]?.compares).toEqual([{ kind: 'mod-revision', key: keys.member('b'), revision: 7n }]);
  });
});
