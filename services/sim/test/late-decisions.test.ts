/**
 * What a quorum service passes over as routine (routine.ts of core) puts no decision off for longer than a heartbeat: each
 * step is compared with one that judges every group.
 */

import { heartbeatMsOf, stepQuorum, type GroupId, type QuorumState } from '@holdfast/core';
import { runSeed } from '../src/run.ts';
import { honest, type Tampering } from '../src/tampering.ts';

/** What a service knows of a run in which it judges at every event. */
interface Eager {
  readonly presence: QuorumState['presence'];
  /** Changes that are due and not decided: since when. */
  readonly due: ReadonlyMap<GroupId, number>;
}

/** Timers are rounded up. */
const roundingMs = 0.01;

function compared(late: string[]): Tampering {
  const known = new WeakMap<QuorumState, Eager>();
  return {
    ...honest,
    quorum: (state, event, now, wall) => {
      const before = known.get(state) ?? { presence: state.presence, due: new Map<GroupId, number>() };
      const step = stepQuorum(state, event, now, wall);
      const eager = stepQuorum({ ...state, presence: before.presence, wakeAt: now }, event, now, wall).state;
      const due = new Map<GroupId, number>();
      for (const [group, { change }] of eager.judgements) {
        const isDecided = (step.state.judgements.get(group)?.change ?? null) !== null;
        if (change !== null && !isDecided) due.set(group, before.due.get(group) ?? now);
      }
      const heartbeatMs = heartbeatMsOf(state.view.config?.value ?? null);
      for (const [group, since] of due)
        if (now - since > heartbeatMs + roundingMs)
          late.push(`${state.self} decides ${group} more than a heartbeat late, at ${String(now)}`);
      known.set(step.state, { presence: eager.presence, due });
      return step;
    },
  };
}

describe('a leader that judges nothing at routine news', () => {
  it.each([1, 2, 3])(
    'decides everything within a heartbeat (seed %i)',
    (seed) => {
      const late: string[] = [];
      const { violation } = runSeed(seed, { minutes: 10, tampering: compared(late) });
      expect(late.slice(0, 5)).toEqual([]);
      expect(violation).toBeNull();
    },
    120_000,
  );
});
