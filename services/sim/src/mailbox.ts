/**
 * A process as the world sees it: it takes one event at a time, sleeps until its next deadline, can be frozen (then
 * its events and timers wait) and can die (then they are lost).
 */

import type { Machine } from './machine.ts';
import type { Simulation } from './simulation.ts';

/** A socket buffer is not endless: what comes after this is lost. */
const waitingMax = 500;
/** Above the rounding error of a clock's conversion, so that a deadline has come when its timer fires. */
const roundingMs = 1e-5;

export class Mailbox<E> {
  alive = true;
  frozen = false;
  /** True time of the last thaw of this process. */
  thawedAt = -Infinity;
  private waiting: E[] = [];
  private missedWake = false;
  private armedFor: number | null = null;
  private timer = 0;
  private readonly sim: Simulation;
  private readonly machine: Machine;
  private readonly wake: E;
  private readonly handle: (event: E) => void;

  constructor(sim: Simulation, machine: Machine, wake: E, handle: (event: E) => void) {
    this.sim = sim;
    this.machine = machine;
    this.wake = wake;
    this.handle = handle;
  }

  get runs(): boolean {
    return this.alive && !this.frozen && this.machine.runs;
  }

  deliver(event: E): void {
    if (!this.alive || !this.machine.up) return;
    if (this.runs) this.handle(event);
    else if (this.waiting.length < waitingMax) this.waiting.push(event);
  }

  /** Arms the one timer of the process; `bootMs` is on the host's boot clock. */
  wakeAt(bootMs: number | null): void {
    if (bootMs === this.armedFor) return;
    this.armedFor = bootMs;
    this.timer += 1;
    if (bootMs === null) return;
    const { timer } = this;
    this.sim.at(this.machine.trueAt(bootMs) + roundingMs, () => {
      if (timer !== this.timer || !this.alive) return;
      this.armedFor = null;
      if (this.runs) this.handle(this.wake);
      else this.missedWake = true;
    });
  }

  freeze(): void {
    this.frozen = true;
  }

  /** The process, or the host below it, goes on: what waited comes at once, the timer before or after the rest. */
  thaw(): void {
    this.frozen = false;
    if (!this.runs) return;
    this.thawedAt = this.sim.now;
    const waiting = this.waiting;
    this.waiting = [];
    const timerFirst = this.sim.random.chance(0.5);
    if (this.missedWake && timerFirst) waiting.unshift(this.wake);
    if (this.missedWake && !timerFirst) waiting.push(this.wake);
    this.missedWake = false;
    for (const event of waiting) this.deliver(event);
  }

  die(): void {
    this.alive = false;
    this.waiting = [];
    this.timer += 1;
  }
}
