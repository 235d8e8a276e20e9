/**
 * The loop around core's pure one: takes an event, replaces the state, carries the actions out, arms one timer for the
 * exact next deadline.
 *
 *   L1  one event at a time; what happens while actions are carried out waits its turn
 *   L2  one timer. Node's counts whole milliseconds of a clock that stops in suspend and may fire early, so at its end
 *       the boot clock is asked; nothing is polled
 *   L3  most events leave the next deadline as it is, and so the timer, unless the host slept since it was armed
 */

import { stepAgent, type AgentAction, type AgentEvent, type AgentState, type BootMs } from '@holdfast/core';

export interface LoopPorts {
  readonly bootMs: () => BootMs;
  readonly perform: (action: AgentAction) => void;
  /** After each event, before its actions. `now`: when the event was taken. */
  readonly stepped: (before: AgentState, after: AgentState, reason: string | null, now: BootMs) => void;
}

const timerMsMax = 2 ** 31 - 1;
/** Two readings of the clocks are less apart. */
const sleptMsMin = 1;

export class Loop {
  readonly #ports: LoopPorts;
  readonly #queue: AgentEvent[] = [];
  #state: AgentState;
  #wakeAt: BootMs | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** L3: what the timer waits for, and how far the boot clock was ahead of Node's then. */
  #armed: { readonly for: BootMs; readonly aheadMs: number } | null = null;
  #aheadMs = 0;
  #busy = false;
  #stopped = false;

  constructor(state: AgentState, ports: LoopPorts) {
    this.#state = state;
    this.#ports = ports;
  }

  get state(): AgentState {
    return this.#state;
  }

  dispatch(event: AgentEvent): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    if (this.#busy) return; // L1
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#step(next);
    } finally {
      this.#busy = false;
    }
    this.#arm();
  }

  /** Nothing happens from here on. */
  stop(): void {
    this.#stopped = true;
    this.#queue.length = 0;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #step(event: AgentEvent): void {
    const before = this.#state;
    const now = this.#ports.bootMs();
    this.#aheadMs = now - performance.now();
    const { state, actions, wakeAt, reason } = stepAgent(before, event, now);
    this.#state = state;
    this.#wakeAt = wakeAt;
    this.#ports.stepped(before, state, reason, now);
    for (const action of actions) {
      if (this.#stopped) return;
      this.#ports.perform(action);
    }
  }

  /** L2. */
  #arm(): void {
    const wakeAt = this.#wakeAt;
    const armed = this.#timer === null ? null : this.#armed;
    if (armed?.for === wakeAt && Math.abs(this.#aheadMs - armed.aheadMs) < sleptMsMin) return; // L3
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (wakeAt === null || this.#stopped) return;
    this.#armed = { for: wakeAt, aheadMs: this.#aheadMs };
    const delayMs = Math.min(timerMsMax, Math.max(0, Math.ceil(wakeAt - this.#ports.bootMs())));
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#ports.bootMs() < wakeAt) this.#arm();
      else this.dispatch({ kind: 'wake' });
    }, delayMs);
  }
}
