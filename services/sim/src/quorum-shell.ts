/** The process around core's loop of a quorum service: carries out its actions on the simulated etcd and network. */

import {
  live,
  newQuorum,
  type ClusterConfig,
  type CommandResult,
  type GroupRecord,
  type MaintenanceRecord,
  type Member,
  type QuorumAction,
  type QuorumCommand,
  type QuorumEvent,
  type QuorumState,
  type RenewRequest,
  type RenewResult,
  maintenanceOf,
} from '@holdfast/core';
import type { Etcd } from './etcd.ts';
import type { Machine } from './machine.ts';
import { Mailbox } from './mailbox.ts';
import type { Simulation } from './simulation.ts';
import type { Tampering } from './tampering.ts';

/** Everything that an agent is told besides the answers to its renewals. None of it has authority. */
export interface News {
  readonly config: ClusterConfig | null;
  readonly configRevision: bigint;
  readonly members: readonly Member[];
  readonly maintenance: MaintenanceRecord;
  /** Each with the revision at which it was put: the service's view is not of one revision. */
  readonly groups: readonly { readonly record: GroupRecord; readonly revision: bigint }[];
}

const readDeadlineMs = 1_500;

export class QuorumShell {
  readonly machine: Machine;
  readonly mailbox: Mailbox<QuorumEvent>;
  state: QuorumState;
  onPush: () => void = () => undefined;
  private readonly renewals = new Map<number, (result: RenewResult) => void>();
  private readonly commands = new Map<number, (result: CommandResult) => void>();
  private nextId = 1;
  private readonly sim: Simulation;
  private readonly etcd: Etcd;
  private readonly tampering: Tampering;

  constructor(sim: Simulation, machine: Machine, etcd: Etcd, tampering: Tampering, incarnation: number) {
    this.sim = sim;
    this.machine = machine;
    this.etcd = etcd;
    this.tampering = tampering;
    this.state = newQuorum(machine.id, machine.role === 'witness', incarnation, machine.boot());
    this.mailbox = new Mailbox<QuorumEvent>(sim, machine, { kind: 'wake' }, (event) => this.handle(event));
  }

  renew(
    { server, previous, next, notes }: Omit<RenewRequest, 'id'>,
    answer: (result: RenewResult) => void,
  ): void {
    const id = (this.nextId += 1);
    if (!this.mailbox.alive) {
      answer({ kind: 'no-answer', says: 'connection refused' });
      return;
    }
    this.renewals.set(id, answer);
    this.mailbox.deliver({ kind: 'renew', request: { id, server, previous, next, notes } });
  }

  command(command: QuorumCommand, by: string, answer: (result: CommandResult) => void): void {
    const id = (this.nextId += 1);
    this.commands.set(id, answer);
    this.mailbox.deliver({ kind: 'command', id, by, command, dryRun: false });
  }

  news(): News {
    const { view } = this.state;
    return {
      config: view.config?.value ?? null,
      configRevision: view.config?.modRevision ?? 0n,
      members: [...view.members.values()].map((m) => m.value),
      maintenance: maintenanceOf(view),
      groups: [...view.groups.values()].map((g) => ({ record: g.value, revision: g.modRevision })),
    };
  }

  private handle(event: QuorumEvent): void {
    const step = this.tampering.quorum(this.state, event, this.machine.boot(), this.machine.wall());
    this.state = step.state;
    this.mailbox.wakeAt(step.wakeAt);
    for (const action of step.actions) this.act(action);
  }

  private act(action: QuorumAction): void {
    switch (action.kind) {
      case 'read':
        this.etcd.read(this.machine, live, readDeadlineMs, (answer) =>
          this.mailbox.deliver({ kind: 'read', answer }),
        );
        return;
      case 'txn': {
        const txn = this.tampering.txn(action.txn);
        this.etcd.txn(this.machine, txn, action.deadlineMs, (answer) =>
          this.mailbox.deliver({ kind: 'txn-ended', id: action.id, answer }),
        );
        return;
      }
      case 'answer-renew': {
        const answer = this.renewals.get(action.id);
        this.renewals.delete(action.id);
        answer?.(action.result);
        return;
      }
      case 'answer-command': {
        const answer = this.commands.get(action.id);
        this.commands.delete(action.id);
        answer?.(action.result);
        return;
      }
      case 'push':
        this.onPush();
        return;
      case 'note':
        if (action.what === 'leader') this.sim.log(`${this.machine.id}/quorum`, action.reason);
        return;
    }
  }
}
