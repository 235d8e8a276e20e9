/** What a story may do, in words. */

import type { GroupConfig } from '@holdfast/core';
import type { Cluster } from '../cluster.ts';
import type { Host, ProcessName } from '../host.ts';
import { parsed, twoServersAndWitness } from '../scenario.ts';
import type { Traffic } from '../network.ts';

type Do = (cluster: Cluster, words: readonly string[]) => void;

const address = '10.77.0.100/24';
const all: readonly Traffic[] = ['udp', 'tcp'];

function block(cluster: Cluster, x: Host, y: Host, paths: readonly number[], by: 1 | -1): void {
  for (const path of paths) cluster.network.block(x.machine, y.machine, path, all, by);
}

function others(cluster: Cluster, id: string): readonly Host[] {
  return cluster.hosts.filter((h) => h.id !== id);
}

function cutOff(
  cluster: Cluster,
  id: string,
  by: 1 | -1,
  ways: 'in' | 'out' | 'both',
  paths: readonly number[],
): void {
  const host = cluster.host(id);
  for (const other of others(cluster, id)) {
    if (ways !== 'in') block(cluster, host, other, paths, by);
    if (ways !== 'out') block(cluster, other, host, paths, by);
  }
}

/** Nobody hears it, and it goes on renewing. */
function unheard(cluster: Cluster, id: string, by: 1 | -1): void {
  const host = cluster.host(id);
  for (const other of others(cluster, id))
    for (const path of [0, 1]) cluster.network.block(host.machine, other.machine, path, ['udp'], by);
}

/** It is heard, and nobody speaks with it. */
function unreachable(cluster: Cluster, id: string): void {
  const { machine } = cluster.host(id);
  for (const other of others(cluster, id))
    for (const path of [0, 1]) {
      cluster.network.block(machine, other.machine, path, ['tcp'], 1);
      cluster.network.block(other.machine, machine, path, ['tcp'], 1);
    }
}

function pair(cluster: Cluster, x: string, y: string, by: 1 | -1): void {
  block(cluster, cluster.host(x), cluster.host(y), [0, 1], by);
  block(cluster, cluster.host(y), cluster.host(x), [0, 1], by);
}

function etcd(cluster: Cluster, change: { alive?: boolean; frozen?: boolean }): void {
  for (const m of cluster.etcd.members) Object.assign(m, change);
}

const process = (name: string) => name as ProcessName;
const frozenOne = (name: string) => name as Exclude<ProcessName, 'guard'>;

/** The term of the leader that a story ended. */
const ended = new WeakMap<Cluster, number>();

/** Of the leader that the store names and that runs; 0: none. */
function termOf(cluster: Cluster): number {
  return cluster.leader()?.state.view.leader?.value.term ?? 0;
}

export function leadsAnew(cluster: Cluster): boolean {
  return termOf(cluster) > (ended.get(cluster) ?? Infinity);
}

function stranger(cluster: Cluster, id: string, taken: string): void {
  cluster.host(id).machine.addresses.set(taken, { group: 'stranger', epoch: null, goneAt: null });
}

/** Of g1 a person changes only this. */
function applies(cluster: Cluster, change: (now: GroupConfig) => Partial<GroupConfig>): void {
  const now = cluster.config.groups.get('g1');
  if (now === undefined) return;
  const g1 = { ...now, ...change(now) };
  cluster.apply({ ...cluster.config, groups: new Map([['g1', g1]]) });
}

const commands: readonly (readonly [RegExp, Do])[] = [
  [/^time has passed$/, () => undefined],
  [/^power off (\w)$/, (c, [id = '']) => c.host(id).powerOff()],
  [/^power on (\w)$/, (c, [id = '']) => c.host(id).powerOn()],
  [/^kill (agent|quorum|guard|etcd) of (\w)$/, (c, [name = '', id = '']) => c.host(id).kill(process(name))],
  [/^kill the leader$/, (c) => c.host(c.leader()?.machine.id ?? 'w').kill('quorum')],
  [
    /^the leader ends in order$/,
    (c) => {
      ended.set(c, termOf(c));
      c.host(c.leader()?.machine.id ?? 'w').endQuorum();
    },
  ],
  [/^kill everything of (\w)$/, (c, [id = '']) => c.host(id).killEverything()],
  [/^start (\w)$/, (c, [id = '']) => c.host(id).startAll(100)],
  [
    /^freeze (agent|quorum|etcd) of (\w)$/,
    (c, [name = '', id = '']) => c.host(id).freezeProcess(frozenOne(name)),
  ],
  [
    /^thaw (agent|quorum|etcd) of (\w)$/,
    (c, [name = '', id = '']) => c.host(id).thawProcess(frozenOne(name)),
  ],
  [/^freeze (\w)$/, (c, [id = '']) => c.host(id).freeze()],
  [/^thaw (\w)$/, (c, [id = '']) => c.host(id).thaw()],
  [/^cut (\w)-(\w)$/, (c, [x = '', y = '']) => pair(c, x, y, 1)],
  [/^heal (\w)-(\w)$/, (c, [x = '', y = '']) => pair(c, x, y, -1)],
  [/^cut off (\w)$/, (c, [id = '']) => cutOff(c, id, 1, 'both', [0, 1])],
  [/^join (\w)$/, (c, [id = '']) => cutOff(c, id, -1, 'both', [0, 1])],
  [/^deafen (\w)$/, (c, [id = '']) => cutOff(c, id, 1, 'in', [0, 1])],
  [/^mute (\w)$/, (c, [id = '']) => cutOff(c, id, 1, 'out', [0, 1])],
  [/^datagrams of (\w) are lost$/, (c, [id = '']) => unheard(c, id, 1)],
  [/^datagrams of (\w) arrive$/, (c, [id = '']) => unheard(c, id, -1)],
  [/^connections of (\w) are lost$/, (c, [id = '']) => unreachable(c, id)],
  [
    /^what is left on (\w) can (not )?be cleared$/,
    (c, [id = '', not]) => {
      c.host(id).machine.leftoversStay = not !== undefined;
    },
  ],
  [/^path (\d) of (\w) dies$/, (c, [path = '0', id = '']) => cutOff(c, id, 1, 'both', [Number(path)])],
  [/^path (\d) of (\w) heals$/, (c, [path = '0', id = '']) => cutOff(c, id, -1, 'both', [Number(path)])],
  [
    /^flap (\w) (\d+) times$/,
    (c, [id = '', times = '0']) => {
      for (let i = 0; i < Number(times); i += 1) {
        c.sim.after(i * 10_000, () => cutOff(c, id, 1, 'both', [0, 1]));
        c.sim.after(i * 10_000 + 5_000, () => cutOff(c, id, -1, 'both', [0, 1]));
      }
    },
  ],
  [
    /^the wall clock of (\w) jumps (-?\d+)s$/,
    (c, [id = '', seconds = '0']) => {
      c.host(id).machine.wallOffset += Number(seconds) * 1_000;
    },
  ],
  [
    /^the clock of (\w) runs (\d+)% (slow|fast)$/,
    (c, [id = '', percent = '0', how = '']) => {
      c.host(id).machine.givenRate = 1 + (how === 'slow' ? -1 : 1) * (Number(percent) / 100);
    },
  ],
  [/^stop all etcd$/, (c) => etcd(c, { alive: false })],
  [/^start all etcd$/, (c) => etcd(c, { alive: true })],
  [/^etcd loses its leader$/, (c) => c.etcd.loseLeader()],
  [
    /^the disks of etcd stall (\d+)s$/,
    (c, [seconds = '0']) => {
      for (const m of c.etcd.members) m.stalledUntil = c.sim.now + Number(seconds) * 1_000;
    },
  ],
  [
    /^app fails on (\w)$/,
    (c, [id = '']) => {
      const app = c.host(id).machine.resources.get('g1/app');
      if (app !== undefined) app.broken = true;
    },
  ],
  [
    /^app fails on (\w) again and again$/,
    (c, [id = '']) => {
      const look = () => {
        const app = c.host(id).machine.resources.get('g1/app');
        if (app !== undefined) app.broken = true;
        c.sim.after(100, look);
      };
      look();
    },
  ],
  [
    /^commands on (\w) (fail|hang)$/,
    (c, [id = '', how = '']) => {
      Object.assign(c.host(id).commands.behaviour, how === 'fail' ? { fails: 1 } : { hangs: 1 });
    },
  ],
  [
    /^the disk of (\w) fills up$/,
    (c, [id = '']) => {
      c.host(id).machine.diskFull = true;
    },
  ],
  [
    /^the disk of (\w) has room$/,
    (c, [id = '']) => {
      c.host(id).machine.diskFull = false;
    },
  ],
  [/^commands on (\w) are well$/, (c, [id = '']) => c.host(id).commands.heal()],
  [
    /^commands on (\w) take (\d+)s$/,
    (c, [id = '', seconds = '']) => {
      const ms = Number(seconds) * 1_000;
      Object.assign(c.host(id).commands.behaviour, { leastMs: ms, slowMs: ms + 1 });
    },
  ],
  [/^a stranger takes the address on (\w)$/, (c, [id = '']) => stranger(c, id, address)],
  [/^a stranger takes (10\.[\d./]+) on (\w)$/, (c, [taken = '', id = '']) => stranger(c, id, taken)],
  [
    /^the stranger leaves (\w)$/,
    (c, [id = '']) => {
      const { machine } = c.host(id);
      for (const [taken, { group }] of [...machine.addresses])
        if (group === 'stranger') machine.dropAddress(taken);
    },
  ],
  [
    /^(\w+) asks for a switchover$/,
    (c, [by = '']) => c.command({ kind: 'switchover', group: 'g1', to: null }, by),
  ],
  [
    /^(\w+) asks for a failback$/,
    (c, [by = '']) => c.command({ kind: 'failback', group: 'g1', to: null }, by),
  ],
  [
    /^(\w+) (asks for|forces) a failover to (\w)$/,
    (c, [by = '', how = '', to = '']) =>
      c.command({ kind: 'failover', group: 'g1', to, force: how === 'forces' }, by),
  ],
  [
    /^(\w+) approves$/,
    (c, [by = '']) => {
      const id = c.records.recordOf('g1')?.operation?.id ?? '';
      c.command({ kind: 'approve', operation: id }, by);
    },
  ],
  [
    /^(\w+) denies$/,
    (c, [by = '']) => {
      const id = c.records.recordOf('g1')?.operation?.id ?? '';
      c.command({ kind: 'deny', operation: id }, by);
    },
  ],
  [
    /^takeover becomes (manual|automatic|observe)$/,
    (c, [word = '']) => {
      const now = c.config.groups.get('g1');
      const takeover = word as GroupConfig['takeover'];
      if (now !== undefined) c.apply({ ...c.config, groups: new Map([['g1', { ...now, takeover }]]) });
    },
  ],
  [/^maintenance$/, (c) => c.maintain({ cluster: 'works', servers: {}, groups: {} })],
  [/^maintenance ends$/, (c) => c.maintain({ cluster: null, servers: {}, groups: {} })],
  [/^(\w) is shut down in order$/, (c, [id = '']) => c.host(id).release('the operator stops holdfast')],
  [
    /^g1 gets an address of its own$/,
    (c) => {
      const identity = { mode: 'add', addresses: [address] };
      c.apply(
        parsed({ groups: { g1: { servers: ['a', 'b'], outage: '35s', identity } } }, twoServersAndWitness),
      );
    },
  ],
  [
    /^g1 gets (10\.[\d./]+)$/,
    (c, [added = '']) =>
      applies(c, ({ identity }) =>
        identity.mode === 'add'
          ? { identity: { ...identity, addresses: [...identity.addresses, added] } }
          : {},
      ),
  ],
  [
    /^g1 loses (10\.[\d./]+)$/,
    (c, [gone = '']) =>
      applies(c, ({ identity }) =>
        identity.mode === 'add'
          ? { identity: { ...identity, addresses: identity.addresses.filter((a) => a !== gone) } }
          : {},
      ),
  ],
  [
    /^g1 gets the resource (\w+)$/,
    (c, [name = '']) =>
      applies(c, ({ resources: [app, ...others] }) => {
        if (app === undefined) return {};
        const added = { ...app, name, monitor: { ...app.monitor, restarts: 0 } };
        return { resources: [app, ...others, added] };
      }),
  ],
  [
    /^g1 loses the resource (\w+)$/,
    (c, [name = '']) =>
      applies(c, ({ resources }) => ({ resources: resources.filter((r) => r.name !== name) })),
  ],
  [/^c becomes a server of g1$/, (c) => applies(c, () => ({ servers: ['a', 'b', 'c'] }))],
  [/^only c is a server of g1$/, (c) => applies(c, () => ({ servers: ['c'] }))],
  [/^(\w+) removes (\w)$/, (c, [by = '', id = '']) => c.remove(id, by)],
  [
    /^g1 becomes g2 on (\w)$/,
    (c, [first = '']) => {
      const g1 = c.config.groups.get('g1');
      if (g1 === undefined) return;
      const servers = [first, ...g1.servers.filter((id) => id !== first)];
      c.apply({ ...c.config, groups: new Map([['g2', { ...g1, name: 'g2', servers, resources: [] }]]) });
    },
  ],
  [
    /^g1 becomes g2 on (\w), which has g1's unit$/,
    (c, [first = '']) => {
      const g1 = c.config.groups.get('g1');
      if (g1?.identity.mode !== 'add') return;
      const servers = [first, ...g1.servers.filter((id) => id !== first)];
      const identity = { ...g1.identity, addresses: ['10.77.0.101/24'] };
      c.apply({ ...c.config, groups: new Map([['g2', { ...g1, name: 'g2', servers, identity }]]) });
    },
  ],
  [
    /^(\w+) is renamed (\w+)$/,
    (c, [old = '', name = '']) => {
      const group = c.config.groups.get(old);
      if (group !== undefined) c.apply({ ...c.config, groups: new Map([[name, { ...group, name }]]) });
    },
  ],
  [
    /^(\w+) (asks for|forces) the release of (\w+)$/,
    (c, [by = '', how = '', group = '']) =>
      c.command({ kind: 'release', group, force: how === 'forces' }, by),
  ],
  [/^g1 is removed$/, (c) => c.apply({ ...c.config, groups: new Map() })],
  [
    /^the outage becomes (\d+)s$/,
    (c, [seconds = '35']) => {
      const identity = { mode: 'add', addresses: [address] };
      const raw = { groups: { g1: { servers: ['a', 'b'], outage: `${seconds}s`, identity } } };
      const wanted = parsed(raw, twoServersAndWitness).groups.get('g1');
      const now = c.config.groups.get('g1');
      if (wanted === undefined || now === undefined) return;
      c.apply({ ...c.config, groups: new Map([['g1', { ...now, rules: wanted.rules }]]) });
    },
  ],
];

export function command(cluster: Cluster, text: string): void {
  for (const [pattern, does] of commands) {
    const match = pattern.exec(text);
    if (match === null) continue;
    cluster.sim.log('story', text);
    does(cluster, match.slice(1));
    return;
  }
  throw new Error(`a story can't do: ${text}`);
}
