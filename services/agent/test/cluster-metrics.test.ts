/** What Prometheus is told of groups and members, as one server knows them. */
import { noMaintenance, type AgentState, type GroupRecord } from '@holdfast/core';
import { Counter, Gauge, Registry } from 'prom-client';
import { clusterMetrics } from '../src/cluster-metrics.ts';
import type { Host } from '../src/host.ts';
import { register } from '../src/metric.ts';

const record = (group: string, ownership: GroupRecord['ownership']): Partial<GroupRecord> => ({
  group,
  ownership,
});

async function metricsOf(told: Partial<AgentState>, problems: number | null = null): Promise<string[]> {
  const state = {
    ...{ self: 'a', config: null, configRevision: 12n, groups: new Map(), members: new Map() },
    ...{ maintenance: noMaintenance, vantage: { self: 'a', since: 1_000, ears: new Map() } },
    ...told,
  };
  const host = { self: 'a', state: () => state, bootMs: () => 31_500 } as unknown as Host;
  const registry = new Registry();
  register(
    { Counter, Gauge },
    registry,
    clusterMetrics(host, () => problems),
  );
  const text = await registry.metrics();
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('metrics of the cluster', () => {
  it('tell who owns each group, at which epoch, and what becomes of it here', async () => {
    const groups = new Map([
      [
        'd3',
        {
          group: 'd3',
          holding: { kind: 'idle' },
          seen: record('d3', { kind: 'owned', owner: 'b', epoch: 7n }),
        },
      ],
      [
        'web',
        {
          group: 'web',
          holding: { kind: 'fenced' },
          seen: record('web', { kind: 'unowned', epoch: 3n, lastOwner: 'a' }),
        },
      ],
      ['new', { group: 'new', holding: { kind: 'idle' }, seen: null }],
    ]);
    const lines = await metricsOf({ groups } as unknown as Partial<AgentState>);
    expect(lines).toEqual(
      expect.arrayContaining([
        'holdfast_group_owned{group="d3"} 1',
        'holdfast_group_owned{group="web"} 0',
        'holdfast_group_owner{group="d3",owner="b"} 1',
        'holdfast_group_epoch{group="d3"} 7',
        'holdfast_group_held{group="d3",state="idle"} 1',
        'holdfast_group_held{group="web",state="fenced"} 1',
      ]),
    );
    expect(lines.filter((line) => line.includes('owner') && line.includes('web'))).toEqual([]);
    expect(lines.filter((line) => line.includes('owned') && line.includes('new'))).toEqual([]);
  });

  it('tell for how long each member was not heard, on each path that there is', async () => {
    const addresses = (last: number) => [`10.77.0.${last}`, `10.78.0.${last}`];
    const members = new Map(
      ['a', 'b', 'w'].map((id, index) => [
        id,
        { id, role: 'server' as const, addresses: addresses(index), voter: true },
      ]),
    );
    const paths = new Map([[0, { at: 31_000, sentAt: 0, rttMs: null }]]);
    const vantage = { self: 'a', since: 1_000, ears: new Map([['b', { paths }]]) };
    const lines = await metricsOf({ members, vantage } as unknown as Partial<AgentState>);
    expect(lines.filter((line) => line.includes('heard'))).toEqual([
      'holdfast_member_heard_seconds{member="b",path="0"} 0.5',
      'holdfast_member_heard_seconds{member="b",path="1"} 30.5',
      'holdfast_member_heard_seconds{member="w",path="0"} 30.5',
      'holdfast_member_heard_seconds{member="w",path="1"} 30.5',
    ]);
  });

  it('tell of a maintenance that somebody may have forgotten, and of what check found', async () => {
    const maintenance = { cluster: 'new switch', servers: { b: '' }, groups: {} };
    const lines = await metricsOf({ maintenance }, 3);
    expect(lines).toEqual([
      'holdfast_maintenance{kind="cluster",name=""} 1',
      'holdfast_maintenance{kind="server",name="b"} 1',
      'holdfast_check_problems 3',
      'holdfast_config_revision 12',
    ]);
    expect((await metricsOf({})).filter((line) => line.includes('check'))).toEqual([]);
  });
});
