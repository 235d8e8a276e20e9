/** What people do to a cluster while it has troubles of its own: commands, and other configurations. */

import type { Cluster } from './cluster.ts';
import type { Random } from './random.ts';
import { parsed, type RawConfig, type Scenario } from './scenario.ts';

export class People {
  private readonly cluster: Cluster;
  private readonly scenario: Scenario;
  private readonly random: Random;
  private readonly raw: RawConfig;

  constructor(cluster: Cluster, scenario: Scenario, random: Random) {
    this.cluster = cluster;
    this.scenario = scenario;
    this.random = random;
    this.raw = structuredClone(scenario.raw);
  }

  group(): string | null {
    const names = [...this.cluster.config.groups.keys()];
    return names.length === 0 ? null : this.random.pick(names);
  }

  operator(): void {
    const group = this.group();
    if (group === null) return;
    const { random } = this;
    const operation = this.cluster.records.recordOf(group)?.operation ?? null;
    const to = random.chance(0.5) ? null : random.pick(['a', 'b', 'c', 'w']);
    if (operation?.phase === 'awaiting-approval' && random.chance(0.7)) {
      const kind = random.chance(0.7) ? 'approve' : 'deny';
      this.cluster.command({ kind, operation: operation.id }, 'olga');
      return;
    }
    const kind = random.pick(['switchover', 'switchover', 'failback', 'failover'] as const);
    const command =
      kind === 'failover' ? { kind, group, to, force: random.chance(0.5) } : { kind, group, to };
    this.cluster.command(command, random.pick(['olga', 'otto']));
  }

  /** Somebody loses patience. */
  force(): void {
    const group = this.group();
    if (group !== null) this.cluster.command({ kind: 'failover', group, to: null, force: true }, 'eve');
  }

  /** One thing of one group is written differently. */
  reconfigure(): void {
    const name = this.group();
    const group = name === null ? undefined : this.raw.groups[name];
    if (group === undefined) return;
    const { random } = this;
    switch (random.below(7)) {
      case 0:
        group.outage = `${String(random.pick([3, 5, 10, 35, 60]))}s`;
        break;
      case 1:
        group.takeover = random.pick(['automatic', 'manual', 'observe']);
        break;
      case 2:
        group.hooks = random.chance(0.5)
          ? {}
          : { beforeTakeover: [['/bin/hook']], beforeRelease: [['/bin/hook']] };
        break;
      case 3:
        group.failback = random.pick(['manual', 'automatic']);
        break;
      case 4:
        // With `replace` the order says which address is the identity: that is refused while the group runs.
        if (group.identity.mode === 'add') group.servers = [...group.servers].reverse();
        break;
      case 5:
        if (group.identity.mode === 'add')
          group.identity.hostname = `name${String(random.below(3))}-${name ?? ''}`;
        break;
      case 6:
        group.failoversPerHour = random.pick([1, 3, 10]);
        break;
    }
    this.cluster.apply(parsed(this.raw, this.scenario.members));
  }
}
