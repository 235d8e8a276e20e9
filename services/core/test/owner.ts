/** An agent that owns a group, without a shell around it. */

import type { AgentAction, AgentEvent, GroupRecord, RenewalRecord } from '../src/index.ts';
import { ownedByA } from './leader.ts';
import { LoneAgent } from './lone-agent.ts';

export const own: GroupRecord = { ...ownedByA, ownership: { kind: 'owned', owner: 'a', epoch: 1n } };

/** Server a with g1 active, whose renewals are all committed. */
export class Owner extends LoneAgent {
  renewed: RenewalRecord | null = null;
  /** Its renewals are answered. */
  answered: boolean;

  constructor(held: Extract<AgentEvent, { kind: 'started' }>['held'] = [], lost = false, answered = true) {
    super(own);
    this.answered = answered;
    this.take({ kind: 'started', held, epochs: new Map(), ahead: new Map(), promises: [], lost });
  }

  protected override carryOut(action: AgentAction): void {
    if (action.kind === 'renew') {
      this.renewed = action.next;
      if (!this.answered) return;
    }
    super.carryOut(action);
    if (action.kind === 'run-step' && action.step.kind !== 'stop') this.end(action);
  }

  end({ group, epoch, run }: Extract<AgentAction, { kind: 'run-step' }>): void {
    this.take({ kind: 'step-ended', group, epoch, run, ended: { kind: 'done' }, ms: 1, occupied: false });
  }

  stripped(): readonly string[] {
    return this.actions.flatMap((a) => (a.kind === 'strip' ? a.addresses : []));
  }
}
