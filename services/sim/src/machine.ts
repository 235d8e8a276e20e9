/**
 * One host below our processes: power, clocks, the kernel's addresses, running resources, the disk.
 *
 *   M1  an address that was set with a lifetime of N seconds goes between N - 0.02 and N + 1 seconds later, by the host's
 *       own clock, whatever became of every process
 *   M2  a frozen host answers nothing; when it thaws, everything whose time has passed goes before anything else runs
 *   M3  a power cycle empties everything but the disk, and gives a new boot id and a new boot clock
 */

import type { ClusterConfig, Epoch, GroupId, KeptPromise, MemberId, Remembered, Role } from '@holdfast/core';
import { Copy } from './copy.ts';
import type { Simulation } from './simulation.ts';

export interface HeldAddress {
  readonly group: GroupId;
  /** Null: the spare address of `replace`, which belongs to no epoch. */
  readonly epoch: Epoch | null;
  /** True time; null: no lifetime. */
  readonly goneAt: number | null;
}

export interface RunningResource {
  readonly group: GroupId;
  readonly epoch: Epoch;
  /** It runs, but its monitor finds it broken. */
  broken: boolean;
}

/** What survives a power cycle. */
export interface Disk {
  readonly remembered: Map<GroupId, Remembered>;
  readonly promises: Map<GroupId, KeptPromise>;
  /** The last configuration that the agent knew. */
  config: { readonly config: ClusterConfig; readonly revision: bigint } | null;
  incarnation: number;
  readonly copies: Map<GroupId, Copy>;
}

/** Told of everything that touches clients. */
export interface Witnesses {
  addressSet(machine: Machine, address: string, held: HeldAddress): void;
  addressGone(machine: Machine, address: string, held: HeldAddress): void;
  resourceRuns(machine: Machine, resource: string, running: RunningResource): void;
  resourceGone(machine: Machine, resource: string, running: RunningResource): void;
  thawed(machine: Machine): void;
}

const kernelEarlyMs = 20;
const kernelLateMs = 1_000;

export class Machine {
  readonly id: MemberId;
  readonly index: number;
  readonly role: Role;
  readonly voter: boolean;
  up = false;
  frozen = false;
  /** By its mirror processes, one after the other. */
  framesSent = 0;
  /** Of the data: the service can't write, and a copy takes nothing. */
  diskFull = false;
  /** What an earlier life left here resists the boot rule. */
  leftoversStay = false;
  bootId = '';
  /** True time of the latest freeze and thaw. */
  frozenAt = -Infinity;
  thawedAt = -Infinity;
  private zero = 0;
  private rate = 1;
  wallOffset = 0;
  /** Largest error of this run's clocks. */
  drift = 0.009_9;
  /** What its clock counts of true time from the next power-on; null: as drawn. */
  givenRate: number | null = null;
  readonly addresses = new Map<string, HeldAddress>();
  readonly resources = new Map<string, RunningResource>();
  readonly disk: Disk = {
    remembered: new Map(),
    promises: new Map(),
    config: null,
    incarnation: 0,
    copies: new Map(),
  };
  /** True time of each power-on. */
  private readonly boots: number[] = [];
  private readonly sim: Simulation;
  private readonly witnesses: Witnesses;

  constructor(
    sim: Simulation,
    witnesses: Witnesses,
    what: { readonly id: MemberId; readonly index: number; readonly role: Role; readonly voter: boolean },
  ) {
    this.sim = sim;
    this.witnesses = witnesses;
    this.id = what.id;
    this.index = what.index;
    this.role = what.role;
    this.voter = what.voter;
  }

  powerOn(): void {
    const { random } = this.sim;
    this.up = true;
    this.frozen = false;
    this.boots.push(this.sim.now);
    this.bootId = `${this.id}-boot-${String(this.boots.length)}`;
    const drawn = 1 + random.between(-this.drift, this.drift);
    this.rate = this.givenRate ?? drawn;
    this.zero = this.sim.now - random.between(1_000, 30_000);
  }

  /** True time of the latest power-on until then. */
  bootedBy(atMs: number): number {
    return this.boots.findLast((boot) => boot <= atMs) ?? 0;
  }

  powerOff(): void {
    if (!this.frozen) this.stopWriting();
    this.up = false;
    this.frozen = false;
    for (const [address, held] of [...this.addresses]) {
      this.addresses.delete(address);
      this.witnesses.addressGone(this, address, held);
    }
    for (const [name, running] of [...this.resources]) {
      this.resources.delete(name);
      this.witnesses.resourceGone(this, name, running);
    }
  }

  /** Boot time in milliseconds: counts while the host is frozen. */
  boot(): number {
    return (this.sim.now - this.zero) * this.rate;
  }

  trueAt(bootMs: number): number {
    return this.zero + bootMs / this.rate;
  }

  wall(): number {
    return 1_800_000_000_000 + this.sim.now + this.wallOffset;
  }

  /** Whether it runs at all now. */
  get runs(): boolean {
    return this.up && !this.frozen;
  }

  /** The data of a group here, made when it is first asked for. */
  copyOf(group: GroupId): Copy {
    const known = this.disk.copies.get(group);
    if (known !== undefined) return known;
    const fresh = new Copy(group);
    this.disk.copies.set(group, fresh);
    return fresh;
  }

  private stopWriting(): void {
    for (const copy of this.disk.copies.values()) copy.end(this.sim.now);
  }

  freeze(): void {
    this.stopWriting();
    this.frozen = true;
    this.frozenAt = this.sim.now;
  }

  /** M2. */
  thaw(): void {
    this.frozen = false;
    this.thawedAt = this.sim.now;
    for (const { group, epoch } of this.resources.values()) this.copyOf(group).begin(epoch, this.sim.now);
    for (const [address, held] of [...this.addresses]) {
      if (held.goneAt !== null && held.goneAt <= this.sim.now) this.dropAddress(address);
    }
    this.witnesses.thawed(this);
  }

  /** M1. `lifetimeS` null: for ever. */
  setAddress(address: string, group: GroupId, epoch: Epoch | null, lifetimeS: number | null): void {
    const goneAt =
      lifetimeS === null
        ? null
        : this.trueAt(
            this.boot() + lifetimeS * 1_000 + this.sim.random.between(-kernelEarlyMs, kernelLateMs),
          );
    const held: HeldAddress = { group, epoch, goneAt };
    const fresh = !this.addresses.has(address);
    this.addresses.set(address, held);
    if (fresh)
      this.sim.log(this.id, `address ${address} set${epoch === null ? '' : ` at epoch ${epoch.toString()}`}`);
    this.witnesses.addressSet(this, address, held);
    if (goneAt === null) return;
    const { bootId } = this;
    this.sim.at(goneAt, () => {
      if (this.bootId !== bootId || this.frozen || this.addresses.get(address) !== held) return;
      this.sim.log(this.id, `kernel: lifetime of ${address} ended`);
      this.dropAddress(address);
    });
  }

  dropAddress(address: string): void {
    const held = this.addresses.get(address);
    if (held === undefined) return;
    this.addresses.delete(address);
    this.sim.log(this.id, `address ${address} gone`);
    this.witnesses.addressGone(this, address, held);
  }

  startResource(group: GroupId, name: string, epoch: Epoch): void {
    const key = `${group}/${name}`;
    const running: RunningResource = { group, epoch, broken: false };
    this.resources.set(key, running);
    this.copyOf(group).begin(epoch, this.sim.now);
    this.sim.log(this.id, `${key} runs at epoch ${epoch.toString()}`);
    this.witnesses.resourceRuns(this, key, running);
  }

  stopResource(group: GroupId, name: string): void {
    this.stopByKey(`${group}/${name}`);
  }

  stopByKey(key: string): void {
    const running = this.resources.get(key);
    if (running === undefined) return;
    this.resources.delete(key);
    const others = [...this.resources.values()].some((r) => r.group === running.group);
    if (!others) this.copyOf(running.group).end(this.sim.now);
    this.sim.log(this.id, `${key} stopped`);
    this.witnesses.resourceGone(this, key, running);
  }
}
