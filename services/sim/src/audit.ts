/**
 * The invariants of docs/guarantees.md, in true time, checked at the very event that could break one: an address that
 * is set, a resource that starts, a step, a transaction, a host that thaws. Between two such events nothing can change,
 * so this is as good as a check after every event.
 *
 * What is promised of resources, precisely: two servers never run a group's resources at once, unless the guard of one
 * of them was dead or its host frozen when it had to act. An owner that lost everything of ours keeps its addresses no
 * longer than the kernel's lifetime, but nobody is left to stop its resources.
 *
 * With onControlLoss `freeze` an owner goes on without any proof, so I1 and I3 are promised only while no partition
 * and no etcd fault separates it from the others: such groups are exempt while there is or lately was one.
 */

import { type AgentState, type Epoch, type GroupConfig, type GroupId, type MemberId } from '@holdfast/core';
import { Ledger } from './ledger.ts';
import type { HeldAddress, Machine, RunningResource, Witnesses } from './machine.ts';
import type { Simulation } from './simulation.ts';

/** Timers and floating point. */
const epsilonMs = 2;
/** A real timer may be this late. */
const timerLateMs = 20;

export class Audit implements Witnesses {
  readonly machines: Machine[] = [];
  /** True time of the last moment at which a network or etcd fault was in force. */
  disturbedAt: () => number = () => -Infinity;
  /** Resources of a host are not promised anything before this true time. */
  readonly unfitUntil = new Map<Machine, number>();
  readonly frozenGroups = new Set<GroupId>();
  private readonly ledgers = new Map<string, Ledger>();
  private readonly sim: Simulation;

  constructor(sim: Simulation) {
    this.sim = sim;
  }

  ledger(machine: Machine): Ledger {
    const known = this.ledgers.get(machine.bootId);
    if (known !== undefined) return known;
    const fresh = new Ledger();
    this.ledgers.set(machine.bootId, fresh);
    return fresh;
  }

  private exempt(group: GroupId): boolean {
    return this.frozenGroups.has(group) && this.sim.now - this.disturbedAt() < 120_000;
  }

  // -- I1 ------------------------------------------------------------------------------------------------------

  addressSet(machine: Machine, address: string, held: HeldAddress): void {
    for (const other of this.machines) {
      if (other !== machine && other.runs && other.addresses.has(address)) {
        this.twoHolders(address, machine, other, held.group);
      }
    }
  }

  private twoHolders(address: string, a: Machine, b: Machine, group: GroupId): void {
    if (this.exempt(group)) return;
    this.sim.fail('I1', `${address} of ${group} is held by ${a.id} and by ${b.id}`);
  }

  thawed(machine: Machine): void {
    this.unfit(machine, 10_000);
    for (const [address, held] of machine.addresses) this.addressSet(machine, address, held);
  }

  /** Nothing is promised about this host's resources for so long. */
  unfit(machine: Machine, forMs: number): void {
    const until = this.sim.now + forMs;
    this.unfitUntil.set(machine, Math.max(until, this.unfitUntil.get(machine) ?? 0));
  }

  fitAgain(machine: Machine): void {
    this.unfitUntil.set(machine, this.sim.now + 30_000);
  }

  fit(machine: Machine): boolean {
    return this.sim.now >= (this.unfitUntil.get(machine) ?? 0);
  }

  resourceRuns(machine: Machine, resource: string, running: RunningResource): void {
    const { group } = running;
    if (this.exempt(group) || !this.fit(machine)) return;
    for (const other of this.machines) {
      if (other === machine || !other.runs || !this.fit(other)) continue;
      for (const [name, theirs] of other.resources) {
        if (theirs.group !== group) continue;
        this.sim.fail('I1', `${resource} starts on ${machine.id} while ${name} runs on ${other.id}`);
      }
    }
  }

  // -- I2, I3 --------------------------------------------------------------------------------------------------

  /** An owner acts: a step starts, an address is set or extended. */
  acts(machine: Machine, config: GroupConfig, epoch: Epoch, what: string): void {
    const { name } = config;
    const highest = this.ledger(machine).highest.get(name) ?? 0n;
    // A former owner gives up what a successor waits for, and nothing else.
    const givesUp = what === 'releasing' || what === 'drop addresses';
    const awaited = givesUp && this.ledger(machine).awaited.get(name) === epoch;
    if (highest > epoch && !awaited) {
      this.sim.fail(
        'I2',
        `${machine.id}: ${what} of ${name} at epoch ${epoch.toString()} after epoch ${highest.toString()} was seen`,
      );
    }
    if (config.servers.length < 2 || this.frozenGroups.has(name)) return;
    const proof = this.ledger(machine).proofOf(name, epoch);
    const now = machine.boot();
    const until = proof === null ? null : proof.at + proof.rules.fenceMs;
    if (until !== null && now < until + epsilonMs) return;
    const why =
      until === null ? 'without any proof' : `${(now - until).toFixed(1)} ms after its fence deadline`;
    this.sim.fail('I3', `${machine.id}: ${what} of ${name} at epoch ${epoch.toString()} ${why}`);
  }

  /** The kernel gets a lifetime that may end as late as `lastBootMs`. */
  lifetime(machine: Machine, config: GroupConfig, epoch: Epoch, lastBootMs: number): void {
    if (config.servers.length < 2 || this.frozenGroups.has(config.name)) return;
    const proof = this.ledger(machine).proofOf(config.name, epoch);
    if (proof === null) return;
    const goneBy = proof.at + proof.rules.fenceMs + proof.rules.stopMs;
    if (lastBootMs <= goneBy + epsilonMs) return;
    const lateMs = (lastBootMs - goneBy).toFixed(1);
    this.sim.fail(
      'I3',
      `${machine.id}: an address of ${config.name} may stay ${lateMs} ms longer than s + F + S`,
    );
  }

  addressGone(machine: Machine, address: string, held: HeldAddress): void {
    if (held.epoch !== null) this.gone(machine, held.group, held.epoch, address);
  }

  resourceGone(machine: Machine, resource: string, running: RunningResource): void {
    if (this.fit(machine)) this.gone(machine, running.group, running.epoch, resource);
  }

  /** Whatever is left of an owner is gone by s + F + S. */
  private gone(machine: Machine, group: GroupId, epoch: Epoch, what: string): void {
    const proof = this.ledger(machine).proofOf(group, epoch);
    if (proof === null || !machine.up || this.frozenGroups.has(group)) return;
    if (machine.thawedAt + epsilonMs >= this.sim.now) return;
    const lateMs = machine.boot() - (proof.at + proof.rules.fenceMs + proof.rules.stopMs);
    if (lateMs <= epsilonMs) return;
    this.sim.fail('I3', `${machine.id}: ${what} of ${group} went ${lateMs.toFixed(1)} ms after s + F + S`);
  }

  /** A3 (core's agent/agent.ts): the deadline itself wakes the loop. `awakeSince`: true time since when the process ran without a pause. */
  fences(machine: Machine, config: GroupConfig, epoch: Epoch, awakeSince: number): void {
    const proof = this.ledger(machine).proofOf(config.name, epoch);
    if (proof === null || this.frozenGroups.has(config.name)) return;
    const deadline = proof.at + proof.rules.fenceMs;
    const lateMs = machine.boot() - deadline;
    if (lateMs <= timerLateMs || machine.trueAt(deadline) < awakeSince) return;
    this.sim.fail('I3', `${machine.id}: the fence of ${config.name} began ${lateMs.toFixed(1)} ms late`);
  }

  /** H1 (core's agent/holding.ts): what an agent believes to hold, it may hold. */
  believes(machine: Machine, state: AgentState): void {
    for (const g of state.groups.values()) {
      const { kind } = g.holding;
      if (kind !== 'active' && kind !== 'acquiring' && kind !== 'releasing') continue;
      const config = state.config?.groups.get(g.group);
      if (config !== undefined) this.acts(machine, config, g.holding.epoch, kind);
    }
  }

  holders(group: GroupId): readonly { readonly machine: MemberId; readonly address: string }[] {
    return this.machines.flatMap((m) =>
      [...m.addresses]
        .filter(([, held]) => held.group === group && held.epoch !== null)
        .map(([address]) => ({ machine: m.id, address })),
    );
  }
}
