/** The loop of one agent, without a shell around it. Its renewals are committed at once. */

import {
  newAgent,
  stepAgent,
  type AgentAction,
  type AgentEvent,
  type AgentState,
  type GroupRecord,
} from '../src/index.ts';
import { identityOfA } from './leader.ts';

export class LoneAgent {
  state: AgentState;
  now = 0;
  actions: AgentAction[] = [];
  /** Of g1, as the answer to a renewal tells it. */
  record: GroupRecord;
  revision = 100n;

  constructor(record: GroupRecord, self: 'a' | 'b' = 'a') {
    this.record = record;
    this.state = newAgent({ ...identityOfA, self }, 0);
  }

  /** Answers what that led to at once. */
  take(event: AgentEvent): readonly AgentAction[] {
    const { state, actions } = stepAgent(this.state, event, this.now);
    this.state = state;
    this.actions.push(...actions);
    for (const action of actions) this.carryOut(action);
    return actions;
  }

  pass(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10) this.take({ kind: 'wake' });
  }

  protected carryOut(action: AgentAction): void {
    if (action.kind !== 'renew') return;
    const answer = { kind: 'committed', revision: (this.revision += 1n), groups: [this.record] } as const;
    this.take({ kind: 'renewed', attempt: action.attempt, answer });
  }
}
