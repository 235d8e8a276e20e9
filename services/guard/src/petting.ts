/**
 * What the guard decides about the watchdog device: when it is opened, petted, closed in an orderly way, and when it
 * is left alone so that the host resets (D4 of dead-man.ts).
 */

import { chain, nothing, type State, type Step } from './state.ts';

/** D4: from here on the device is left alone, and the host resets. */
export function triggerWatchdog(step: Step, nowMs: number): Step {
  const { watchdog } = step.state;
  if (watchdog.kind !== 'on') return step;
  const says = `the watchdog ${watchdog.device} is petted no more: the host resets when its time is up`;
  return {
    state: { ...step.state, watchdog: { kind: 'triggered', device: watchdog.device } },
    actions: [
      ...step.actions,
      { kind: 'tell', message: { type: 'watchdog', atMs: nowMs, device: watchdog.device, says } },
      { kind: 'journal', event: 'watchdog', says },
    ],
    reason: `${step.reason}; ${says}`,
  };
}

export function chooseWatchdog(state: State, device: string | null): Step {
  const { watchdog } = state;
  if (watchdog.kind === 'triggered') return nothing(state, ''); // D4
  if (watchdog.kind === 'on' && device !== null && (watchdog.device === device || isFencing(state))) {
    return pet({ ...state, watchdog: { ...watchdog, wanted: true } });
  }
  const closed = closeWatchdog(state);
  if (device === null) return closed;
  return {
    state: { ...closed.state, watchdog: { kind: 'on', device, wanted: true } },
    actions: [...closed.actions, { kind: 'open-watchdog', device }],
    reason: `the watchdog ${device} is armed`,
  };
}

/** Closes it in an orderly way; while a fence is under way it stays, in case that fails. */
export function closeWatchdog(state: State): Step {
  const { watchdog } = state;
  switch (watchdog.kind) {
    case 'off':
    case 'triggered':
      return nothing(state, '');
    case 'broken':
      return nothing({ ...state, watchdog: { kind: 'off' } }, '');
    case 'on':
      if (isFencing(state)) return nothing({ ...state, watchdog: { ...watchdog, wanted: false } }, '');
      return {
        state: { ...state, watchdog: { kind: 'off' } },
        actions: [{ kind: 'close-watchdog' }],
        reason: `the watchdog ${watchdog.device} is disarmed`,
      };
  }
}

/** After a fence that succeeded: closes what was only kept for it. */
export function releaseWatchdog(step: Step): Step {
  const { watchdog } = step.state;
  if (watchdog.kind !== 'on' || watchdog.wanted || isFencing(step.state)) return step;
  return chain(step, closeWatchdog);
}

function isFencing(state: State): boolean {
  return [...state.groups.values()].some((phase) => phase.kind === 'fencing');
}

export function breakWatchdog(state: State, device: string, says: string, nowMs: number): Step {
  if (state.watchdog.kind !== 'on' || state.watchdog.device !== device) return nothing(state, '');
  return {
    state: { ...state, watchdog: { kind: 'broken', device, says } },
    actions: [
      { kind: 'tell', message: { type: 'watchdog', atMs: nowMs, device, says } },
      { kind: 'journal', event: 'watchdog', says: `${device}: ${says}` },
    ],
    reason: `the watchdog ${device} does not work: ${says}`,
  };
}

export function pet(state: State): Step {
  return state.watchdog.kind === 'on'
    ? { state, actions: [{ kind: 'pet-watchdog' }], reason: '' }
    : nothing(state, '');
}
