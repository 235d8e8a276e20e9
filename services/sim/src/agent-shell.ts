/**
 * The process around core's loop of an agent: as thin as a production shell may be, and with its duties.
 *
 *   Y1  an arm reaches the guard before anything that relies on it is done
 *   Y2  a fence that could not be ordered, because the guard was not there, is ordered again as soon as it is
 *   Y3  news of a group carries the revision of that group's record, never a later one
 */

import {
  heldEpoch,
  encode,
  newAgent,
  parseGroup,
  parseRenewal,
  recall,
  type AgentAction,
  type AgentEvent,
  type AgentState,
  type ArmedGroup,
  type GroupRecord,
  type Member,
  type MemberId,
  type Message,
  type RenewalRecord,
  type RenewAnswer,
  type RenewResult,
} from '@holdfast/core';
import type { Audit } from './audit.ts';
import type { Guard } from './guard.ts';
import type { Machine } from './machine.ts';
import { look, ping } from './looking.ts';
import { Mailbox } from './mailbox.ts';
import type { MirrorProcess } from './mirror-process.ts';
import type { Network } from './network.ts';
import type { News, QuorumShell } from './quorum-shell.ts';
import { remember } from './remembering.ts';
import type { Simulation } from './simulation.ts';
import type { Steps } from './steps.ts';
import type { Tampering } from './tampering.ts';

/** What an agent finds around it. */
export interface Surroundings {
  readonly sim: Simulation;
  readonly machine: Machine;
  readonly network: Network;
  readonly audit: Audit;
  readonly steps: Steps;
  readonly members: readonly Member[];
  readonly guard: () => Guard | null;
  /** Quorum services, the nearest first. */
  readonly services: () => readonly QuorumShell[];
  readonly machineOf: (id: MemberId) => Machine | null;
  readonly agentOf: (id: MemberId) => AgentShell | null;
  readonly localQuorum: () => QuorumShell | null;
  readonly mirror: () => MirrorProcess | null;
  readonly powerOff: (id: MemberId) => void;
  readonly exit: () => void;
}

type Renew = Extract<AgentAction, { kind: 'renew' }>;
const texts = new WeakMap<RenewalRecord, string>();

function textOf(record: RenewalRecord): string {
  const known = texts.get(record);
  if (known !== undefined) return known;
  const text = encode(record);
  texts.set(record, text);
  return text;
}

const parsedMax = 200;

export class AgentShell {
  readonly mailbox: Mailbox<AgentEvent>;
  state: AgentState;
  readonly startedAt: number;
  private readonly around: Surroundings;
  private readonly tampering: Tampering;
  private readonly incarnation: number;
  private sentConfig = 0n;
  private readonly parsed = new Map<string, GroupRecord>();
  private armed: readonly ArmedGroup[] = [];
  private fencing: Extract<AgentAction, { kind: 'fence' }>[] = [];

  constructor(around: Surroundings, tampering: Tampering) {
    const { machine, sim, members } = around;
    this.around = around;
    this.tampering = tampering;
    machine.disk.incarnation += 1;
    this.incarnation = machine.disk.incarnation;
    this.startedAt = sim.now;
    this.state = newAgent(
      {
        self: machine.id,
        role: machine.role,
        members,
        incarnation: this.incarnation,
        bootId: machine.bootId,
        version: '1',
      },
      machine.boot(),
    );
    this.mailbox = new Mailbox<AgentEvent>(sim, machine, { kind: 'wake' }, (event) => this.handle(event));
  }

  /** What is known of an earlier life: of this boot from the guard, else only what the disk says. */
  start(): void {
    const { machine } = this.around;
    const { disk } = machine;
    const guard = this.around.guard();
    this.armed = guard?.vouchesFor() ?? [];
    const armed = this.armed.map(({ group, epoch, fenceAt }) => ({ group, epoch, fenceAtMs: fenceAt }));
    const started = recall({
      self: machine.id,
      bootId: machine.bootId,
      now: machine.boot(),
      holdings: disk.remembered,
      holdingsLost: false,
      promises: disk.promises,
      promisesLost: false,
      guard: guard === null ? null : { armed },
      config: disk.config?.config ?? null,
    });
    this.mailbox.deliver({ ...started, held: this.tampering.heldAtStart(machine, started.held) });
    if (disk.config === null) return;
    this.sentConfig = disk.config.revision;
    this.mailbox.deliver({ kind: 'configured', ...disk.config });
  }

  /** Y3. */
  receive(news: News): void {
    if (news.members.length > 0 && news.members.length !== this.state.members.size)
      this.mailbox.deliver({ kind: 'members', members: news.members });
    if (news.config !== null && news.configRevision > this.sentConfig) {
      this.sentConfig = news.configRevision;
      this.configure({ config: news.config, revision: news.configRevision });
    }
    const known = news.maintenance === this.state.maintenance;
    if (!known && JSON.stringify(news.maintenance) !== JSON.stringify(this.state.maintenance))
      this.mailbox.deliver({ kind: 'maintenance', maintenance: news.maintenance });
    for (const { record, revision } of news.groups) {
      const seen = this.state.groups.get(record.group)?.seenRevision ?? 0n;
      if (revision > seen) this.mailbox.deliver({ kind: 'hint', revision, groups: [record] });
    }
  }

  /** What was being written when the agent was killed is lost. */
  private configure(news: NonNullable<Machine['disk']['config']>): void {
    this.mailbox.deliver({ kind: 'configured', ...news, unkept: true });
    this.around.steps.onHost(this.around.sim.random.between(0.5, 30), () => {
      if (!this.mailbox.alive || news.revision < this.sentConfig) return;
      this.around.machine.disk.config = news;
      this.mailbox.deliver({ kind: 'config-kept', revision: news.revision });
    });
  }

  /** Y2: the guard is there again. */
  guardIsBack(): void {
    if (!this.mailbox.runs) return;
    const guard = this.around.guard();
    guard?.arm(this.armed);
    for (const f of this.fencing) guard?.fence(f.group, f.epoch, f.doneBy);
  }

  private handle(event: AgentEvent): void {
    const { machine, audit } = this.around;
    const ledger = audit.ledger(machine);
    if (event.kind === 'renewed')
      ledger.renewed(machine.id, this.incarnation, event.attempt, event.answer, machine.boot());
    if (event.kind === 'hint') ledger.hinted(machine.id, event.groups);
    if (event.kind === 'heard') this.heard(event.from, event.path, event.message);
    if (event.kind === 'fence-ended') this.fencing = this.fencing.filter((f) => f.group !== event.group);
    const step = this.tampering.agent(this.state, event, machine.boot());
    this.state = step.state;
    this.mailbox.wakeAt(step.wakeAt);
    if (event.kind !== 'heard' || step.actions.length > 0) audit.believes(machine, step.state);
    for (const action of step.actions) this.act(action);
  }

  private heard(from: MemberId, path: number, message: Message): void {
    const { machine, audit } = this.around;
    if (message.kind === 'heartbeat') this.relay(from, path, message);
    if (message.kind === 'hold-promise' && message.promised) {
      const config = this.state.config?.groups.get(message.group);
      if (config !== undefined)
        audit.ledger(machine).promised(config, machine.id, message.epoch, message.round, from);
    }
    if (message.kind === 'sighting') this.sighted(message.round, message.address, message.linkAddress);
  }

  private relay(from: MemberId, path: number, heartbeat: Extract<Message, { kind: 'heartbeat' }>): void {
    this.around.localQuorum()?.mailbox.deliver({ kind: 'heard', from, path, heartbeat });
  }

  private act(action: AgentAction): void {
    const { machine, sim, steps, audit } = this.around;
    switch (action.kind) {
      case 'send':
        this.send(action.to, action.path, action.message);
        return;
      case 'renew':
        this.renew(action);
        return;
      case 'run-step': {
        const config = this.state.config?.groups.get(action.group);
        if (config === undefined) return;
        const { group, epoch, run } = action;
        steps.run(action, config, this.mailbox, (ended, ms, occupied, drained) =>
          this.mailbox.deliver({
            kind: 'step-ended',
            group,
            epoch,
            run,
            ended,
            ms,
            occupied,
            ...(drained === undefined ? {} : { drained }),
          }),
        );
        return;
      }
      case 'extend': {
        const config = this.state.config?.groups.get(action.group);
        if (config !== undefined) steps.extend(config, action, () => this.holds(action.group, action.epoch));
        return;
      }
      case 'arm':
        this.armed = action.groups;
        this.around.guard()?.arm(action.groups); // Y1
        return;
      case 'fence': {
        const config = this.state.config?.groups.get(action.group);
        sim.log(machine.id, `${action.group}: fences itself: ${action.reason}`);
        const awakeSince = Math.max(this.startedAt, this.mailbox.thawedAt, machine.thawedAt);
        if (config !== undefined) audit.fences(machine, config, action.epoch, awakeSince);
        this.fencing = [...this.fencing.filter((f) => f.group !== action.group), action];
        this.around.guard()?.fence(action.group, action.epoch, action.doneBy);
        return;
      }
      case 'strip':
        this.strip(action.addresses, action.groups);
        return;
      case 'monitor': {
        const { group, epoch, resource, run } = action;
        steps.onHost(sim.random.between(5, 40), () => {
          const running = machine.resources.get(`${group}/${resource}`);
          const well = running !== undefined && !running.broken;
          const says = well ? '' : 'it does not answer';
          this.mailbox.deliver({
            kind: 'monitored',
            group,
            epoch,
            resource,
            run,
            state: well ? 'running' : 'failed',
            says,
          });
        });
        return;
      }
      case 'restart':
        this.restart(action.group, action.epoch, action.resource, action.run);
        return;
      case 'remember':
        remember(machine, sim, action, () => this.mailbox.alive);
        return;
      case 'keep-promise':
        this.keepPromise(action);
        return;
      case 'ping':
        ping(this.around, action.member, action.path, (event) => this.mailbox.deliver(event));
        return;
      case 'sight':
        look(this.around, action, (message) => {
          if (this.mailbox.alive) this.send(action.to, action.path, message);
        });
        return;
      case 'keep-spare':
      case 'keep-own':
        if (steps.holderOf(action.address) === null && !machine.addresses.has(action.address))
          machine.setAddress(action.address, action.group, null, null);
        return;
      case 'fence-server':
        sim.after(1_000, () => this.around.powerOff(action.server));
        return;
      case 'order-mirrors':
        this.around.mirror()?.order(action.orders);
        return;
      case 'announce':
        return;
      case 'note':
        sim.log(machine.id, `${action.group ?? 'agent'}: ${action.what}: ${action.reason}`);
        return;
      case 'exit':
        this.around.exit();
        return;
    }
  }

  private send(to: MemberId, path: number, message: Message): void {
    const { machine, network, audit } = this.around;
    const target = this.around.machineOf(to);
    if (message.kind === 'hold-request')
      audit.ledger(machine).asked(message.group, message.epoch, message.round, machine.boot());
    if (message.kind === 'heartbeat' && to === this.firstPeer()) this.relay(machine.id, path, message);
    if (target === null) return;
    network.datagram(machine, target, path, () =>
      this.around.agentOf(to)?.mailbox.deliver({ kind: 'heard', from: machine.id, path, message }),
    );
  }

  /** Of what this agent says to many, its quorum service hears one copy. */
  private firstPeer(): MemberId | null {
    for (const id of this.state.members.keys()) if (id !== this.state.self) return id;
    return null;
  }

  /** The nearest quorum service first; the next ones when it takes long; the first that knows decides. */
  private renew(order: Renew): void {
    const { machine, network, sim, audit } = this.around;
    const { config } = this.state;
    audit
      .ledger(machine)
      .renewalSent(order.attempt, { at: machine.boot(), deadlineMs: order.deadlineMs, config });
    const request = {
      server: machine.id,
      previous: order.previous === null ? null : textOf(order.previous),
      next: textOf(order.next),
      notes: [],
    };
    const targets = this.around.services();
    let open = true;
    let tried = 0;
    let refused = 0;
    const finish = (answer: RenewAnswer) => {
      if (!open) return;
      open = false;
      this.mailbox.deliver({ kind: 'renewed', attempt: order.attempt, answer });
    };
    const next = () => {
      const target = targets[tried];
      if (!open || target === undefined) return;
      tried += 1;
      network.send(machine, target.machine, () =>
        target.renew(request, (result) => network.send(target.machine, machine, () => got(result))),
      );
    };
    const got = (result: RenewResult) => {
      if (!open) return;
      if (result.kind !== 'no-answer') {
        finish(this.answerOf(result));
        return;
      }
      refused += 1;
      if (refused >= targets.length) finish(result);
      else next();
    };
    next();
    sim.after(order.deadlineMs * 0.35, next);
    sim.after(order.deadlineMs * 0.65, next);
    sim.after(order.deadlineMs, () =>
      finish({ kind: 'no-answer', says: 'no quorum service answered in time' }),
    );
  }

  private answerOf(result: Exclude<RenewResult, { kind: 'no-answer' }>): RenewAnswer {
    const groups = result.groups.map((text) => this.groupOf(text));
    if (result.kind === 'committed') return { kind: 'committed', revision: result.revision, groups };
    let current: RenewalRecord | null = null;
    if (result.current !== null) {
      const parsed = parseRenewal(result.current);
      if (parsed.kind === 'ok') current = parsed.value;
    }
    return { kind: 'conflict', current, revision: result.revision, groups };
  }

  private groupOf(text: string): GroupRecord {
    const known = this.parsed.get(text);
    if (known !== undefined) return known;
    const parsed = parseGroup(text);
    if (parsed.kind === 'garbage') throw new Error(parsed.says);
    if (this.parsed.size > parsedMax) this.parsed.clear();
    this.parsed.set(text, parsed.value);
    return parsed.value;
  }

  private holds(group: string, epoch: bigint): boolean {
    const g = this.state.groups.get(group);
    return g !== undefined && heldEpoch(g.holding) === epoch;
  }

  private strip(addresses: readonly string[], groups: readonly string[]): void {
    const { machine, sim, steps } = this.around;
    const clear = () => {
      for (const address of addresses) machine.dropAddress(address);
      for (const [key, r] of [...machine.resources]) if (groups.includes(r.group)) machine.stopByKey(key);
      if (machine.leftoversStay) steps.onHost(1_000, clear);
      else this.mailbox.deliver({ kind: 'stripped' });
    };
    steps.onHost(sim.random.between(5, 60), clear);
  }

  private restart(group: string, epoch: bigint, resource: string, run: number): void {
    const { machine, sim, steps } = this.around;
    const before = machine.resources.get(`${group}/${resource}`);
    steps.onHost(sim.random.between(50, 400), () => {
      const now = machine.resources.get(`${group}/${resource}`);
      // A fence that came in between killed it (X3 of steps.ts).
      const stillHeld = this.around
        .guard()
        ?.vouchesFor()
        .some((a) => a.group === group && a.epoch === epoch);
      if (before !== now || stillHeld !== true) return;
      if (now === undefined) machine.startResource(group, resource, epoch);
      else now.broken = false;
      this.mailbox.deliver({ kind: 'restarted', group, epoch, resource, run, ended: { kind: 'done' } });
    });
  }

  private keepPromise(order: Extract<AgentAction, { kind: 'keep-promise' }>): void {
    const { machine, sim, steps, audit } = this.around;
    const { group, epoch, round, to } = order;
    const highest = audit.ledger(machine).highest.get(group) ?? 0n;
    if (highest > epoch)
      sim.fail('I2', `${machine.id} promises ${group} at epoch ${String(epoch)} after ${String(highest)}`);
    steps.onHost(sim.random.between(0.5, 8), () => {
      if (!this.mailbox.alive) return;
      machine.disk.promises.set(group, { epoch, until: order.until, bootId: machine.bootId });
      this.mailbox.deliver({ kind: 'promise-kept', group, epoch, round, to, ended: { kind: 'done' } });
    });
  }

  private sighted(round: number, address: string, linkAddress: string | null): void {
    const { machine, sim } = this.around;
    const group = machine.addresses.get(address)?.group;
    if (group === undefined) return;
    const verdict = linkAddress === null ? 'nobody' : linkAddress === machine.id ? 'ours' : 'other';
    const says = `${linkAddress ?? 'nobody'} answers at ${address}`;
    sim.after(0, () => this.mailbox.deliver({ kind: 'sighted', group, round, verdict, says }));
  }
}
