/**
 * The invariants that are about the store: what a transaction changes is judged at the moment at which it happens, by
 * what the store then holds and not by what any process believes.
 */

import {
  configFromJson,
  keys,
  noMaintenance,
  parseGroup,
  parseMaintenance,
  parseRenewal,
  type ClusterConfig,
  type EndedOperation,
  type GroupId,
  type GroupRecord,
  type MaintenanceRecord,
  type MemberId,
  type Ownership,
  type Row,
  type Txn,
} from '@holdfast/core';
import type { Machine } from './machine.ts';
import type { Simulation } from './simulation.ts';

const hourMs = 3_600_000;

export class RecordsAudit {
  private readonly sim: Simulation;
  private readonly machines: readonly Machine[];
  private readonly groups = new Map<GroupId, GroupRecord>();
  /** True time of the last committed renewal of each server in each boot. */
  private readonly renewedAt = new Map<string, number>();
  private readonly failovers = new Map<GroupId, number[]>();
  private readonly endedIds = new Set<string>();
  private config: ClusterConfig | null = null;
  private configText = '';
  private maintenance: MaintenanceRecord = noMaintenance;
  changesOfOwner = 0;

  constructor(sim: Simulation, machines: readonly Machine[]) {
    this.sim = sim;
    this.machines = machines;
  }

  committed(txn: Txn, before: ReadonlyMap<string, Row>, sentAt: number): void {
    const groups: [GroupId, GroupRecord][] = [];
    for (const put of txn.puts) {
      if (put.key.startsWith(keys.renewals)) this.renewed(put.value);
      else if (put.key.startsWith(keys.groups)) groups.push([put.key, this.parsed(put.value)]);
      else if (put.key.startsWith(keys.operations)) this.operationEnded(put.value);
      else if (put.key === keys.config) this.configured(put.value);
      else if (put.key === keys.maintenance) this.maintained(put.value);
    }
    for (const [key, record] of groups) {
      const row = before.get(key);
      const was = row === undefined ? null : (this.groups.get(record.group) ?? null);
      this.changed(was, record, txn, sentAt);
      this.groups.set(record.group, record);
    }
  }

  recordOf(group: GroupId): GroupRecord | null {
    return this.groups.get(group) ?? null;
  }

  currentConfig(): ClusterConfig | null {
    return this.config;
  }

  currentMaintenance(): MaintenanceRecord {
    return this.maintenance;
  }

  private parsed(text: string): GroupRecord {
    const parsed = parseGroup(text);
    if (parsed.kind === 'ok') return parsed.value;
    throw new Error(`a group record can't be read back: ${parsed.says}`);
  }

  private renewed(text: string): void {
    const parsed = parseRenewal(text);
    if (parsed.kind === 'garbage') throw new Error(`a renewal can't be read back: ${parsed.says}`);
    this.renewedAt.set(`${parsed.value.server} ${parsed.value.bootId}`, this.sim.now);
  }

  private configured(text: string): void {
    if (text === this.configText) return;
    this.configText = text;
    const parsed = configFromJson((JSON.parse(text) as { readonly config: unknown }).config);
    if (parsed.kind === 'ok') this.config = parsed.config;
  }

  private maintained(text: string): void {
    const parsed = parseMaintenance(text);
    if (parsed.kind === 'ok') this.maintenance = parsed.value;
  }

  private operationEnded(text: string): void {
    const op = JSON.parse(text) as EndedOperation;
    if (this.endedIds.has(op.id)) this.sim.fail('I7', `operation ${op.id} ended twice`);
    this.endedIds.add(op.id);
  }

  private changed(was: GroupRecord | null, record: GroupRecord, txn: Txn, sentAt: number): void {
    const { group } = record;
    const before: Ownership = was?.ownership ?? { kind: 'unowned', epoch: 0n, lastOwner: null };
    const after = record.ownership;
    const owner = (o: Ownership) => (o.kind === 'unowned' ? null : o.owner);
    const says = `${group}: ${show(before)} -> ${show(after)}`;
    const op = record.operation;
    this.sim.log('store', `${says}${op === null ? '' : ` [${op.kind} ${op.phase}]`}: ${record.reason}`);
    if (record.reason.trim() === '') this.sim.fail('I10', `${says} has no reason`);
    if (!txn.puts.some((p) => p.key.startsWith(keys.events)))
      this.sim.fail('I10', `${says} left no event in the history`);
    if (after.epoch < before.epoch) this.sim.fail('I2', `the epoch falls: ${says}`);
    const moved = after.epoch > before.epoch;
    if (moved && after.epoch !== before.epoch + 1n) this.sim.fail('I2', `the epoch jumps: ${says}`);
    if (!moved && owner(after) !== owner(before) && after.kind !== 'unowned')
      this.sim.fail('I2', `a change of owner without a new epoch: ${says}`);
    if ((record.forced ?? 0n) < (was?.forced ?? 0n))
      this.sim.fail('I6', `${says}: it is forgotten that it was given by force`);
    this.oneOperation(was, record, txn, says);
    this.paused(was, record, moved, says);
    if (moved) this.movedOwner(was, record, says, sentAt);
  }

  private oneOperation(was: GroupRecord | null, record: GroupRecord, txn: Txn, says: string): void {
    const old = was?.operation ?? null;
    if (old === null || old.id === record.operation?.id) return;
    if (txn.puts.some((p) => p.key === keys.operation(old.id))) return;
    this.sim.fail(
      'I7',
      `${says}: ${old.id} is replaced by ${record.operation?.id ?? 'nothing'} and never ended`,
    );
  }

  /** I8: what was begun before may end, and a question that was asked begins nothing; nothing else happens. */
  private paused(was: GroupRecord | null, record: GroupRecord, moved: boolean, says: string): void {
    const old = was?.operation ?? null;
    if (old !== null && old.phase !== 'awaiting-approval') return;
    const { operation } = record;
    const stillAsks = operation?.phase === 'awaiting-approval' && operation.id === old?.id;
    if (!moved && (operation === null || stillAsks)) return;
    const config = this.config?.groups.get(record.group);
    const m = this.maintenance;
    const last = was === null ? null : lastOwnerOf(was);
    const why =
      config?.takeover === 'observe'
        ? 'observed'
        : m.cluster !== null ||
            m.groups[record.group] !== undefined ||
            (last !== null && m.servers[last] !== undefined)
          ? 'in maintenance'
          : null;
    if (why !== null) this.sim.fail('I8', `${says} although it is ${why}`);
  }

  private movedOwner(was: GroupRecord | null, record: GroupRecord, says: string, sentAt: number): void {
    const after = record.ownership;
    if (after.kind === 'unowned') return;
    this.changesOfOwner += 1;
    const { operation, group } = record;
    const limit = this.config?.groups.get(group)?.failoversPerHour ?? Infinity;
    if (operation?.kind === 'failover' && operation.by === 'holdfast') {
      const recent = (this.failovers.get(group) ?? []).filter((t) => this.sim.now - t < hourMs);
      if (recent.length >= limit)
        this.sim.fail('I11', `${says} is automatic failover ${String(recent.length + 1)} within an hour`);
      this.failovers.set(group, [...recent, this.sim.now]);
    }
    const last = was === null ? null : lastOwnerOf(was);
    const forced = operation?.forced === true && operation.phase === 'acquiring';
    if (forced && last !== null && last !== after.owner && record.forced !== after.epoch)
      this.sim.fail('I6', `${says}: it is not on record that it was given by force`);
    this.ruleTen(was, record, after.owner, says, sentAt);
  }

  /**
   * Rule 10: who was down together with the last owner waits for it, or for a person. A decision that etcd carried out late
   * counts as of when it was sent: its outcome is that of one that was carried out then, and nobody can tell them apart.
   */
  private ruleTen(
    was: GroupRecord | null,
    record: GroupRecord,
    to: MemberId,
    says: string,
    sentAt: number,
  ): void {
    if (was === null || record.operation?.forced === true || was.ownerBoot === null) return;
    const last = lastOwnerOf(was);
    if (last === null || last === to) return;
    const renewedAt = this.renewedAt.get(`${last} ${was.ownerBoot}`);
    const machine = this.machines.find((m) => m.id === to);
    if (renewedAt === undefined || machine === undefined || machine.bootedBy(sentAt) < renewedAt) return;
    this.sim.fail('rule 10', `${says}: ${to} was down together with ${last} and was not forced`);
  }
}

const lastOwnerOf = ({ ownership: o }: GroupRecord): MemberId | null =>
  o.kind === 'unowned' ? o.lastOwner : o.owner;

function show(o: Ownership): string {
  const who = o.kind === 'unowned' ? 'nobody' : o.kind === 'releasing' ? `${o.owner} (releasing)` : o.owner;
  return `${who}@${o.epoch.toString()}`;
}
