/**
 * An etcd of a few members, as its clients see it: linearizable, and dishonest in all the ways that were measured.
 *
 *   E1  a transaction happens at one moment, completely or not at all, and only while a leader reaches a majority
 *   E2  an answer may be lost although it happened; a request may wait in a frozen or leaderless server and happen long
 *       after its client gave up
 *   E3  the watch is a hint: it may lose changes and says nothing of it
 */

import {
  live,
  type Compare,
  type ReadAnswer,
  type Row,
  type RowChange,
  type Txn,
  type TxnAnswer,
} from '@holdfast/core';
import type { Machine } from './machine.ts';
import type { Network } from './network.ts';
import type { Simulation } from './simulation.ts';

export interface EtcdMember {
  readonly machine: Machine;
  alive: boolean;
  frozen: boolean;
  /** True time until which its disk stands still. */
  stalledUntil: number;
}

/** Told of every transaction at the moment at which it happens. `sentAt`: true time at which its client sent it. */
export type Committed = (txn: Txn, before: ReadonlyMap<string, Row>, sentAt: number) => void;

export interface EtcdFaults {
  /** Chance that an answer is lost although the transaction happened. */
  answerLost: number;
  /** Chance that a transaction waits somewhere and happens up to this much later. */
  late: number;
  lateMs: number;
  watchLost: number;
}

export class Etcd {
  readonly rows = new Map<string, Row>();
  readonly members: readonly EtcdMember[];
  revision = 1n;
  readonly faults: EtcdFaults = { answerLost: 0, late: 0, lateMs: 0, watchLost: 0 };
  onCommit: Committed = () => undefined;
  private leader: EtcdMember | null = null;
  private electedAt: number | null = null;
  private readonly watchers: {
    machine: Machine;
    changed: (revision: bigint, rows: readonly RowChange[]) => void;
  }[] = [];
  private readonly sim: Simulation;
  private readonly network: Network;

  constructor(sim: Simulation, network: Network, machines: readonly Machine[]) {
    this.sim = sim;
    this.network = network;
    this.members = machines.map((machine) => ({ machine, alive: false, frozen: false, stalledUntil: 0 }));
  }

  watch(machine: Machine, changed: (revision: bigint, rows: readonly RowChange[]) => void): void {
    this.watchers.push({ machine, changed });
  }

  /** The leader as of now; electing takes a while. */
  leads(): EtcdMember | null {
    if (this.leader !== null && this.serves(this.leader)) return this.leader;
    if (this.electedAt === null) {
      this.leader = null;
      this.electedAt = this.sim.now + this.sim.random.between(1_000, 2_000);
    }
    if (this.sim.now < this.electedAt) return null;
    const able = this.members.filter((m) => this.serves(m));
    if (able.length === 0) return null;
    this.leader = this.sim.random.pick(able);
    this.electedAt = null;
    return this.leader;
  }

  /** A change of leader without any cause that can be seen: a slow disk, a lost packet. */
  loseLeader(): void {
    this.leader = null;
    this.electedAt = this.sim.now + this.sim.random.between(1_000, 2_000);
  }

  private works(m: EtcdMember): boolean {
    return m.alive && !m.frozen && m.machine.runs && m.stalledUntil <= this.sim.now;
  }

  private serves(m: EtcdMember): boolean {
    if (!this.works(m)) return false;
    let reached = 0;
    for (const other of this.members) {
      if (this.works(other) && this.network.connected(m.machine, other.machine)) reached += 1;
    }
    return reached * 2 > this.members.length;
  }

  txn(client: Machine, txn: Txn, deadlineMs: number, answer: (answer: TxnAnswer) => void): void {
    const sentAt = this.sim.now;
    this.request(client, deadlineMs, () => this.execute(txn, sentAt), answer);
  }

  read(client: Machine, prefix: string, deadlineMs: number, answer: (answer: ReadAnswer) => void): void {
    const read = () => ({ kind: 'read', revision: this.revision, rows: this.under(prefix, []) }) as const;
    this.request(client, deadlineMs, read, answer);
  }

  /** The local member first, or else any that can be reached. */
  private endpoint(client: Machine): EtcdMember | null {
    const own = this.members.find((m) => m.machine === client);
    if (own !== undefined && own.alive) return own;
    const others = this.members.filter((m) => m.alive && this.network.connected(client, m.machine));
    return others.length === 0 ? null : this.sim.random.pick(others);
  }

  private request<A>(
    client: Machine,
    deadlineMs: number,
    execute: () => A,
    answer: (answer: A | { readonly kind: 'unknown'; readonly says: string }) => void,
  ): void {
    const { sim } = this;
    let open = true;
    const end = (result: A | { readonly kind: 'unknown'; readonly says: string }) => {
      if (!open) return;
      open = false;
      answer(result);
    };
    // Deadlines are counted by the client's clock; a few parts in a thousand do not matter here.
    const giveUpAt = sim.now + deadlineMs;
    const at = this.endpoint(client);
    if (at === null) {
      sim.after(Math.min(deadlineMs, 20), () =>
        end({ kind: 'unknown', says: 'no etcd member can be reached' }),
      );
      return;
    }
    const late = this.faults.late > 0 && sim.random.chance(this.faults.late);
    const patience = late || sim.random.chance(0.5) ? sim.random.between(0, 15_000) : 0;
    const lostAnswer = this.faults.answerLost > 0 && sim.random.chance(this.faults.answerLost);
    this.network.send(client, at.machine, () => {
      const wait = late ? sim.random.between(0, this.faults.lateMs) : 0;
      this.propose(at, sim.now + wait, Math.max(giveUpAt, sim.now + wait + patience), () => {
        const result = execute();
        if (!lostAnswer && open) this.network.send(at.machine, client, () => end(result));
      });
    });
    sim.at(giveUpAt, () => end({ kind: 'unknown', says: 'etcd did not answer in time' }));
  }

  /** Waits at this member for a leader with a majority, until the member loses patience. */
  private propose(at: EtcdMember, notBefore: number, until: number, commit: () => void): void {
    const { sim } = this;
    const { bootId } = at.machine;
    const attempt = () => {
      if (!at.alive || at.machine.bootId !== bootId || !at.machine.up) return;
      const frozen = at.frozen || at.machine.frozen;
      // Requests that lie in a frozen server's sockets are carried out when it thaws, however late that is.
      if (!frozen && sim.now > until) return;
      const leader = frozen || sim.now < notBefore ? null : this.leads();
      if (
        leader === null ||
        at.stalledUntil > sim.now ||
        !this.network.connected(at.machine, leader.machine)
      ) {
        sim.after(sim.now < notBefore ? notBefore - sim.now : sim.random.between(60, 140), attempt);
        return;
      }
      sim.after(sim.random.between(0.8, 5), () => {
        if (this.leads() === leader) commit();
        else if (sim.random.chance(0.5)) attempt();
      });
    };
    attempt();
  }

  /** E1. A transaction that writes a key twice is refused whole, and the service that made it ends. */
  private execute(txn: Txn, sentAt: number): Exclude<TxnAnswer, { kind: 'unknown' }> {
    if (txn.puts.length + txn.deletes.length > 1) this.writesOnce(txn);
    const holds = txn.compares.every((c) => this.compare(c));
    if (holds && txn.puts.length + txn.deletes.length > 0) this.apply(txn, sentAt);
    const rows: Row[] = [];
    for (const prefix of txn.reads) this.under(prefix, rows);
    return { kind: holds ? 'succeeded' : 'compare-failed', revision: this.revision, rows };
  }

  private writesOnce(txn: Txn): void {
    const writes = [...txn.puts.map(({ key }) => key), ...txn.deletes];
    if (new Set(writes).size < writes.length)
      this.sim.fail('store', `a transaction writes a key twice: ${writes.join(', ')}`);
  }

  /** Writes without a client: what was there before the run. */
  seedRow(key: string, value: string): void {
    this.apply({ compares: [], puts: [{ key, value }], deletes: [], reads: [] }, this.sim.now);
  }

  private compare(c: Compare): boolean {
    const row = this.rows.get(c.key);
    switch (c.kind) {
      case 'mod-revision':
        return (row?.modRevision ?? 0n) === c.revision;
      case 'value':
        return row?.value === c.value;
    }
  }

  private apply(txn: Txn, sentAt: number): void {
    this.revision += 1n;
    this.onCommit(txn, this.rows, sentAt);
    const changes: RowChange[] = [];
    for (const put of txn.puts) {
      if (!put.key.startsWith(live)) continue;
      const row: Row = { key: put.key, value: put.value, modRevision: this.revision };
      this.rows.set(put.key, row);
      changes.push(row);
    }
    for (const key of txn.deletes) {
      if (this.rows.delete(key)) changes.push({ key, value: null, modRevision: this.revision });
    }
    if (changes.length > 0) this.notify(changes);
  }

  private notify(changes: readonly RowChange[]): void {
    const { sim, revision } = this;
    const from = this.leader;
    for (const watcher of this.watchers) {
      const at = this.endpoint(watcher.machine);
      if (at === null || from === null || !this.works(at)) continue;
      if (!this.network.connected(at.machine, from.machine)) continue;
      if (this.faults.watchLost > 0 && sim.random.chance(this.faults.watchLost)) continue;
      sim.after(sim.random.between(0.5, 6), () => watcher.changed(revision, changes));
    }
  }

  private under(prefix: string, found: Row[]): readonly Row[] {
    for (const row of this.rows.values()) if (row.key.startsWith(prefix)) found.push(row);
    return found;
  }
}
