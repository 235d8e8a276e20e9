/** What an agent tells its next life, as services/agent/src/memory.ts writes it. */

import type { AgentAction } from '@holdfast/core';
import type { Machine } from './machine.ts';
import type { Simulation } from './simulation.ts';

const laterMs = 100;

/** What becomes of an epoch that is on disk already is written a moment later, and is lost when the agent dies before. */
export function remember(
  { disk, bootId }: Machine,
  sim: Simulation,
  { group, epoch, state }: Extract<AgentAction, { kind: 'remember' }>,
  isAlive: () => boolean,
): void {
  const isEntered = (): boolean => {
    const entered = disk.remembered.get(group);
    return entered?.epoch === epoch && entered.bootId === bootId;
  };
  const write = (): void => {
    disk.remembered.set(group, { epoch, state, bootId });
  };
  if (!isEntered()) write();
  else
    sim.after(laterMs, () => {
      if (isAlive() && isEntered()) write();
    });
}
