/** The whole simulated cluster: hosts, networks, etcd, the audit, and what operators can do to it. */

import {
  configToJson,
  encode,
  keys,
  mayRemove,
  removalOf,
  type ClusterConfig,
  type CommandResult,
  type Judgement,
  type LeaderRecord,
  type MaintenanceRecord,
  type Member,
  type MemberId,
  type QuorumCommand,
  withLeaving,
} from '@holdfast/core';
import { Audit } from './audit.ts';
import { Commands } from './commands.ts';
import { Etcd } from './etcd.ts';
import { Host } from './host.ts';
import { Machine } from './machine.ts';
import { MirrorsAudit } from './mirrors-audit.ts';
import { Network } from './network.ts';
import type { QuorumShell } from './quorum-shell.ts';
import { DecisionsAudit } from './decisions-audit.ts';
import { RecordsAudit } from './records-audit.ts';
import type { Scenario } from './scenario.ts';
import type { Simulation } from './simulation.ts';
import { honest, type Tampering } from './tampering.ts';

export class Cluster {
  readonly sim: Simulation;
  readonly hosts: readonly Host[];
  readonly network: Network;
  readonly etcd: Etcd;
  readonly audit: Audit;
  readonly records: RecordsAudit;
  readonly mirrors: MirrorsAudit;
  readonly decisions: DecisionsAudit;
  /** The desired state as last written, whether or not anybody read it yet. */
  config: ClusterConfig;
  private readonly byId: ReadonlyMap<MemberId, Host>;
  private readonly wanted = new Map<string, string>();

  constructor(sim: Simulation, scenario: Scenario, tampering: Tampering = honest) {
    this.sim = sim;
    this.audit = new Audit(sim);
    const machines = scenario.members.map(
      (m, index) => new Machine(sim, this.audit, { id: m.id, index, role: m.role, voter: m.voter }),
    );
    this.audit.machines.push(...machines);
    this.network = new Network(sim, machines);
    this.etcd = new Etcd(
      sim,
      this.network,
      machines.filter((m) => m.voter),
    );
    this.records = new RecordsAudit(sim, machines);
    this.mirrors = new MirrorsAudit(sim, this.audit, this.records);
    this.decisions = new DecisionsAudit(sim);
    this.etcd.onCommit = (txn, before, sentAt) => {
      this.records.committed(txn, before, sentAt);
      // A core that was broken on purpose decides by more than what it keeps.
      if (tampering === honest) this.decisions.committed(txn);
    };
    const around = {
      sim,
      network: this.network,
      etcd: this.etcd,
      audit: this.audit,
      mirrors: this.mirrors,
      tampering,
      members: scenario.members,
      host: (id: MemberId) => this.byId.get(id) ?? null,
      hosts: () => this.hosts,
    };
    this.hosts = machines.map((m) => new Host(m, new Commands(sim), around));
    this.byId = new Map(this.hosts.map((h) => [h.id, h]));
    this.config = scenario.config;
    this.seed(scenario.members);
  }

  /** What an installation leaves in the store. */
  private seed(members: readonly Member[]): void {
    for (const m of members) this.etcd.seedRow(keys.member(m.id), JSON.stringify(m));
    this.etcd.seedRow(keys.config, configText(this.config));
    this.noteFreezing();
  }

  private noteFreezing(): void {
    for (const g of this.config.groups.values()) {
      if (g.onControlLoss === 'freeze') this.audit.frozenGroups.add(g.name);
    }
  }

  host(id: MemberId): Host {
    const host = this.byId.get(id);
    if (host === undefined) throw new Error(`there is no host ${id}`);
    return host;
  }

  powerOn(): void {
    for (const host of this.hosts) this.sim.after(this.sim.random.between(0, 2_000), () => host.powerOn());
  }

  services(): readonly QuorumShell[] {
    return this.hosts.map((h) => h.quorum).filter((q): q is QuorumShell => q?.mailbox.runs === true);
  }

  /** The service that the store says leads, if it runs. */
  leader(): QuorumShell | null {
    const row = this.etcd.rows.get(keys.leader);
    if (row === undefined) return null;
    const { member, incarnation, left } = JSON.parse(row.value) as LeaderRecord;
    if (left === true) return null;
    const found = this.services().find((q) => q.machine.id === member && q.state.incarnation === incarnation);
    return found ?? null;
  }

  judgement(group: string): Judgement | null {
    return this.leader()?.state.judgements.get(group) ?? null;
  }

  /** An operator asks a service, and the leader when that one does not lead. */
  command(
    command: QuorumCommand,
    by: string,
    answered: (result: CommandResult) => void = () => undefined,
  ): void {
    const services = this.services();
    if (services.length === 0) return;
    const show = (result: CommandResult) => {
      const says =
        result.kind === 'accepted' ? result.reason : result.kind === 'not-leader' ? '' : result.says;
      this.sim.log(by, `${result.kind}: ${says}`);
      answered(result);
    };
    this.sim.log(by, JSON.stringify(command));
    this.sim.random.pick(services).command(command, by, (result) => {
      if (result.kind !== 'not-leader' || result.leader === null) {
        show(result);
        return;
      }
      const leader = this.services().find((q) => q.machine.id === result.leader);
      if (leader !== undefined) this.sim.after(5, () => leader.command(command, by, show));
    });
  }

  /** Whoever leads is asked; a refusal is told. */
  remove(member: MemberId, by: string): void {
    const service = this.leader();
    if (service === null) return;
    const { state, machine } = service;
    const judged = mayRemove(state, member, machine.boot());
    this.sim.log(by, `remove ${member}: ${judged.kind === 'may' ? 'done' : judged.says}`);
    if (judged.kind !== 'may') return;
    this.etcd.txn(machine, removalOf(state, member, by, machine.wall()), 2_000, () => undefined);
  }

  /** Written like any other change: by a transaction, when etcd takes one. */
  apply(wanted: ClusterConfig): void {
    const config = withLeaving(null, this.config, wanted, this.etcd.revision);
    this.config = config;
    this.noteFreezing();
    this.sim.log('operator', 'applies a configuration');
    this.write(keys.config, configText(config));
  }

  maintain(record: MaintenanceRecord): void {
    this.sim.log('operator', `maintenance ${encode(record)}`);
    this.write(keys.maintenance, encode(record));
  }

  /** A person tries again until it is done, or until something else is wanted of the same thing. */
  private write(key: string, value: string): void {
    this.wanted.set(key, value);
    let tries = 0;
    const attempt = () => {
      if (this.wanted.get(key) !== value) return;
      const again = () => this.sim.after(1_000, attempt);
      const services = this.services();
      const service = services[tries % Math.max(1, services.length)];
      tries += 1;
      if (service === undefined) {
        again();
        return;
      }
      const compares = [
        { kind: 'mod-revision', key, revision: this.etcd.rows.get(key)?.modRevision ?? 0n } as const,
      ];
      const txn = { compares, puts: [{ key, value }], deletes: [], reads: [] };
      this.etcd.txn(service.machine, txn, 2_000, (answer) => {
        if (answer.kind !== 'succeeded') again();
      });
    };
    attempt();
  }

  /** What the world looks like, for the end of a failed run. */
  describe(): readonly string[] {
    return this.hosts.map((h) => {
      const held = [...h.machine.addresses.keys(), ...h.machine.resources.keys()].join(' ');
      const groups = [...(h.agent?.state.groups.values() ?? [])].map((g) => `${g.group}:${g.holding.kind}`);
      const state = !h.machine.up ? 'off' : h.machine.frozen ? 'frozen' : 'up';
      return `${h.id} ${state} [${groups.join(' ')}] holds ${held === '' ? 'nothing' : held}`;
    });
  }
}

function configText(config: ClusterConfig): string {
  return JSON.stringify({ config: configToJson(config) });
}
