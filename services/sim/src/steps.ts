/**
 * Carries out the steps that an agent orders on its host. Commands are children of the host, not of the agent's loop:
 * they run on while the agent is frozen, and end when it has long been restarted.
 *
 * What a production shell owes core, and what is done here:
 *   X1  an address gets its kernel lifetime from `goneBy` at the moment at which it is set, not when it was ordered
 *   X2  a step is not begun once the armed deadline of its epoch has passed, however long the shell slept before it
 *   X3  when a group is fenced, whatever is being started for it is killed
 *   X4  every step ends within its limit: what hangs is killed and has failed
 *   X5  nothing is visible outside before the guard watches over this very epoch (S2 of the agent's takeover-walk.ts)
 */

import {
  kernelLifetimeSeconds,
  stepName,
  type AgentAction,
  type Ended,
  type Epoch,
  type GroupConfig,
  type GroupId,
  type MemberId,
} from '@holdfast/core';
import type { Audit } from './audit.ts';
import type { Commands } from './commands.ts';
import type { Machine } from './machine.ts';
import type { MirrorProcess } from './mirror-process.ts';
import type { Network } from './network.ts';
import type { Simulation } from './simulation.ts';

export type RunStep = Extract<AgentAction, { kind: 'run-step' }>;
export type StepEnded = (ended: Ended, ms: number, occupied: boolean, drained?: readonly MemberId[]) => void;

/** The agent that ordered a step: what it does itself waits while it is frozen, and dies with it. */
export interface Awake {
  readonly alive: boolean;
  readonly frozen: boolean;
}

const done: Ended = { kind: 'done' };
/** So long a step waits for the guard. */
const enteredMs = 1_000;
const failed = (says: string): Ended => ({ kind: 'failed', says });

interface Starting {
  readonly group: GroupId;
  readonly epoch: Epoch;
  cancelled: boolean;
}

export class Steps {
  private readonly starting = new Set<Starting>();
  private readonly sim: Simulation;
  private readonly machine: Machine;
  private readonly network: Network;
  private readonly commands: Commands;
  private readonly audit: Audit;
  private readonly kernelLifetime: boolean;
  private readonly mirror: () => MirrorProcess | null;
  /** By when the guard has ended all of the step's epoch; null: it does not watch over it. */
  private readonly watchedUntil: (order: RunStep) => number | null;

  constructor(
    sim: Simulation,
    machine: Machine,
    network: Network,
    commands: Commands,
    audit: Audit,
    kernelLifetime: boolean,
    mirror: () => MirrorProcess | null,
    watchedUntil: (order: RunStep) => number | null,
  ) {
    this.sim = sim;
    this.machine = machine;
    this.network = network;
    this.commands = commands;
    this.audit = audit;
    this.kernelLifetime = kernelLifetime;
    this.mirror = mirror;
    this.watchedUntil = watchedUntil;
  }

  /** X5. */
  run(order: RunStep, config: GroupConfig, awake: Awake, ended: StepEnded): void {
    const isVisible = ['open-mirrors', 'hold-addresses', 'start'].includes(order.step.kind);
    if (!isVisible || this.watchedUntil(order) !== null) {
      this.begin(order, config, awake, ended);
      return;
    }
    this.later(awake, enteredMs, () => {
      // What it is entitled to may have changed since the step was ordered.
      const goneBy = this.watchedUntil(order);
      if (goneBy !== null) this.begin({ ...order, goneBy }, config, awake, ended);
      else ended(failed('the guard does not watch over it'), enteredMs, false);
    });
  }

  private begin(order: RunStep, config: GroupConfig, awake: Awake, ended: StepEnded): void {
    const { step, group, epoch } = order;
    const { random } = this.sim;
    this.audit.acts(this.machine, config, epoch, stepName(step));
    this.sim.log(this.machine.id, `${group}: ${stepName(step)}`);
    switch (step.kind) {
      case 'hook':
      case 'name':
      case 'unname':
        this.command(order, ended, () => undefined);
        return;
      case 'probe': {
        // As in docs/adr/0012.
        if (order.planned) {
          this.later(awake, 0, () => ended(done, 0, false));
          return;
        }
        const ms = random.between(100, 500);
        this.later(awake, ms, () => {
          const who = step.addresses.map((a) => this.holderOf(a)).find((h) => h !== null);
          if (who === undefined) ended(done, ms, false);
          else ended(failed(`${who} answers at an address of ${group}`), ms, true);
        });
        return;
      }
      case 'announce':
        this.later(awake, random.between(1, 10), () => ended(done, 5, false));
        return;
      case 'yield-own':
        this.later(awake, random.between(1, 4), () => {
          this.machine.dropAddress(step.address);
          ended(done, 3, false);
        });
        return;
      case 'drop-addresses':
        this.later(awake, random.between(1, 4), () => {
          for (const address of step.addresses) this.machine.dropAddress(address);
          ended(done, 3, false);
        });
        return;
      case 'hold-addresses':
        this.hold(order, config, step.addresses, awake, ended);
        return;
      case 'start':
        if (config.resources.some((r) => r.name === step.resource)) this.start(order, step.resource, ended);
        else ended(failed(`there is no resource ${step.resource}`), 0, false);
        return;
      case 'stop':
        this.command(order, ended, () => this.machine.stopResource(group, step.resource));
        return;
      case 'open-mirrors':
        this.onHost(random.between(5, 50), () => {
          const open = this.mirror()?.open(config, epoch, order.forced);
          ended(open ?? failed('the mirror process does not run'), 20, false);
        });
        return;
      case 'drain-mirrors': {
        const began = this.sim.now;
        const mirror = this.mirror();
        if (mirror === null) ended(failed('the mirror process does not run'), 0, false);
        else
          mirror.drain(group, step.to, order.limitMs, (end, drained) =>
            ended(end, Math.round(this.sim.now - began), false, drained),
          );
        return;
      }
    }
  }

  private hold(
    order: RunStep,
    config: GroupConfig,
    addresses: readonly string[],
    awake: Awake,
    ended: StepEnded,
  ): void {
    const { group, epoch, goneBy } = order;
    const starting: Starting = { group, epoch, cancelled: false };
    this.starting.add(starting);
    this.later(awake, this.sim.random.between(1, 4), () => {
      this.starting.delete(starting);
      const kept = !starting.cancelled && this.keep(config, epoch, addresses, goneBy);
      ended(kept ? done : failed('the entitlement is over'), 3, false);
    });
  }

  /** X1, X2. Sets or extends. */
  keep(config: GroupConfig, epoch: Epoch, addresses: readonly string[], goneBy: number): boolean {
    const { machine } = this;
    const now = machine.boot();
    const seconds = kernelLifetimeSeconds(goneBy - now);
    if (seconds === null || now >= goneBy - config.rules.stopMs) return false; // X2
    this.audit.acts(machine, config, epoch, 'keeping addresses');
    if (this.kernelLifetime)
      this.audit.lifetime(machine, config, epoch, machine.boot() + (seconds + 1) * 1_000);
    for (const address of addresses) {
      machine.setAddress(address, config.name, epoch, this.kernelLifetime ? seconds : null);
    }
    return true;
  }

  /** One that vanished meanwhile is set again only where nobody else has it (rule 9), and asking takes its time. */
  extend(
    config: GroupConfig,
    { epoch, addresses, goneBy }: Extract<AgentAction, { kind: 'extend' }>,
    stillHeld: () => boolean,
  ): void {
    const here = addresses.filter((address) => this.machine.addresses.has(address));
    this.keep(config, epoch, here, goneBy);
    const free = addresses.filter((address) => !here.includes(address) && this.holderOf(address) === null);
    if (free.length === 0) return;
    this.onHost(this.sim.random.between(50, 150), () => {
      if (stillHeld()) this.keep(config, epoch, free, goneBy);
    });
  }

  /** Who on the service network answers for this address, other than this host. */
  holderOf(address: string): string | null {
    for (const other of this.audit.machines) {
      if (other === this.machine || !other.addresses.has(address)) continue;
      if (this.network.answers(this.machine, other, 0)) return other.id;
    }
    return null;
  }

  /** X3. */
  cancel(group: GroupId, epoch: Epoch): void {
    for (const s of this.starting) if (s.group === group && s.epoch <= epoch) s.cancelled = true;
  }

  private start(order: RunStep, resource: string, ended: StepEnded): void {
    const { machine } = this;
    const { group, epoch } = order;
    const starting: Starting = { group, epoch, cancelled: false };
    this.starting.add(starting);
    if (!machine.resources.has(`${group}/${resource}`)) machine.startResource(group, resource, epoch);
    this.command(
      order,
      (result, ms, occupied) => {
        this.starting.delete(starting);
        if (result.kind === 'failed' || starting.cancelled) machine.stopResource(group, resource);
        ended(starting.cancelled ? failed('it was fenced meanwhile') : result, ms, occupied);
      },
      () => undefined,
    );
  }

  /** X4. The effect comes when the command ends well. */
  private command(order: RunStep, ended: StepEnded, effect: () => void): void {
    const outcome = this.commands.draw();
    const hangs = outcome.kind === 'hangs' || outcome.ms > order.limitMs;
    const ms = outcome.kind === 'hangs' ? order.limitMs : Math.min(outcome.ms, order.limitMs);
    this.onHost(ms, () => {
      if (hangs) ended(failed('it did not end in time and was killed'), ms, false);
      else if (outcome.kind === 'failed') ended(failed('exit status 1'), ms, false);
      else {
        effect();
        ended(done, ms, false);
      }
    });
  }

  /** Something that the agent does itself: it waits while the agent is frozen, and dies with it. */
  private later(awake: Awake, delayMs: number, what: () => void): void {
    this.onHost(delayMs, () => {
      if (!awake.alive) return;
      if (awake.frozen) this.later(awake, 50, what);
      else what();
    });
  }

  /** Something that a child process does: only the host's own end or freeze stops it. */
  onHost(delayMs: number, what: () => void): void {
    const { machine } = this;
    const { bootId } = machine;
    const go = () => {
      if (machine.bootId !== bootId || !machine.up) return;
      if (machine.frozen) this.sim.after(20, go);
      else what();
    };
    this.sim.after(delayMs, go);
  }
}
