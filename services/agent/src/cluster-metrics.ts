/**
 * What a person wants to be woken for, as this member knows it, for Prometheus: who has which group, who is heard, what
 * `check` found here, what is in maintenance.
 */

import type { AgentState } from '@holdfast/core';
import { fenceMargin } from './health.ts';
import type { Host } from './host.ts';
import { labelled, single, type Metric, type Sample } from './metric.ts';

/** `problems`: how many the preflight found here; null before it looked. */
export function clusterMetrics(host: Host, problems: () => number | null): readonly Metric[] {
  const state = (): AgentState => host.state();
  return [
    labelled('fence_margin_milliseconds', 'time until the group would be fenced', 'group', () =>
      [...state().groups.keys()].flatMap((group) => {
        const left = fenceMargin(state(), group, host.bootMs());
        return left === null ? [] : [[group, left] as const];
      }),
    ),
    {
      name: 'group_held',
      help: '1 for what this server does with the group',
      labels: ['group', 'state'],
      read: () =>
        [...state().groups.values()].map((g): Sample => [{ group: g.group, state: g.holding.kind }, 1]),
    },
    labelled('group_owned', '1: some server owns the group on record; 0: nobody', 'group', () =>
      records(state()).map(({ group, ownership }) => [group, Number(ownership.kind !== 'unowned')]),
    ),
    {
      name: 'group_owner',
      help: '1 for the server that owns the group on record',
      labels: ['group', 'owner'],
      read: () =>
        records(state()).flatMap(({ group, ownership: own }): readonly Sample[] =>
          own.kind === 'unowned' ? [] : [[{ group, owner: own.owner }, 1]],
        ),
    },
    labelled('group_epoch', 'epoch on record: rises with every change of owner', 'group', () =>
      records(state()).map(({ group, ownership }) => [group, Number(ownership.epoch)]),
    ),
    {
      name: 'member_heard_seconds',
      help: 'since the member was heard here on the path, or since this agent began to listen',
      labels: ['member', 'path'],
      read: () => heard(state(), host.bootMs()),
    },
    {
      name: 'maintenance',
      help: '1: somebody put it into maintenance',
      labels: ['kind', 'name'],
      read: () => maintenance(state()),
    },
    single('check_problems', 'problems that this member found on itself', problems),
    single('config_revision', 'revision of the configuration that is known here', () =>
      Number(state().configRevision),
    ),
  ];
}

/** Of the groups of this server, as far as any was seen. */
const records = ({ groups }: AgentState) => [...groups.values()].flatMap((g) => g.seen ?? []);

function heard({ self, members, vantage }: AgentState, now: number): readonly Sample[] {
  const paths = members.get(self)?.addresses.length ?? 0;
  return [...members.values()].flatMap((m) => {
    if (m.id === self) return [];
    const ear = vantage.ears.get(m.id);
    return m.addresses.slice(0, paths).map((_, path): Sample => {
      const at = ear?.paths.get(path)?.at ?? vantage.since;
      return [{ member: m.id, path: String(path) }, Math.round(now - at) / 1_000];
    });
  });
}

function maintenance({ maintenance: m }: AgentState): readonly Sample[] {
  const names: readonly (readonly [string, string])[] = [
    ...(m.cluster === null ? [] : [['cluster', ''] as const]),
    ...Object.keys(m.servers).map((name) => ['server', name] as const),
    ...Object.keys(m.groups).map((name) => ['group', name] as const),
  ];
  return names.map(([kind, name]): Sample => [{ kind, name }, 1]);
}
