/**
 * The dead man's switch of one host. It knows deadlines and nothing else, and it outlives the agent.
 *
 *   D1  at the deadline it drops the addresses and stops the resources of the group, by `goneBy` with force
 *   D2  what was fenced at an epoch is never armed again at that epoch
 *   D3  when its host wakes from a suspension, its first look at the clock is before anybody else's first act
 */

import type { ArmedGroup, Ended, Epoch, GroupId } from '@holdfast/core';
import type { Machine } from './machine.ts';
import { Mailbox } from './mailbox.ts';
import type { Simulation } from './simulation.ts';

export type FenceEnded = (group: GroupId, epoch: Epoch, ended: Ended) => void;

/** What the guard can do to the host; the shell of the agent gave it the commands. */
export interface FenceCommands {
  /** Called when a fence begins: what is being started must not come up behind it. */
  cancelStarts(group: GroupId, epoch: Epoch): void;
  /** Whether this stop hangs, so that force is needed. */
  stopMs(group: GroupId, resource: string): number;
}

interface Watched {
  readonly armed: ArmedGroup;
  fencing: boolean;
}

export class Guard {
  readonly mailbox: Mailbox<'wake'>;
  private readonly watched = new Map<GroupId, Watched>();
  private readonly fencedAt = new Map<GroupId, Epoch>();
  private readonly machine: Machine;
  private readonly sim: Simulation;
  private readonly commands: FenceCommands;
  private readonly tell: FenceEnded;
  /** A broken variant: it looks at the clock once a second. */
  private readonly polls: boolean;

  constructor(sim: Simulation, machine: Machine, commands: FenceCommands, tell: FenceEnded, polls: boolean) {
    this.sim = sim;
    this.machine = machine;
    this.commands = commands;
    this.tell = tell;
    this.polls = polls;
    this.mailbox = new Mailbox<'wake'>(sim, machine, 'wake', () => this.look());
  }

  /** Replaces what it watches over; a fence that is under way goes on. */
  arm(groups: readonly ArmedGroup[]): void {
    if (!this.mailbox.runs) return;
    for (const [group, watched] of [...this.watched]) {
      if (!watched.fencing && !groups.some((g) => g.group === group)) this.watched.delete(group);
    }
    for (const armed of groups) {
      if (this.watched.get(armed.group)?.fencing === true) continue;
      if ((this.fencedAt.get(armed.group) ?? -1n) >= armed.epoch) continue; // D2
      this.watched.set(armed.group, { armed, fencing: false });
    }
    this.look();
  }

  /** What an agent that starts again may rely on. */
  vouchesFor(): readonly ArmedGroup[] {
    return [...this.watched.values()].filter((w) => !w.fencing).map((w) => w.armed);
  }

  fence(group: GroupId, epoch: Epoch, doneBy: number): void {
    if (!this.mailbox.runs) return;
    const watched = this.watched.get(group);
    if (watched?.fencing === true) return;
    const armed = watched?.armed ?? { group, epoch, fenceAt: this.machine.boot(), goneBy: doneBy };
    this.begin(armed);
  }

  private look(): void {
    const now = this.machine.boot();
    let next: number | null = null;
    for (const w of [...this.watched.values()]) {
      if (w.fencing) continue;
      if (now >= w.armed.fenceAt) this.begin(w.armed);
      else next = next === null ? w.armed.fenceAt : Math.min(next, w.armed.fenceAt);
    }
    this.mailbox.wakeAt(this.polls ? pollAt(now) : next);
  }

  /** D1. */
  private begin(armed: ArmedGroup): void {
    const { group, epoch } = armed;
    const { machine, sim } = this;
    this.watched.set(group, { armed, fencing: true });
    sim.log(machine.id, `guard: fences ${group} at epoch ${epoch.toString()}`);
    this.commands.cancelStarts(group, epoch);
    const { bootId } = machine;
    const alive = () => this.mailbox.alive && machine.bootId === bootId && machine.up;
    const leftMs = Math.max(0, machine.trueAt(armed.goneBy) - sim.now);
    const drop = () => {
      for (const [address, held] of [...machine.addresses]) {
        if (held.group === group && held.epoch !== null && held.epoch <= epoch) machine.dropAddress(address);
      }
    };
    this.whenRunning(alive, Math.min(leftMs, sim.random.between(1, 8)), drop);
    let at = 10;
    const mine = [...machine.resources].filter(([, r]) => r.group === group && r.epoch <= epoch).reverse();
    for (const [key] of mine) {
      at += this.commands.stopMs(group, key);
      const last = Math.min(at, leftMs);
      this.whenRunning(alive, last, () => machine.stopByKey(key));
    }
    this.whenRunning(alive, Math.min(at, leftMs) + 1, () => {
      drop();
      this.watched.delete(group);
      this.fencedAt.set(group, epoch);
      this.tell(group, epoch, { kind: 'done' });
    });
  }

  /** Commands run on while the guard itself is frozen; on a frozen host nothing does. */
  private whenRunning(alive: () => boolean, delayMs: number, what: () => void): void {
    this.sim.after(delayMs, () => {
      if (!alive()) return;
      if (this.machine.frozen) this.whenRunning(alive, 20, what);
      else what();
    });
  }
}

const pollMs = 1_000;

function pollAt(now: number): number {
  return (Math.floor(now / pollMs) + 1) * pollMs;
}
