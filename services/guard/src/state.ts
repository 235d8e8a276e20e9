/** What the guard keeps, what happens to it, and what it does about it: the vocabulary of dead-man.ts. */

import type {
  EventMessage,
  FenceOrder,
  Outcome,
  ReplyMessage,
  Request,
  RequestId,
  WatchdogMessage,
} from './protocol.ts';

export type Phase =
  | { readonly kind: 'armed'; readonly order: FenceOrder }
  | {
      readonly kind: 'fencing';
      readonly order: FenceOrder;
      readonly endsByMs: number;
      /** The deadline passed while its commands were still running. */
      readonly missed: boolean;
    }
  /** Its last fence failed; its commands are kept to try again. */
  | { readonly kind: 'failed'; readonly order: FenceOrder };

export type Watchdog =
  | { readonly kind: 'off' }
  /** Not wanted any more: closed as soon as no fence is under way. */
  | { readonly kind: 'on'; readonly device: string; readonly wanted: boolean }
  /** It could not be opened or written; the next arm tries again. */
  | { readonly kind: 'broken'; readonly device: string; readonly says: string }
  /** A deadline was missed: the host resets when the device's own time is up. */
  | { readonly kind: 'triggered'; readonly device: string };

export interface State {
  readonly groups: ReadonlyMap<string, Phase>;
  /** The highest epoch seen of each group. */
  readonly seen: ReadonlyMap<string, bigint>;
  /** The highest epoch at which each group was fenced. */
  readonly fencedAt: ReadonlyMap<string, bigint>;
  readonly outcomes: readonly Outcome[];
  readonly watchdog: Watchdog;
}

export type Event =
  | { readonly kind: 'request'; readonly client: number; readonly request: Request }
  /** A timer, or the regular check that notices jumps of the clock. */
  | { readonly kind: 'wake' }
  | { readonly kind: 'signal'; readonly signal: string }
  /** The commands of a fence ended; no failures means that all succeeded. */
  | {
      readonly kind: 'ran';
      readonly group: string;
      readonly epoch: bigint;
      readonly failures: readonly string[];
    }
  | { readonly kind: 'watchdog-failed'; readonly device: string; readonly says: string };

export type Action =
  | { readonly kind: 'run'; readonly order: FenceOrder; readonly endsByMs: number }
  | { readonly kind: 'reply'; readonly client: number; readonly message: ReplyMessage }
  | { readonly kind: 'reply-state'; readonly client: number; readonly id: RequestId }
  | { readonly kind: 'tell'; readonly message: EventMessage }
  | {
      readonly kind: 'journal';
      readonly event: string;
      readonly says: string;
      /** The group it is about, at its epoch. */
      readonly about?: FenceOrder;
    }
  | { readonly kind: 'open-watchdog'; readonly device: string }
  | { readonly kind: 'pet-watchdog' }
  /** The magic close: the device stops counting. */
  | { readonly kind: 'close-watchdog' }
  | { readonly kind: 'exit' };

export interface Decision {
  readonly state: State;
  readonly actions: readonly Action[];
  /** The next deadline, or null when there is none. */
  readonly wakeAt: number | null;
  /** One sentence; empty when nothing was decided. */
  readonly reason: string;
}

/** A decision in the making. */
export interface Step {
  readonly state: State;
  readonly actions: readonly Action[];
  readonly reason: string;
}

export const initialState: State = {
  groups: new Map(),
  seen: new Map(),
  fencedAt: new Map(),
  outcomes: [],
  watchdog: { kind: 'off' },
};

/** Why the guard must stay, or null. D5 (dead-man.ts). */
export function busyWith(state: State): string | null {
  for (const [group, phase] of state.groups) {
    if (phase.kind === 'armed') return `group ${group} is armed`;
    if (phase.kind === 'fencing') return `group ${group} is being fenced`;
  }
  return null;
}

export function nextDeadline(state: State): number | null {
  let next: number | null = null;
  for (const phase of state.groups.values()) {
    const at = deadlineOf(phase);
    if (at !== null && (next === null || at < next)) next = at;
  }
  return next;
}

function deadlineOf(phase: Phase): number | null {
  switch (phase.kind) {
    case 'armed':
      return phase.order.fenceAtMs;
    case 'fencing':
      return phase.missed ? null : phase.endsByMs;
    case 'failed':
      return null;
  }
}

/** The watchdog as `state` shows it. */
export function showWatchdog(watchdog: Watchdog): WatchdogMessage {
  return {
    kind: watchdog.kind,
    device: watchdog.kind === 'off' ? null : watchdog.device,
    says: watchdog.kind === 'broken' ? watchdog.says : null,
  };
}

/** One step after another. */
export function chain(step: Step, next: (state: State) => Step): Step {
  const then = next(step.state);
  return {
    state: then.state,
    actions: [...step.actions, ...then.actions],
    reason: step.reason === '' ? then.reason : `${step.reason}; ${then.reason}`,
  };
}

export function nothing(state: State, reason: string): Step {
  return { state, actions: [], reason };
}
