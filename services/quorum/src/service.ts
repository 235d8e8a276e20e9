/**
 * The shell of the quorum loop: carries out what the core orders and feeds the outcomes back as events. It decides
 * nothing. One timer, for the exact moment that the core asks for.
 */

import {
  leads,
  newQuorum,
  stepQuorum,
  watchedPrefix,
  type CommandResult,
  type QuorumAction,
  type QuorumCommand,
  type QuorumEvent,
  type QuorumState,
  type RenewResult,
} from '@holdfast/core';
import { bootMs } from '@holdfast/wire/directory';
import type { Journal } from '@holdfast/wire/journal';
import type { Log } from '@holdfast/wire/log';
import type { Store, StoreWatchHandle } from './store.ts';

export interface QuorumServiceOptions {
  readonly self: string;
  readonly witness: boolean;
  readonly incarnation: number;
  readonly store: Store;
  readonly log: Log;
  readonly journal: Journal;
}

type RenewCall = {
  readonly server: string;
  readonly previous: string | null;
  readonly next: string;
  readonly notes: readonly { readonly id: string; readonly text: string }[];
};

const readDeadlineMs = 1_500;
const timerMsMax = 60_000;
/** Two readings of the clocks are less apart. */
const sleptMsMin = 1;

export class QuorumService {
  private current: QuorumState;
  private readonly options: QuorumServiceOptions;
  private readonly queue: QuorumEvent[] = [];
  private readonly renewals = new Map<number, (result: RenewResult) => void>();
  private readonly commands = new Map<number, (result: CommandResult) => void>();
  private readonly listeners = new Set<() => void>();
  private store: Store;
  private watch: StoreWatchHandle | null = null;
  private timer: NodeJS.Timeout | null = null;
  /** What the timer waits for, and how far the boot clock was ahead of Node's then. */
  private armed: { readonly for: number; readonly aheadMs: number } | null = null;
  private nextId = 1;
  private busy = false;
  private closed = false;
  /** Somebody waits for us to let go of leadership. */
  private left: (() => void) | null = null;

  constructor(options: QuorumServiceOptions) {
    this.options = options;
    this.store = options.store;
    this.current = newQuorum(options.self, options.witness, options.incarnation, bootMs());
  }

  get state(): QuorumState {
    return this.current;
  }

  get storeNow(): Store {
    return this.store;
  }

  start(): void {
    this.openWatch();
    this.dispatch({ kind: 'started' });
  }

  /** The voters changed: the same state, over other endpoints. */
  useStore(store: Store): void {
    const before = this.store;
    this.watch?.close();
    this.store = store;
    this.openWatch();
    before.close();
    this.dispatch({ kind: 'watch-lost' });
  }

  /** Lets go of leadership, so that another service leads at once. Resolves when it is done or overdue. */
  leave(deadlineMs: number): Promise<void> {
    this.dispatch({ kind: 'leaving' });
    if (!this.leads()) return Promise.resolve();
    return new Promise((resolve) => {
      const overdue = setTimeout(resolve, deadlineMs);
      this.left = () => {
        clearTimeout(overdue);
        resolve();
      };
    });
  }

  private leads(): boolean {
    return leads(this.current.view, this.options.self, this.options.incarnation);
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    this.watch?.close();
    this.store.close();
    for (const answer of this.renewals.values())
      answer({ kind: 'no-answer', says: 'the quorum service is closing' });
    for (const answer of this.commands.values()) answer({ kind: 'not-leader', leader: null });
  }

  /** Resolves with the core's answer; the caller brings its own deadline. */
  renew(call: RenewCall): Promise<RenewResult> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.renewals.set(id, resolve);
      this.dispatch({ kind: 'renew', request: { id, ...call } });
    });
  }

  command(command: QuorumCommand, by: string, dryRun: boolean): Promise<CommandResult> {
    const id = this.nextId++;
    return new Promise((resolve) => {
      this.commands.set(id, resolve);
      this.dispatch({ kind: 'command', id, by, command, dryRun });
    });
  }

  /** Called after every change that agents should know of. Returns how to stop. */
  onPush(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  dispatch(event: QuorumEvent): void {
    if (this.closed) return;
    this.queue.push(event);
    if (this.busy) return;
    this.busy = true;
    for (let next = this.queue.shift(); next !== undefined; next = this.queue.shift()) this.step(next);
    this.busy = false;
  }

  private step(event: QuorumEvent): void {
    const now = bootMs();
    const aheadMs = now - performance.now();
    const { state, actions, wakeAt } = stepQuorum(this.current, event, now, Date.now());
    this.current = state;
    if (this.left !== null && !this.leads()) this.left();
    for (const action of actions) this.perform(action);
    this.arm(wakeAt, now, aheadMs);
  }

  /** Most events leave the next deadline as it is, and so the timer, unless the host slept since it was armed. */
  private arm(wakeAt: number | null, now: number, aheadMs: number): void {
    const armed = this.timer === null ? null : this.armed;
    if (armed?.for === wakeAt && Math.abs(aheadMs - armed.aheadMs) < sleptMsMin) return;
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
    if (wakeAt === null) return;
    this.armed = { for: wakeAt, aheadMs };
    // Node rounds timers to whole milliseconds and may fire early: never before the moment itself.
    const delay = Math.min(timerMsMax, Math.max(1, Math.ceil(wakeAt - now)));
    this.timer = setTimeout(() => {
      this.timer = null;
      this.dispatch({ kind: 'wake' });
    }, delay);
  }

  private perform(action: QuorumAction): void {
    switch (action.kind) {
      case 'read':
        void this.store
          .read(watchedPrefix, readDeadlineMs)
          .then((answer) => this.dispatch({ kind: 'read', answer }));
        return;
      case 'txn':
        void this.store
          .txn(action.txn, action.deadlineMs)
          .then((answer) => this.dispatch({ kind: 'txn-ended', id: action.id, answer }));
        return;
      case 'answer-renew':
        this.renewals.get(action.id)?.(action.result);
        this.renewals.delete(action.id);
        return;
      case 'answer-command':
        this.commands.get(action.id)?.(action.result);
        this.commands.delete(action.id);
        return;
      case 'push':
        for (const listener of this.listeners) listener();
        return;
      case 'note':
        this.options.log.info(action.what, action.reason, { group: action.group });
        this.options.journal.write(action.what, { group: action.group, reason: action.reason });
        return;
    }
  }

  private openWatch(): void {
    this.watch = this.store.watch(watchedPrefix, {
      changed: (revision, rows) => this.dispatch({ kind: 'changed', revision, rows }),
      lost: (says) => {
        this.options.log.debug('watch-lost', says);
        this.dispatch({ kind: 'watch-lost' });
      },
    });
  }
}
