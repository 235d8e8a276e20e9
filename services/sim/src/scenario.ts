/** A cluster drawn from the seed: its members, its groups, and how rough the run will be. As a person would write it. */

import { parseConfig, type ClusterConfig, type Member } from '@holdfast/core';
import type { Random } from './random.ts';

export interface Scenario {
  readonly members: readonly Member[];
  /** What cluster.yaml would say. */
  readonly raw: RawConfig;
  readonly config: ClusterConfig;
}

export interface RawGroup {
  servers: string[];
  outage: string;
  takeover?: string;
  failback?: string;
  onControlLoss?: string;
  failoversPerHour?: number;
  identity: { mode: string; addresses?: string[]; hostname?: string };
  resources?: object[];
  hooks?: Record<string, string[][]>;
  mirrors?: Record<string, object>;
  gate?: { maxLag?: string; maxBytes?: string; onStale: string };
}

export interface RawConfig {
  groups: Record<string, RawGroup>;
  servers?: Record<string, object>;
}

export function member(id: string, index: number, role: 'server' | 'witness', voter: boolean): Member {
  return { id, role, addresses: [`10.77.0.${String(11 + index)}`, `10.78.0.${String(11 + index)}`], voter };
}

export const twoServersAndWitness: readonly Member[] = [
  member('a', 0, 'server', true),
  member('b', 1, 'server', true),
  member('w', 2, 'witness', true),
];

export const withThirdServer: readonly Member[] = [...twoServersAndWitness, member('c', 3, 'server', false)];

export function resource(name: string, everyS: number): object {
  return {
    name,
    command: { start: ['/bin/app', 'start'], stop: ['/bin/app', 'stop'], status: ['/bin/app', 'status'] },
    monitor: { every: `${String(everyS)}s`, timeout: '2s', restarts: 2 },
    startTimeout: '4s',
    stopTimeout: '3s',
  };
}

/** Throws when it is not accepted: the scenario itself would be wrong. */
export function parsed(raw: RawConfig, members: readonly Member[]): ClusterConfig {
  const result = parseConfig(raw, 'cluster.yaml', members);
  if (result.kind === 'ok') return result.config;
  throw new Error(result.errors.join('\n'));
}

/** Two of three have the default; a short outage costs five times the events. */
const outagesS = [3, 4, 6, 10, 15, 20, ...Array.from({ length: 12 }, () => 35)];

export function drawScenario(random: Random): Scenario {
  const members = random.chance(0.25) ? withThirdServer : twoServersAndWitness;
  const count = random.pick([1, 1, 1, 2, 2, 3]);
  const outage = random.pick(outagesS);
  const groups: Record<string, RawGroup> = {};
  for (let i = 0; i < count; i += 1) groups[`g${String(i + 1)}`] = drawGroup(random, i, members, outage);
  const raw: RawConfig = { groups };
  if (random.chance(0.15)) {
    const command = ['/sbin/fence-agent', 'off'];
    raw.servers = { a: { fence: { command } }, b: { fence: { command } } };
  }
  return { members, raw, config: parsed(raw, members) };
}

function drawGroup(random: Random, index: number, members: readonly Member[], outageS: number): RawGroup {
  const pair = index === 1 ? ['b', 'a'] : ['a', 'b'];
  const servers = members.length > 3 && random.chance(0.6) ? [...pair, 'c'] : pair;
  const replace = index === 0 && servers.length === 2 && random.chance(0.25);
  const group: RawGroup = {
    servers,
    outage: `${String(random.chance(0.8) ? outageS : random.pick(outagesS))}s`,
    takeover: random.pick([
      'automatic',
      'automatic',
      'automatic',
      'automatic',
      'automatic',
      'manual',
      'observe',
    ]),
    failback: random.chance(0.2) ? 'automatic' : 'manual',
    onControlLoss: random.pick(['failsafe', 'failsafe', 'failsafe', 'failsafe', 'fence', 'freeze']),
    failoversPerHour: random.pick([1, 3, 3, 10]),
    identity: replace
      ? { mode: 'replace' }
      : { mode: 'add', addresses: [`10.77.0.${String(100 + index)}/24`] },
  };
  if (random.chance(0.3)) group.identity.hostname = `svc${String(index)}`;
  if (random.chance(0.6)) group.resources = [resource('app', random.pick([2, 5, 10]))];
  if (group.resources !== undefined && random.chance(0.3)) group.resources.push(resource('web', 5));
  if (random.chance(0.25)) {
    group.hooks = {};
    for (const point of ['beforeTakeover', 'afterTakeover', 'beforeRelease', 'afterRelease']) {
      if (random.chance(0.5)) group.hooks[point] = [['/usr/local/bin/hook', point]];
    }
  }
  // Not drawn, so that a seed's cluster is what it was without mirrors.
  const gate = gates[(outageS + index) % gates.length];
  // Nothing but an address: a planned move of it is handed over (docs/adr/0023).
  const { resources, hooks, identity } = group;
  if (resources === undefined && hooks === undefined && identity.hostname === undefined && !replace)
    return group;
  return { ...group, mirrors: mirrorsOf(index), ...(gate === undefined ? {} : { gate }) };
}

const gates = [
  undefined,
  { maxLag: '30s', onStale: 'wait' },
  { maxLag: '5s', maxBytes: '1MiB', onStale: 'takeover' },
  { maxLag: '10s', onStale: 'ask' },
];

/** The one mirror of a group. */
export function mirrorsOf(index: number): Record<string, object> {
  return { data: { files: { root: `/srv/g${String(index)}` } } };
}
