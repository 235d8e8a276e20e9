/** Every decision, made again from what was kept of it, is the same (K1 of core's decision.ts). */

import { decideAgain, encode, keys, parseDecision, parseEvent, parseGroup, type Txn } from '@holdfast/core';
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
    const record = parseGroup(valueUnder(txn, keys.groups) ?? '');
    const decision = parseDecision(kept);
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
}

const valueUnder = (txn: Txn, prefix: string): string | undefined =>
  txn.puts.find(({ key }) => key.startsWith(prefix))?.value;
