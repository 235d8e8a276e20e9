/** One host with our processes on it, and the supervisor (`holdfast run`) that restarts those that die. */

import type { Member, MemberId, MirrorOrders } from '@holdfast/core';
import { AgentShell } from './agent-shell.ts';
import type { Audit } from './audit.ts';
import type { Commands } from './commands.ts';
import type { Etcd, EtcdMember } from './etcd.ts';
import { Guard } from './guard.ts';
import type { Machine } from './machine.ts';
import { MirrorProcess } from './mirror-process.ts';
import type { MirrorsAudit } from './mirrors-audit.ts';
import type { Network } from './network.ts';
import { QuorumShell } from './quorum-shell.ts';
import type { Simulation } from './simulation.ts';
import { Steps, type RunStep } from './steps.ts';
import type { Tampering } from './tampering.ts';

export type ProcessName = 'agent' | 'quorum' | 'guard' | 'etcd';
const none: MirrorOrders = { mirrors: [] };
export const processNames: readonly ProcessName[] = ['agent', 'quorum', 'guard', 'etcd'];

/** What a host knows of the other hosts. */
export interface Neighbourhood {
  readonly sim: Simulation;
  readonly network: Network;
  readonly etcd: Etcd;
  readonly audit: Audit;
  readonly mirrors: MirrorsAudit;
  readonly tampering: Tampering;
  readonly members: readonly Member[];
  readonly host: (id: MemberId) => Host | null;
  readonly hosts: () => readonly Host[];
}

export class Host {
  readonly machine: Machine;
  readonly commands: Commands;
  agent: AgentShell | null = null;
  quorum: QuorumShell | null = null;
  guard: Guard | null = null;
  /** Not killed alone: what it holds in memory goes with the rest of ours. */
  mirror: MirrorProcess | null = null;
  readonly etcd: EtcdMember | null;
  /** `holdfast run` is there: what dies is restarted. */
  supervised = false;
  private steps: Steps | null = null;
  private quorumIncarnation = 0;
  private readonly around: Neighbourhood;

  constructor(machine: Machine, commands: Commands, around: Neighbourhood) {
    this.machine = machine;
    this.commands = commands;
    this.around = around;
    this.etcd = around.etcd.members.find((m) => m.machine === machine) ?? null;
    around.etcd.watch(machine, (revision, rows) =>
      this.quorum?.mailbox.deliver({ kind: 'changed', revision, rows }),
    );
  }

  get id(): MemberId {
    return this.machine.id;
  }

  powerOn(): void {
    if (this.machine.up) return;
    const { sim } = this.around;
    this.machine.powerOn();
    sim.log(this.id, `power on (${this.machine.bootId})`);
    this.startAll(sim.random.between(500, 4_000));
  }

  powerOff(): void {
    if (!this.machine.up) return;
    this.around.sim.log(this.id, 'power off');
    for (const name of processNames) this.kill(name, false);
    this.stopMirror();
    this.supervised = false;
    this.machine.powerOff();
  }

  /** `holdfast run` starts and brings everything up. */
  startAll(delayMs: number): void {
    const { sim } = this.around;
    this.supervised = true;
    this.steps = null;
    this.startMirror();
    for (const name of processNames) {
      // The guard is there before the agent: run waits for it.
      const extra = name === 'guard' ? 0 : sim.random.between(20, 400);
      this.startLater(name, delayMs + extra);
    }
  }

  private startMirror(): void {
    const { sim, network, mirrors, host, tampering } = this.around;
    this.mirror?.die();
    const mirror = new MirrorProcess({
      sim,
      machine: this.machine,
      network,
      audit: mirrors,
      configOf: (group) => this.agent?.state.config?.groups.get(group) ?? null,
      processOf: (id) => host(id)?.mirror ?? null,
      report: (reports) => this.agent?.mailbox.deliver({ kind: 'mirrors', reports }),
      ignoresGrants: tampering.ignoresGrants,
    });
    mirror.order(this.agent?.mailbox.alive === true ? (this.agent.state.mirrorOrders ?? none) : none);
    this.mirror = mirror;
  }

  private stopMirror(): void {
    this.mirror?.die();
    this.mirror = null;
  }

  private startLater(name: ProcessName, delayMs: number): void {
    const { sim } = this.around;
    const { bootId } = this.machine;
    const attempt = () => {
      if (!this.machine.up || this.machine.bootId !== bootId || !this.supervised) return;
      if (this.machine.frozen) sim.after(100, attempt);
      else this.start(name);
    };
    sim.after(delayMs, attempt);
  }

  private start(name: ProcessName): void {
    const { sim, audit, tampering, etcd } = this.around;
    if (this.isAlive(name)) return;
    sim.log(this.id, `${name} starts`);
    switch (name) {
      case 'etcd':
        if (this.etcd !== null) Object.assign(this.etcd, { alive: true, frozen: false, stalledUntil: 0 });
        return;
      case 'guard':
        if (tampering.guard === 'absent') return;
        this.guard = new Guard(
          sim,
          this.machine,
          {
            cancelStarts: (group, epoch) => this.steps?.cancel(group, epoch),
            stopMs: () => sim.random.between(5, 400),
          },
          (group, epoch, ended) => this.agent?.mailbox.deliver({ kind: 'fence-ended', group, epoch, ended }),
          tampering.guard === 'polls',
        );
        audit.fitAgain(this.machine);
        this.agent?.guardIsBack();
        return;
      case 'quorum':
        if (!this.machine.voter) return;
        this.quorumIncarnation += 1;
        this.quorum = new QuorumShell(sim, this.machine, etcd, tampering, this.quorumIncarnation);
        this.quorum.onPush = () => this.push();
        this.quorum.mailbox.deliver({ kind: 'started' });
        if (this.agent?.mailbox.alive === true)
          this.quorum.mailbox.deliver({ kind: 'relay', connected: true });
        return;
      case 'agent':
        this.startAgent();
        return;
    }
  }

  private startAgent(): void {
    const { sim, network, audit, tampering, members, host } = this.around;
    const { machine } = this;
    this.steps ??= new Steps(
      sim,
      machine,
      network,
      this.commands,
      audit,
      tampering.kernelLifetime,
      () => this.mirror,
      (order) => (tampering.guard === 'absent' ? order.goneBy : this.watchedUntil(order)),
    );
    const agent = new AgentShell(
      {
        sim,
        machine,
        network,
        audit,
        steps: this.steps,
        members,
        guard: () => (this.guard?.mailbox.alive === true ? this.guard : null),
        services: () => this.services(),
        machineOf: (id) => host(id)?.machine ?? null,
        agentOf: (id) => host(id)?.agent ?? null,
        localQuorum: () => this.quorum,
        mirror: () => this.mirror,
        powerOff: (id) => host(id)?.powerOff(),
        exit: () => this.exited(),
      },
      tampering,
    );
    this.agent = agent;
    agent.start();
    this.quorum?.mailbox.deliver({ kind: 'relay', connected: true });
    const refresh = () => {
      if (!agent.mailbox.alive) return;
      this.subscribe();
      sim.after(agent.state.config === null ? 300 : 5_000, refresh);
    };
    sim.after(sim.random.between(5, 50), refresh);
  }

  private watchedUntil({ group, epoch }: RunStep): number | null {
    const { guard } = this;
    if (guard?.mailbox.alive !== true) return null;
    return guard.vouchesFor().find((a) => a.group === group && a.epoch === epoch)?.goneBy ?? null;
  }

  /** Quorum services as this host's agent would ask them: its own, then the others that answer. */
  private services(): readonly QuorumShell[] {
    const { hosts, network } = this.around;
    const found: QuorumShell[] = [];
    if (this.quorum?.mailbox.alive === true) found.push(this.quorum);
    for (const { quorum, machine } of hosts()) {
      if (quorum?.mailbox.alive !== true || quorum === this.quorum) continue;
      if (network.connected(this.machine, machine)) found.push(quorum);
    }
    return found;
  }

  /** Asks for the news, as after a broken stream. */
  private subscribe(): void {
    const { network } = this.around;
    const service = this.services()[0];
    if (service === undefined || !service.mailbox.runs) return;
    const news = service.news();
    network.send(service.machine, this.machine, () => this.agent?.receive(news));
  }

  /** Our quorum service has news for the agents that listen to it. */
  private push(): void {
    const { hosts, network, sim } = this.around;
    if (this.quorum === null) return;
    const news = this.quorum.news();
    for (const host of hosts()) {
      if (host.agent?.mailbox.alive !== true || host.services()[0] !== this.quorum) continue;
      if (sim.random.chance(0.02)) continue;
      network.send(this.machine, host.machine, () => host.agent?.receive(news));
    }
  }

  isAlive(name: ProcessName): boolean {
    switch (name) {
      case 'agent':
        return this.agent?.mailbox.alive === true;
      case 'quorum':
        return this.quorum?.mailbox.alive === true;
      case 'guard':
        return this.guard?.mailbox.alive === true;
      case 'etcd':
        return this.etcd?.alive === true;
    }
  }

  /** SIGKILL. Restarted by the supervisor, if it is there. */
  kill(name: ProcessName, restart = true): void {
    if (!this.isAlive(name)) return;
    const { sim, audit } = this.around;
    if (this.machine.up) sim.log(this.id, `${name} is killed`);
    switch (name) {
      case 'agent':
        this.agent?.mailbox.die();
        this.quorum?.mailbox.deliver({ kind: 'relay', connected: false });
        break;
      case 'quorum':
        this.quorum?.mailbox.die();
        break;
      case 'guard':
        this.guard?.mailbox.die();
        audit.unfit(this.machine, Infinity);
        break;
      case 'etcd':
        if (this.etcd !== null) this.etcd.alive = false;
        break;
    }
    if (restart && this.supervised) this.startLater(name, sim.random.between(100, 1_500));
  }

  /** SIGTERM to the quorum service: it may let go of leadership, and is gone soon. */
  endQuorum(): void {
    if (!this.isAlive('quorum')) return;
    const { sim } = this.around;
    const { quorum } = this;
    sim.log(this.id, 'quorum is asked to end');
    quorum?.mailbox.deliver({ kind: 'leaving' });
    sim.after(sim.random.between(20, 300), () => {
      if (this.quorum === quorum) this.kill('quorum');
    });
  }

  /** Everything of ours, the supervisor included; the host and its services run on. */
  killEverything(): void {
    this.supervised = false;
    this.stopMirror();
    for (const name of processNames) this.kill(name, false);
  }

  freezeProcess(name: Exclude<ProcessName, 'guard'>): void {
    if (!this.isAlive(name)) return;
    this.around.sim.log(this.id, `${name} is frozen`);
    if (name === 'agent') this.agent?.mailbox.freeze();
    else if (name === 'quorum') this.quorum?.mailbox.freeze();
    else if (this.etcd !== null) this.etcd.frozen = true;
  }

  thawProcess(name: Exclude<ProcessName, 'guard'>): void {
    if (!this.isAlive(name)) return;
    this.around.sim.log(this.id, `${name} thaws`);
    if (name === 'agent') this.agent?.mailbox.thaw();
    else if (name === 'quorum') this.quorum?.mailbox.thaw();
    else if (this.etcd !== null) this.etcd.frozen = false;
  }

  freeze(): void {
    if (!this.machine.runs) return;
    this.around.sim.log(this.id, 'the host is frozen');
    this.machine.freeze();
  }

  /** The guard is the first to run again. */
  thaw(): void {
    if (!this.machine.frozen) return;
    this.around.sim.log(this.id, 'the host thaws');
    this.machine.thaw();
    this.guard?.mailbox.thaw();
    const { random } = this.around.sim;
    for (const mailbox of random.shuffled([this.agent?.mailbox, this.quorum?.mailbox])) {
      if (mailbox?.frozen === false) mailbox.thaw();
    }
  }

  /** SIGTERM: groups are given up in an orderly way, then the agent exits. */
  release(why: string): void {
    this.around.sim.log(this.id, `SIGTERM: ${why}`);
    this.supervised = false;
    this.agent?.mailbox.deliver({ kind: 'release-all', why });
  }

  private exited(): void {
    this.around.sim.log(this.id, 'the agent exits');
    this.supervised = false;
    this.stopMirror();
    for (const name of processNames) this.kill(name, false);
  }
}
