/** Looking without touching: echo requests, and who answers at an address. */

import type { AgentAction, AgentEvent, MemberId, Message } from '@holdfast/core';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import type { Simulation } from './simulation.ts';
import type { Steps } from './steps.ts';

export interface Eyes {
  readonly sim: Simulation;
  readonly machine: Machine;
  readonly network: Network;
  readonly steps: Steps;
  readonly machineOf: (id: MemberId) => Machine | null;
}

export function ping(eyes: Eyes, member: MemberId, path: number, tell: (event: AgentEvent) => void): void {
  const { sim, machine, network } = eyes;
  const target = eyes.machineOf(member);
  if (target === null) return;
  sim.after(sim.random.between(1, 300), () => {
    const answers = network.answers(machine, target, path);
    tell({ kind: 'pinged', member, path, answers, gatewayAnswers: null });
  });
}

/** For another member: what answers at its addresses, as seen from here. */
export function look(
  { sim, steps }: Eyes,
  { round, addresses }: Extract<AgentAction, { kind: 'sight' }>,
  tell: (message: Message) => void,
): void {
  steps.onHost(sim.random.between(20, 200), () => {
    for (const address of addresses) {
      tell({ kind: 'sighting', round, address, linkAddress: steps.holderOf(address) });
    }
  });
}
