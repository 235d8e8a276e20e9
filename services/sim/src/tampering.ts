/**
 * Where a run may be tampered with from outside, to see whether the audit bites (variants.ts). Core knows nothing of
 * this: its loops are wrapped, never changed.
 */

import type {
  AgentEvent,
  AgentState,
  AgentStep,
  BootMs,
  HeldBefore,
  QuorumEvent,
  QuorumState,
  QuorumStep,
  Txn,
  WallMs,
} from '@holdfast/core';
import { stepAgent, stepQuorum } from '@holdfast/core';
import type { Machine } from './machine.ts';

export interface Tampering {
  readonly agent: (state: AgentState, event: AgentEvent, now: BootMs) => AgentStep;
  readonly quorum: (state: QuorumState, event: QuorumEvent, now: BootMs, wall: WallMs) => QuorumStep;
  readonly txn: (txn: Txn) => Txn;
  /** What an agent that starts is told that it held; null: as it is. */
  readonly heldAtStart: (machine: Machine, held: readonly HeldBefore[]) => readonly HeldBefore[];
  readonly guard: 'works' | 'absent' | 'polls';
  readonly kernelLifetime: boolean;
  /** The mirror process sends as long as its orders say so, whatever became of its grant. */
  readonly ignoresGrants: boolean;
}

export const honest: Tampering = {
  agent: stepAgent,
  quorum: stepQuorum,
  txn: (txn) => txn,
  heldAtStart: (_machine, held) => held,
  guard: 'works',
  kernelLifetime: true,
  ignoresGrants: false,
};
