/**
 * A mirror as a target: whose connections are taken, and what is told of it.
 *
 *   T1  only the members that the order names are taken as sources, at its epoch or a higher one
 *   T2  what the source said last of its lead is kept with the time at which it said it
 *   T3  a connection lasts no longer than T1 holds for it: a source that was replaced may not know of it, and goes on sending
 *   T4  a change of keepMax holds at once where the target can change it while it is open
 */

import type { CopyNotes, Epoch, MirrorOrder, MirrorState, Position } from '@holdfast/core';
import { bootMs, errorCode, errorText } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import type { Refusal } from '../files/target/greeting.ts';
import type { Accepted } from '../files/target/types.ts';
import type { DiskWatch } from '../files/disk-watch.ts';
import type { Connection, Hello, RefusalCode } from '../transport/types.ts';
import { isOfDivergence, type DivergenceRun } from './divergence-runs.ts';
import type { Door } from './door.ts';
import { HeardBeats } from './heard-beats.ts';
import { isOfOffHost, type OffHost } from './off-host.ts';
import type { Answered, RunPorts, TargetReport, TargetRole, TargetSide } from './side.ts';

/** What a target of files and one of a volume have in common. */
interface RoleTarget {
  state(): {
    readonly phase: MirrorState | 'promoted';
    readonly says: string;
    readonly position: Position | null;
    readonly epoch: Epoch;
    readonly consistent: boolean;
    readonly choice?: boolean;
  };
  /** Why what it writes to is not the place of the copy any more; absent, or empty, while it is. */
  readonly lost?: string;
  accept(connection: Connection, hello: Hello): Promise<Accepted>;
  promote(): Promise<{ readonly position: Position | null }>;
  close(): Promise<void>;
}

export interface TargetRolePorts {
  readonly target: RoleTarget;
  /** What is asked of a target itself. */
  readonly divergence: (run: DivergenceRun, ports: RunPorts) => Answered | Promise<Answered>;
  readonly door: Door;
  /** Other uses of the copy. Absent: it has none. */
  readonly offHost?: OffHost;
  /** A person wants the source to survive. Empty: nobody was asked. Absent: nobody ever is. */
  readonly choose?: () => Promise<string>;
  /** Of the order that is in force now (T3). Absent: another order opens it anew. */
  readonly changed?: (order: MirrorOrder) => void;
  /** What a person should know of the copy. Absent: it tells nothing of it. */
  readonly notes?: () => CopyNotes;
  /** Whether anything can be written here; closed with the role. Absent: nobody looks. */
  readonly disk?: DiskWatch;
  readonly self: string;
  readonly says: (sentence: string) => void;
  /** Frees what the target was given. */
  readonly closed: () => Promise<void>;
}

type Word = NonNullable<TargetReport['word']>;

interface Dialled {
  readonly connection: Connection;
  readonly hello: Hello;
}

export class TargetRoleSide implements TargetSide {
  readonly #ports: TargetRolePorts;
  readonly #mirror: string;
  readonly #leave: () => void;
  #role: TargetRole | null;
  #word: Word | null = null;
  #heardEpoch: Epoch = 0n;
  #refusedEpochs = 0;
  /** Those that were not refused, and may have ended since. */
  #dialled: readonly Dialled[] = [];

  constructor(order: MirrorOrder, role: TargetRole | null, ports: TargetRolePorts) {
    this.#ports = ports;
    this.#mirror = order.mirror;
    this.#role = role;
    this.#leave = ports.door.register(order.mirror, {
      // Whether it is encrypted is the source's configuration; who it is was proven either way.
      plain: true,
      accept: (connection, hello) => void this.#accept(connection, hello),
    });
  }

  get consistent(): boolean {
    return this.#ports.target.state().consistent;
  }

  get lost(): string {
    return this.#ports.target.lost ?? '';
  }

  /** T3, T4; where it is nobody's target any more, promote() or close() ends what there is. */
  change(order: MirrorOrder, role: TargetRole | null): void {
    this.#role = role;
    this.#ports.changed?.(order);
    if (role === null) return;
    for (const { connection, hello } of this.#here()) {
      const why = this.#whyNot(role, hello.epoch, connection);
      if (why === null) continue;
      this.#refuse(connection, why.code, why.says);
      this.#refused(hello, why.code, why.says);
    }
  }

  report(): TargetReport {
    const { phase, says, position, consistent, choice } = this.#ports.target.state();
    const notes = this.#ports.notes?.();
    // One that would wait with the next change is not in step any more.
    const full = phase === 'replicating' ? (this.#ports.disk?.trouble ?? '') : '';
    return {
      kind: 'target',
      mirror: this.#mirror,
      epoch: this.#heardEpoch,
      sequence: position?.sequence ?? 0,
      consistent,
      state: full === '' ? stateOf(phase) : 'waiting',
      word: this.#word,
      says: full === '' ? says : full,
      refusedEpochs: this.#refusedEpochs,
      ...(choice === true ? { choice } : {}),
      ...(notes === undefined ? {} : { notes }),
    };
  }

  async promote(epoch: Epoch): Promise<Answered> {
    const { lost } = this;
    if (lost !== '') return { kind: 'failed', as: 'failed', says: lost };
    this.#role = null;
    await this.#ports.offHost?.close();
    let position: Position | null;
    try {
      ({ position } = await this.#ports.target.promote());
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return { kind: 'failed', as: 'failed', says: `${this.#mirror} can't be opened: ${errorText(error)}` };
    }
    const at = position === null ? 'with nothing received' : `at ${String(position.sequence)}`;
    return { kind: 'done', says: `${this.#mirror} was opened ${at} for epoch ${epoch.toString()}` };
  }

  async run(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const { self, divergence, offHost } = this.#ports;
    if (isOfDivergence(run)) return divergence(run, ports);
    if (isOfOffHost(run)) return offHost?.run(run) ?? noOffHost(this.#mirror);
    const chosen = run.kind === 'resync' ? await this.#choose() : null;
    if (chosen !== null) return chosen;
    const says = `${self} is a target of ${this.#mirror}: its source does that`;
    return { kind: 'failed', as: 'invalid', says };
  }

  /** Whoever wants it to be brought in step wants its own writes to be overwritten. Null: nobody was asked. */
  async #choose(): Promise<Answered | null> {
    try {
      const says = (await this.#ports.choose?.()) ?? '';
      return says === '' ? null : { kind: 'done', says, settled: true };
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return { kind: 'failed', as: 'failed', says: `the choice can't be recorded: ${errorText(error)}` };
    }
  }

  async close(): Promise<void> {
    this.#leave();
    this.#ports.disk?.close();
    await this.#ports.offHost?.close();
    await this.#ports.target.close();
    await this.#ports.closed();
  }

  async #accept(connection: Connection, hello: Hello): Promise<void> {
    const role = this.#role;
    if (role === null) {
      this.#refuse(connection, 'role', `${this.#mirror} is not a target on ${this.#ports.self} now`);
      return;
    }
    const why = this.#whyNot(role, hello.epoch, connection);
    if (why !== null) {
      this.#refuse(connection, why.code, why.says);
      if (why.code === 'epoch') this.#refused(hello, why.code, why.says);
      return;
    }
    this.#dialled = [...this.#here(), { connection, hello }];
    const heard = new HeardBeats(connection, (beat) => {
      this.#word = { at: bootMs(), behindMs: beat.behindMs, behindBytes: beat.behindBytes }; // T2
    });
    await this.#ports.offHost?.arrived(connection);
    if (connection.ended !== null) return;
    const accepted = await this.#ports.target.accept(heard, hello);
    if (accepted.kind === 'accepted') this.#heardEpoch = hello.epoch;
    else this.#refused(hello, accepted.code, accepted.says);
  }

  #here(): readonly Dialled[] {
    return this.#dialled.filter(({ connection }) => connection.ended === null);
  }

  /** T1. Null: it is taken. */
  #whyNot(role: TargetRole, epoch: Epoch, { peer }: Connection): Refusal | null {
    if (epoch < role.epoch) {
      const says = `epoch ${epoch.toString()} is over: ${this.#mirror} is at ${role.epoch.toString()}`;
      return { code: 'epoch', says };
    }
    if (role.sources.includes(peer.id)) return null;
    const says = `${peer.id} is not the source of ${this.#mirror}, as far as ${this.#ports.self} knows`;
    return { code: 'role', says };
  }

  #refused(hello: Hello, code: RefusalCode, says: string): void {
    if (code === 'epoch') this.#refusedEpochs += 1;
    this.#ports.says(`${this.#mirror}: ${hello.member} is refused: ${says}`);
  }

  #refuse(connection: Connection, code: RefusalCode, says: string): void {
    const { epoch } = this.#ports.target.state();
    const ordered = this.#role?.epoch ?? 0n;
    connection.send({ kind: 'refuse', code, says, epoch: epoch > ordered ? epoch : ordered });
    connection.close(says);
  }
}

function noOffHost(mirror: string): Answered {
  const says = `${mirror} is a mirror of files: its copy is a folder, and can be read there`;
  return { kind: 'failed', as: 'invalid', says };
}

function stateOf(phase: MirrorState | 'promoted'): MirrorState {
  return phase === 'promoted' ? 'disconnected' : phase;
}
