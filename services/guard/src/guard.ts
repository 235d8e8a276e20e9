/**
 * The guard's shell: feeds events into the decision, carries out the actions, and keeps one timer for the next
 * deadline. A regular check stands beside the timer, for a timer sleeps when the host sleeps.
 */

import type { CommandEnd } from './commands.ts';
import { decide } from './dead-man.ts';
import { runFence } from './fence-run.ts';
import type { Journal } from './journal.ts';
import {
  parseRequest,
  type Argv,
  type EventMessage,
  type FenceOrder,
  type ReplyMessage,
  type RequestId,
  type StateMessage,
} from './protocol.ts';
import { initialState, showWatchdog, type Action, type Event, type State } from './state.ts';
import type { WatchdogDevice, WatchdogResult } from './watchdog.ts';

/** How often the clock is looked at; a host that wakes from sleep is noticed within this time. */
export const checkMs = 500;
/** A pause longer than this between two looks is journalled. */
const pauseMs = 2_000;
/** The longest a Node timer can wait is 2^31 - 1 ms; the regular check makes longer ones needless. */
const timerMsMax = 60_000;

export interface GuardPorts {
  bootMs(): number;
  run(argv: Argv, timeoutMs: number): Promise<CommandEnd>;
  send(client: number, message: ReplyMessage | EventMessage): void;
  sendAll(message: EventMessage): void;
  exit(): void;
  readonly watchdog: WatchdogDevice;
  readonly journal: Journal;
}

export class Guard {
  readonly #ports: GuardPorts;
  readonly #check: NodeJS.Timeout;
  #state: State = initialState;
  #timer: NodeJS.Timeout | undefined;
  #lookedMs: number;
  #garbage = 0;
  /** Events that actions gave rise to: handled in order, after the actions. */
  readonly #queue: Event[] = [];
  #busy = false;

  constructor(ports: GuardPorts) {
    this.#ports = ports;
    this.#lookedMs = ports.bootMs();
    this.#check = setInterval(() => this.feed({ kind: 'wake' }), checkMs);
  }

  /** One line of a client. */
  line(client: number, line: string): void {
    const parsed = parseRequest(line);
    switch (parsed.kind) {
      case 'request':
        this.feed({ kind: 'request', client, request: parsed.request });
        return;
      case 'wrong':
        this.garbage(1);
        this.#ports.send(client, { type: 'refused', id: parsed.id, reason: parsed.reason, groups: [] });
        return;
      case 'garbage':
        this.garbage(1);
        return;
    }
  }

  garbage(lines: number): void {
    this.#garbage += lines;
  }

  feed(event: Event): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#decide(next);
    } finally {
      this.#busy = false;
    }
  }

  /** Ends the timers. */
  close(): void {
    clearInterval(this.#check);
    clearTimeout(this.#timer);
  }

  #decide(event: Event): void {
    const nowMs = this.#ports.bootMs();
    const pausedMs = nowMs - this.#lookedMs;
    if (pausedMs > pauseMs) {
      this.#ports.journal.write({
        bootMs: nowMs,
        kind: 'paused',
        says: `the guard or the host stood still for ${Math.round(pausedMs)} ms`,
      });
    }
    this.#lookedMs = nowMs;
    const { state, actions, wakeAt } = decide(this.#state, event, nowMs);
    this.#state = state;
    for (const action of actions) this.#act(action);
    clearTimeout(this.#timer);
    if (wakeAt === null) return;
    const waitMs = Math.min(timerMsMax, Math.max(0, Math.ceil(wakeAt - nowMs)));
    this.#timer = setTimeout(() => this.feed({ kind: 'wake' }), waitMs);
  }

  #act(action: Action): void {
    const { watchdog, journal } = this.#ports;
    switch (action.kind) {
      case 'run':
        this.#run(action.order, action.endsByMs);
        return;
      case 'reply':
        this.#ports.send(action.client, action.message);
        return;
      case 'reply-state':
        this.#ports.send(action.client, this.#show(action.id));
        return;
      case 'tell':
        this.#ports.sendAll(action.message);
        return;
      case 'journal':
        journal.write({
          bootMs: this.#ports.bootMs(),
          kind: action.event,
          says: action.says,
          ...aboutOf(action.about),
        });
        return;
      case 'open-watchdog':
        this.#note(watchdog.open(action.device));
        return;
      case 'pet-watchdog':
        this.#note(watchdog.pet());
        return;
      case 'close-watchdog':
        this.#note(watchdog.closeOrderly());
        return;
      case 'exit':
        this.#ports.exit();
        return;
    }
  }

  #run(order: FenceOrder, endsByMs: number): void {
    const { group, epoch } = order;
    const ports = {
      bootMs: () => this.#ports.bootMs(),
      run: (argv: Argv, timeoutMs: number) => this.#ports.run(argv, timeoutMs),
      pause: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
    };
    runFence(order, endsByMs, ports).then(
      (failures) => this.feed({ kind: 'ran', group, epoch, failures }),
      (error: unknown) => this.feed({ kind: 'ran', group, epoch, failures: [String(error)] }),
    );
  }

  #note(result: WatchdogResult): void {
    const { watchdog } = this.#state;
    if (result.kind === 'ok' || watchdog.kind === 'off') return;
    this.#ports.watchdog.abandon();
    this.feed({ kind: 'watchdog-failed', device: watchdog.device, says: result.says });
  }

  #show(id: RequestId): StateMessage {
    const phases = [...this.#state.groups.values()];
    return {
      type: 'state',
      id,
      nowMs: this.#ports.bootMs(),
      pid: process.pid,
      armed: phases
        .filter((phase) => phase.kind === 'armed')
        .map(({ order }) => ({
          group: order.group,
          epoch: order.epoch.toString(),
          fenceAtMs: order.fenceAtMs,
          doneByMs: order.doneByMs,
        })),
      fencing: phases
        .filter((phase) => phase.kind === 'fencing')
        .map(({ order, endsByMs }) => ({
          group: order.group,
          epoch: order.epoch.toString(),
          doneByMs: endsByMs,
        })),
      fenced: this.#state.outcomes,
      watchdog: showWatchdog(this.#state.watchdog),
      garbage: this.#garbage,
    };
  }
}

function aboutOf(order: FenceOrder | undefined): { group?: string; epoch?: string; fenceAtMs?: number } {
  if (order === undefined) return {};
  return { group: order.group, epoch: order.epoch.toString(), fenceAtMs: order.fenceAtMs };
}
