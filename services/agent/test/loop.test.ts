/** The loop's one timer: it is left alone while the next deadline stays, and set anew when the host slept. */

import { jest } from '@jest/globals';
import { newAgent, type AgentEvent } from '@holdfast/core';
import { Loop } from '../src/loop.ts';

const id: Parameters<typeof newAgent>[0] = {
  ...{ self: 'a', role: 'server', members: [], incarnation: 1, bootId: 'boot', version: '0.1.0' },
};

const started: AgentEvent = {
  ...{ kind: 'started', held: [], promises: [] },
  ...{ epochs: new Map(), ahead: new Map() },
};
const routine: AgentEvent = { kind: 'mirrors', reports: [] };
const beatMs = 1_000;

describe('the timer of the loop', () => {
  let sleptMs = 0;
  let beats = 0;
  let loop: Loop;

  beforeEach(() => {
    jest.useFakeTimers({ doNotFake: ['nextTick', 'queueMicrotask'] });
    sleptMs = beats = 0;
    const bootMs = (): number => performance.now() + sleptMs;
    loop = new Loop(newAgent(id, bootMs()), {
      bootMs,
      perform: () => undefined,
      stepped: (before, after) => {
        if (before.nextBeatAt !== after.nextBeatAt) beats += 1;
      },
    });
    loop.dispatch(started);
    jest.advanceTimersByTime(beatMs / 10);
    beats = 0;
  });

  afterEach(() => {
    loop.stop();
    jest.useRealTimers();
  });

  it('stays while events leave the deadline as it is', () => {
    const set = jest.spyOn(globalThis, 'setTimeout');
    loop.dispatch(routine);
    loop.dispatch(routine);
    expect(set).not.toHaveBeenCalled();
    jest.advanceTimersByTime(beatMs);
    expect(beats).toBe(1);
  });

  it('ends at the deadline although the host slept meanwhile', () => {
    sleptMs = 600;
    loop.dispatch(routine);
    jest.advanceTimersByTime(beatMs - sleptMs);
    expect(beats).toBe(1);
  });
});
