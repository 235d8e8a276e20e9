/** An agent that owns a group, without a shell around it. */

import {
  newAgent,
  stepAgent,
  type AgentAction,
  type AgentEvent,
  type AgentState,
  type GroupRecord,
  type RenewalRecord,
} from '../src/index.ts';
import { identityOfA, ownedByA } from './leader.ts';

export const own: GroupRecord = { ...ownedByA, ownership: { kind: 'owned', owner: 'a', epoch: 1n } };

/** Server a with g1 active, whose renewals are all committed. */
export class Owner {
  state: AgentState;
  now = 0;
  renewed: RenewalRecord | null = null;
  actions: AgentAction[] = [];
  record: GroupRecord = own;
  revision = 100n;
  /** Its renewals are answered. */
  answered: boolean;

  constructor(held: Extract<AgentEvent, { kind: 'started' }>['held'] = [], lost = false, answered = true) {
    this.answered = answered;
    this.state = newAgent(identityOfA, 0);
    this.take({ kind: 'started', held, epochs: new Map(), ahead: new Map(), promises: [], lost });
  }

  take(event: AgentEvent): void {
    const { state, actions } = stepAgent(this.state, event, this.now);
    this.state = state;
    this.actions.push(...actions);
    for (const action of actions) {
      if (action.kind === 'renew') {
        this.renewed = action.next;
        if (!this.answered) continue;
        const answer = {
          kind: 'committed',
          revision: (this.revision += 1n),
          groups: [this.record],
        } as const;
        this.take({ kind: 'renewed', attempt: action.attempt, answer });
      }
      if (action.kind === 'run-step' && action.step.kind !== 'stop') this.end(action);
    }
  }

  end({ group, epoch, run }: Extract<AgentAction, { kind: 'run-step' }>): void {
    this.take({ kind: 'step-ended', group, epoch, run, ended: { kind: 'done' }, ms: 1, occupied: false });
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) this.take({ kind: 'wake' });
  }

  stripped(): readonly string[] {
    return this.actions.flatMap((a) => (a.kind === 'strip' ? a.addresses : []));
  }
}
