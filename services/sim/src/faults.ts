/** Faults drawn from the seed, one after the other and on top of each other, each taken back after a while. */

import type { MaintenanceRecord } from '@holdfast/core';
import type { Cluster } from './cluster.ts';
import { processNames, type Host } from './host.ts';
import { paths, type Traffic } from './network.ts';
import { People } from './people.ts';
import { Random } from './random.ts';
import type { Scenario } from './scenario.ts';

type Fault = (f: Faults, forMs: number) => void;

const all: readonly Traffic[] = ['udp', 'tcp'];

/** Each with its weight. */
const kinds: readonly (readonly [number, Fault])[] = [
  [6, (f) => f.host().kill(f.random.pick(processNames))],
  [3, (f, ms) => f.freezeProcess(ms)],
  [3, (f, ms) => f.freezeHost(ms)],
  [4, (f, ms) => f.powerLoss([f.host()], ms)],
  [
    1,
    (f, ms) =>
      f.powerLoss(
        f.cluster.hosts.filter((h) => h.machine.role === 'server'),
        ms,
      ),
  ],
  [1, (f, ms) => f.powerLoss(f.cluster.hosts, ms)],
  [3, (f, ms) => f.everythingKilled(ms)],
  [2, (f, ms) => f.sigterm(ms)],
  [5, (f, ms) => f.isolate(f.host(), all, 'both', ms)],
  [3, (f, ms) => f.isolate(f.host(), all, f.random.pick(['in', 'out']), ms)],
  [3, (f, ms) => f.isolate(f.host(), ['udp'], 'both', ms)],
  [4, (f, ms) => f.deafThenCut(ms)],
  [3, (f, ms) => f.controlPlaneCut(ms)],
  [3, (f, ms) => f.onePath(ms)],
  [3, (f, ms) => f.cutPair(ms)],
  [4, (f, ms) => f.lossy(ms)],
  [2, (f) => f.flap()],
  [2, (f) => f.wallJump()],
  [3, (f) => f.cluster.etcd.loseLeader()],
  [3, (f, ms) => f.etcdStall(ms)],
  [4, (f, ms) => f.etcdLies(ms)],
  [1, (f, ms) => f.etcdGone(ms)],
  [4, (f, ms) => f.badCommands(ms)],
  [4, (f) => f.breakResource()],
  [2, (f, ms) => f.fullDisk(ms)],
  [9, (f) => f.people.operator()],
  [2, (f, ms) => f.maintenance(ms)],
  [3, (f) => f.people.reconfigure()],
];
const weight = kinds.reduce((sum, [w]) => sum + w, 0);

const calm: MaintenanceRecord = { cluster: null, servers: {}, groups: {} };

export class Faults {
  readonly cluster: Cluster;
  readonly random: Random;
  readonly people: People;
  private readonly undo = new Set<() => void>();
  private active = true;

  constructor(cluster: Cluster, scenario: Scenario, seed: number) {
    this.cluster = cluster;
    this.random = new Random(seed, 2);
    this.people = new People(cluster, scenario, this.random);
    const { sim } = cluster;
    let disturbedAt = -Infinity;
    cluster.audit.disturbedAt = () => {
      if (this.undo.size > 0) disturbedAt = sim.now;
      return disturbedAt;
    };
  }

  /** From now on until `stop`, one every so often. */
  run(meanMs: number): void {
    const next = () => {
      if (!this.active) return;
      this.one();
      this.cluster.sim.after(this.random.exponential(meanMs), next);
    };
    this.cluster.sim.after(this.random.exponential(meanMs), next);
  }

  /** Every fault is taken back, every host is on, and nothing new happens. */
  stop(): void {
    this.active = false;
    this.cluster.sim.log('faults', 'stop; everything heals');
    for (const undo of [...this.undo]) undo();
    this.cluster.network.clear();
    Object.assign(this.cluster.etcd.faults, { answerLost: 0, late: 0, lateMs: 0, watchLost: 0 });
    for (const host of this.cluster.hosts) {
      host.commands.heal();
      if (!host.machine.up) host.powerOn();
      else if (!host.supervised) host.startAll(this.random.between(100, 2_000));
      for (const r of host.machine.resources.values()) r.broken = false;
    }
  }

  private one(): void {
    let left = this.random.next() * weight;
    const forMs = this.random.chance(0.3) ? this.random.between(200, 6_000) : this.random.exponential(35_000);
    for (const [w, fault] of kinds) {
      left -= w;
      if (left >= 0) continue;
      fault(this, forMs);
      return;
    }
  }

  host(): Host {
    return this.random.pick(this.cluster.hosts);
  }

  private server(): Host {
    return this.random.pick(this.cluster.hosts.filter((h) => h.machine.role === 'server'));
  }

  /** Does it, and takes it back later or when everything heals. */
  private temporarily(what: string, forMs: number, start: () => void, end: () => void): void {
    const { sim } = this.cluster;
    sim.log('faults', `${what} for ${(forMs / 1_000).toFixed(1)} s`);
    start();
    const undo = () => {
      if (!this.undo.delete(undo)) return;
      sim.log('faults', `over: ${what}`);
      end();
    };
    this.undo.add(undo);
    sim.after(forMs, undo);
  }

  freezeProcess(forMs: number): void {
    const host = this.host();
    const name = this.random.pick(['agent', 'agent', 'quorum', 'etcd'] as const);
    this.temporarily(
      `${name} of ${host.id} frozen`,
      forMs,
      () => host.freezeProcess(name),
      () => host.thawProcess(name),
    );
  }

  freezeHost(forMs: number): void {
    const host = this.host();
    this.temporarily(
      `${host.id} frozen`,
      forMs,
      () => host.freeze(),
      () => host.thaw(),
    );
  }

  powerLoss(hosts: readonly Host[], forMs: number): void {
    for (const host of hosts) {
      const ms = forMs + this.random.between(0, 10_000);
      this.temporarily(
        `${host.id} without power`,
        ms,
        () => host.powerOff(),
        () => host.powerOn(),
      );
    }
  }

  everythingKilled(forMs: number): void {
    const host = this.host();
    this.temporarily(
      `everything of ours killed on ${host.id}`,
      forMs,
      () => host.killEverything(),
      () => this.startAgain(host),
    );
  }

  sigterm(forMs: number): void {
    const host = this.host();
    this.temporarily(
      `${host.id} shut down in order`,
      forMs,
      () => host.release('the operator stops holdfast'),
      () => this.startAgain(host),
    );
  }

  private startAgain(host: Host): void {
    if (!host.machine.up || host.supervised) return;
    host.killEverything();
    host.startAll(this.random.between(50, 1_500));
  }

  isolate(host: Host, traffic: readonly Traffic[], direction: 'in' | 'out' | 'both', forMs: number): void {
    const what = `${host.id} cut off (${traffic.join('+')}, ${direction})`;
    const set = (by: 1 | -1) => {
      for (const other of this.cluster.hosts) {
        if (other === host) continue;
        for (let path = 0; path < paths; path += 1) {
          if (direction !== 'in') this.cluster.network.block(host.machine, other.machine, path, traffic, by);
          if (direction !== 'out') this.cluster.network.block(other.machine, host.machine, path, traffic, by);
        }
      }
    };
    this.temporarily(
      what,
      forMs,
      () => set(1),
      () => set(-1),
    );
  }

  /** First only its datagrams get lost, and for long: it renews, and nobody hears it. Then it is cut off altogether. */
  deafThenCut(forMs: number): void {
    const host = this.server();
    const firstMs = this.random.between(5_000, 60_000);
    this.isolate(host, ['udp'], 'both', firstMs + forMs);
    this.cluster.sim.after(firstMs, () => {
      if (!this.active) return;
      if (this.random.chance(0.5)) this.isolate(host, ['tcp'], 'both', forMs);
      else
        this.temporarily(
          `${host.id} frozen`,
          forMs,
          () => host.freeze(),
          () => host.thaw(),
        );
    });
  }

  /** The server hears everybody and reaches no quorum service: it lives on promises, while a person may lose patience. */
  controlPlaneCut(forMs: number): void {
    const host = this.server();
    this.isolate(host, ['tcp'], 'both', forMs);
    if (this.random.chance(0.3)) this.isolate(host, ['udp'], 'both', forMs);
    host.kill('quorum', false);
    for (const wait of [0.3, 0.5, 0.7, 0.9]) {
      const at = forMs * wait;
      if (this.random.chance(0.6)) this.cluster.sim.after(at, () => this.forced());
    }
    this.cluster.sim.after(forMs, () => host.startAll(100));
  }

  private forced(): void {
    if (this.active) this.people.force();
  }

  onePath(forMs: number): void {
    const host = this.host();
    const path = this.random.below(paths);
    const set = (by: 1 | -1) => {
      for (const other of this.cluster.hosts) {
        if (other === host) continue;
        this.cluster.network.block(host.machine, other.machine, path, all, by);
        this.cluster.network.block(other.machine, host.machine, path, all, by);
      }
    };
    this.temporarily(
      `path ${String(path)} of ${host.id} dead`,
      forMs,
      () => set(1),
      () => set(-1),
    );
  }

  cutPair(forMs: number): void {
    const [x, y] = this.random.shuffled(this.cluster.hosts);
    if (x === undefined || y === undefined) return;
    const oneWay = this.random.chance(0.4);
    const one = this.random.chance(0.4) ? this.random.below(paths) : null;
    const set = (by: 1 | -1) => {
      for (let path = 0; path < paths; path += 1) {
        if (one !== null && path !== one) continue;
        this.cluster.network.block(x.machine, y.machine, path, all, by);
        if (!oneWay) this.cluster.network.block(y.machine, x.machine, path, all, by);
      }
    };
    const what = `link ${x.id}${oneWay ? '->' : '-'}${y.id} cut${one === null ? '' : ` on path ${String(one)}`}`;
    this.temporarily(
      what,
      forMs,
      () => set(1),
      () => set(-1),
    );
  }

  lossy(forMs: number): void {
    const { network, hosts } = this.cluster;
    const loss = this.random.pick([0.05, 0.2, 0.5, 0.8]);
    const extraMs = this.random.pick([0, 5, 100, 1_000]);
    const only = this.random.chance(0.5) ? null : this.host();
    const set = (on: boolean) => {
      for (const x of hosts) {
        for (const y of hosts) {
          if (x === y || (only !== null && x !== only && y !== only)) continue;
          for (let path = 0; path < paths; path += 1) {
            const line = network.line(x.machine, y.machine, path);
            Object.assign(line, on ? { loss, doubled: 0.1, extraMs } : { loss: 0, doubled: 0, extraMs: 0 });
          }
        }
      }
    };
    const what = `${only?.id ?? 'every line'} loses ${String(loss * 100)} %, ${String(extraMs)} ms slower`;
    this.temporarily(
      what,
      forMs,
      () => set(true),
      () => set(false),
    );
  }

  flap(): void {
    const host = this.host();
    const everyMs = this.random.pick([300, 2_000, 5_000]);
    for (let i = 0; i < 10; i += 1) {
      this.cluster.sim.after(i * 2 * everyMs, () => {
        if (this.active) this.isolate(host, all, 'both', everyMs);
      });
    }
  }

  wallJump(): void {
    const host = this.host();
    const by = this.random.pick([-3_600_000, -60_000, 90_000, 3_600_000, 7_300_000]);
    this.cluster.sim.log('faults', `the wall clock of ${host.id} jumps by ${String(by / 1_000)} s`);
    host.machine.wallOffset += by;
  }

  etcdStall(forMs: number): void {
    const member = this.random.pick(this.cluster.etcd.members);
    const ms = Math.min(forMs, 12_000);
    this.cluster.sim.log(
      'faults',
      `the disk of etcd on ${member.machine.id} stalls for ${(ms / 1_000).toFixed(1)} s`,
    );
    member.stalledUntil = this.cluster.sim.now + ms;
  }

  etcdLies(forMs: number): void {
    const { faults } = this.cluster.etcd;
    const set = {
      answerLost: this.random.pick([0, 0.1, 0.4]),
      late: this.random.pick([0, 0.1, 0.4]),
      lateMs: this.random.pick([1_000, 4_000, 15_000]),
      watchLost: this.random.pick([0, 0.3, 1]),
    };
    this.temporarily(
      `etcd: ${JSON.stringify(set)}`,
      forMs,
      () => Object.assign(faults, set),
      () => Object.assign(faults, { answerLost: 0, late: 0, lateMs: 0, watchLost: 0 }),
    );
  }

  etcdGone(forMs: number): void {
    const freeze = this.random.chance(0.5);
    this.temporarily(
      `all of etcd ${freeze ? 'frozen' : 'stopped'}`,
      forMs,
      () => {
        for (const m of this.cluster.etcd.members)
          if (freeze) m.frozen = true;
          else m.alive = false;
      },
      () => {
        for (const h of this.cluster.hosts) {
          if (h.etcd === null || !h.machine.up || !h.supervised) continue;
          Object.assign(h.etcd, { alive: true, frozen: false });
        }
      },
    );
  }

  fullDisk(forMs: number): void {
    const { id, machine } = this.server();
    this.temporarily(
      `the data disk of ${id} is full`,
      forMs,
      () => {
        machine.diskFull = true;
      },
      () => {
        machine.diskFull = false;
      },
    );
  }

  badCommands(forMs: number): void {
    const host = this.server();
    const set = {
      fails: this.random.pick([0, 0.2, 0.6]),
      hangs: this.random.pick([0, 0.1, 0.5]),
      slowMs: this.random.pick([300, 2_000, 8_000]),
    };
    this.temporarily(
      `commands on ${host.id}: ${JSON.stringify(set)}`,
      forMs,
      () => Object.assign(host.commands.behaviour, set),
      () => host.commands.heal(),
    );
  }

  breakResource(): void {
    const { sim } = this.cluster;
    for (const host of this.random.shuffled(this.cluster.hosts)) {
      if (!host.machine.runs) continue;
      for (const [key, running] of host.machine.resources) {
        sim.log('faults', `${key} on ${host.id} fails`);
        if (this.random.chance(0.5)) running.broken = true;
        else host.machine.stopByKey(key);
        return;
      }
    }
  }

  maintenance(forMs: number): void {
    const group = this.people.group();
    const what = this.random.pick(['cluster', 'group', 'server'] as const);
    const record: MaintenanceRecord =
      what === 'cluster'
        ? { ...calm, cluster: 'works' }
        : what === 'group' && group !== null
          ? { ...calm, groups: { [group]: '' } }
          : { ...calm, servers: { [this.server().id]: 'disk swap' } };
    this.temporarily(
      `maintenance of ${what}`,
      forMs,
      () => this.cluster.maintain(record),
      () => this.cluster.maintain(calm),
    );
  }
}
