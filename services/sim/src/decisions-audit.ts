/**
 * Every decision, made again from what was kept of it, is the same (K1 of core's decision.ts). One that was only told changes
 * nothing (I8).
 */

import {
  decideAgain,
  encode,
  keys,
  live,
  parseDecision,
  parseEvent,
  parseGroup,
  type EventRecord,
  type Txn,
} from '@holdfast/core';
import type { Simulation } from './simulation.ts';

export class DecisionsAudit {
  /** Decisions that were made again. */
  count = 0;
  private readonly sim: Simulation;

  constructor(sim: Simulation) {
    this.sim = sim;
  }

  committed(txn: Txn): void {
    const kept = valueUnder(txn, keys.decisions);
    if (kept === undefined) return;
    const event = parseEvent(valueUnder(txn, keys.events) ?? '');
    const decision = parseDecision(kept);
    if (event.kind === 'ok' && event.value.kind === 'would-have') {
      this.onlyTold(txn, event.value, decision);
      return;
    }
    const record = parseGroup(valueUnder(txn, keys.groups) ?? '');
    if (event.kind === 'garbage' || record.kind === 'garbage' || decision.kind === 'garbage') {
      this.sim.fail('K1', 'a decision can not be read back with its event and its record');
      return;
    }
    this.count += 1;
    const again = decideAgain(decision.value);
    const change = 'refused' in again ? null : again.change;
    if (change?.what === event.value.kind && encode(change.record) === encode(record.value)) return;
    const says = 'refused' in again ? again.refused : `${change?.what ?? again.phase}: ${again.reason}`;
    this.sim.fail(
      'K1',
      `${event.value.kind} (${event.value.reason}) of ${record.value.group} is, made again, ${says}`,
    );
  }

  private onlyTold(
    txn: Txn,
    { group, reason }: EventRecord,
    decision: ReturnType<typeof parseDecision>,
  ): void {
    const again = decision.kind === 'ok' ? decideAgain(decision.value) : null;
    this.count += 1;
    if (txn.puts.some(({ key }) => key.startsWith(live)))
      this.sim.fail('I8', `${String(group)}: more is done than to tell that ${reason}`);
    if (again === null || 'refused' in again || again.withheld === undefined || again.reason !== reason)
      this.sim.fail('K1', `would-have (${reason}) of ${String(group)} is, made again, another`);
  }
}

const valueUnder = (txn: Txn, prefix: string): string | undefined =>
  txn.puts.find(({ key }) => key.startsWith(prefix))?.value;
