/**
 * The invariants of mirrors, in true time, at every event that could break one.
 *
 *   I1  nothing is sent at an epoch below one that was opened, and nothing is applied where the service writes
 *   I3  nothing is sent behind the fence deadline (audit.ts has the ledger)
 *   I4  a copy that is not complete is opened only by force
 *   I5  a takeover loses no more than it said, and what the old owner wrote before its fence was complete
 *   I6  every write is in the data, or kept aside where it was made
 */

import { lastCommon, type Epoch, type GroupConfig, type GroupId, type MemberId } from '@holdfast/core';
import type { Audit } from './audit.ts';
import { missing, spansAbove, writeEveryMs, type Copy } from './copy.ts';
import type { Machine } from './machine.ts';
import type { RecordsAudit } from './records-audit.ts';
import type { Simulation } from './simulation.ts';

/** Beats of a mirror, heartbeats and renewals: this coarse is what anybody can tell. */
const coarseMs = 6_000;

export class MirrorsAudit {
  private readonly sim: Simulation;
  private readonly audit: Audit;
  private readonly records: RecordsAudit;
  private readonly opened = new Map<GroupId, { readonly machine: MemberId; readonly epoch: Epoch }>();

  constructor(sim: Simulation, audit: Audit, records: RecordsAudit) {
    this.sim = sim;
    this.audit = audit;
    this.records = records;
  }

  sends(machine: Machine, config: GroupConfig, epoch: Epoch): void {
    this.audit.acts(machine, config, epoch, 'sending of the mirror');
    const last = this.opened.get(config.name);
    if (last === undefined || last.epoch <= epoch || this.audit.frozenGroups.has(config.name)) return;
    const says = `${machine.id} sends at epoch ${epoch.toString()} after ${last.machine} opened epoch ${last.epoch.toString()}`;
    this.sim.fail('I1', `${config.name}: ${says}`);
  }

  applies(machine: Machine, group: GroupId, epoch: Epoch, copy: Copy): void {
    if (epoch < copy.highest)
      this.sim.fail('I2', `${machine.id} applies a lower epoch to its copy of ${group}`);
    if (copy.isWriting)
      this.sim.fail('I1', `${machine.id} applies to its copy of ${group} while the service writes`);
  }

  opens(machine: Machine, config: GroupConfig, epoch: Epoch, forced: boolean): void {
    const { name } = config;
    this.sim.log(machine.id, `${name}: mirror opened at epoch ${epoch.toString()}`);
    const last = this.opened.get(name);
    this.opened.set(name, { machine: machine.id, epoch });
    const copy = machine.copyOf(name);
    if (forced || last?.machine === machine.id) return;
    if (last === undefined) {
      if (config.servers[0] !== machine.id)
        this.sim.fail('I4', `${name} begins on ${machine.id}, to which nothing was ever copied`);
      return;
    }
    if (!copy.consistent) this.sim.fail('I4', `${machine.id} opens its incomplete copy of ${name} unforced`);
    this.loses(machine, config, epoch);
  }

  /** I5. */
  private loses(machine: Machine, config: GroupConfig, epoch: Epoch): void {
    const record = this.records.recordOf(config.name);
    const holder = this.audit.machines.find((m) => m.id === record?.data?.server);
    if (record?.ownership.epoch !== epoch || holder === undefined || holder === machine) return;
    // With nobody to fence it, a service writes on behind an address that is gone: kept aside on its return.
    if (this.audit.frozenGroups.has(config.name) || !this.audit.fit(holder)) return;
    const mine = machine.copyOf(config.name).historyAt(this.sim.now);
    const theirs = holder.copyOf(config.name).historyAt(this.sim.now);
    const lost = (theirs.at(-1)?.sequence ?? 0) - (lastCommon(mine, theirs) ?? 0);
    const lostMs = lost * writeEveryMs;
    const said = estimateMs(record.reason);
    if (said === null) return;
    const { fenceMs, stopMs, renewMs } = config.rules;
    const toleranceMs = record.reason.includes(estimate) ? fenceMs + stopMs + renewMs + coarseMs : 0;
    if (lostMs <= said + toleranceMs) return;
    const says = `${String(lostMs)} ms are lost, ${String(said)} ms were estimated`;
    this.sim.fail('I5', `${config.name} goes from ${holder.id} to ${machine.id}: ${says}`);
  }

  /** I6. `owner`: whose data counts at the end. */
  nothingVanished(group: GroupId, owner: Machine): void {
    const data = spansAbove(owner.copyOf(group).historyAt(this.sim.now), 0);
    for (const machine of this.audit.machines) {
      const copy = machine.copyOf(group);
      const here = spansAbove(copy.historyAt(this.sim.now), 0);
      for (const span of copy.written) {
        const gone = missing(span, [...data, ...copy.kept, ...here]);
        if (gone === 0) continue;
        const what = `${String(gone)} writes of ${machine.id} at epoch ${span.epoch.toString()}`;
        this.sim.fail('I6', `${group}: ${what} are neither in the data nor kept aside`);
      }
    }
  }
}

const estimate = 'estimated loss: ';

/** What the reason of a takeover says; null when it says that nobody knows. */
function estimateMs(reason: string): number | null {
  const said = /estimated loss: (.*)$/.exec(reason)?.[1];
  if (said === undefined || said.startsWith('none')) return 0;
  const seconds = /^([\d.]+) s/.exec(said)?.[1];
  return seconds === undefined ? null : Number(seconds) * 1_000;
}
