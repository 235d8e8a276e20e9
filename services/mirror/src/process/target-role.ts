/**
 * A mirror as a target: whose connections are taken, and what is told of it.
 *
 *   T1  only the members that the order names are taken as sources, at its epoch or a higher one
 *   T2  what the source said last of its lead is kept with the time at which it said it
 */

import type { CopyNotes, Epoch, MirrorOrder, MirrorState, Position } from '@holdfast/core';
import { bootMs, errorCode, errorText } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
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

export class TargetRoleSide implements TargetSide {
  readonly #ports: TargetRolePorts;
  readonly #mirror: string;
  readonly #leave: () => void;
  #role: TargetRole | null;
  #word: Word | null = null;
  #heardEpoch: Epoch = 0n;
  #refusedEpochs = 0;

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

  change(_order: MirrorOrder, role: TargetRole | null): void {
    this.#role = role;
  }

  report(): TargetReport {
    const { phase, says, position, consistent } = this.#ports.target.state();
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
      ...(notes === undefined ? {} : { notes }),
    };
  }

  async promote(epoch: Epoch): Promise<Answered> {
    const { lost } = this;
    if (lost !== '') return { kind: 'failed', as: 'failed', says: lost };
    this.#role = null;
    await this.#ports.offHost?.close();
    const promoted = await this.#promote();
    if (typeof promoted === 'string') return { kind: 'failed', as: 'failed', says: promoted };
    const { position } = promoted;
    const at = position === null ? 'with nothing received' : `at ${String(position.sequence)}`;
    return { kind: 'done', says: `${this.#mirror} was opened ${at} for epoch ${epoch.toString()}` };
  }

  async run(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const { self, divergence, offHost } = this.#ports;
    if (isOfDivergence(run)) return divergence(run, ports);
    if (isOfOffHost(run)) return offHost?.run(run) ?? noOffHost(this.#mirror);
    const says = `${self} is a target of ${this.#mirror}: its source does that`;
    return { kind: 'failed', as: 'invalid', says };
  }

  async close(): Promise<void> {
    this.#leave();
    this.#ports.disk?.close();
    await this.#ports.offHost?.close();
    await this.#ports.target.close();
    await this.#ports.closed();
  }

  /** A sentence where the disk refuses it, which may pass. */
  async #promote(): Promise<{ readonly position: Position | null } | string> {
    try {
      return await this.#ports.target.promote();
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return errorText(error);
    }
  }

  /** T1. */
  async #accept(connection: Connection, hello: Hello): Promise<void> {
    const role = this.#role;
    const { self } = this.#ports;
    if (role === null) {
      this.#refuse(connection, 'role', `${this.#mirror} is not a target on ${self} now`);
      return;
    }
    if (hello.epoch < role.epoch) {
      const says = `epoch ${hello.epoch.toString()} is over: ${this.#mirror} is at ${role.epoch.toString()}`;
      this.#refuse(connection, 'epoch', says);
      this.#refused(hello, 'epoch', says);
      return;
    }
    if (!role.sources.includes(connection.peer.id)) {
      const says = `${connection.peer.id} is not the source of ${this.#mirror}, as far as ${self} knows`;
      this.#refuse(connection, 'role', says);
      return;
    }
    const heard = new HeardBeats(connection, (beat) => {
      this.#word = { at: bootMs(), behindMs: beat.behindMs, behindBytes: beat.behindBytes }; // T2
    });
    await this.#ports.offHost?.arrived(connection);
    const accepted = await this.#ports.target.accept(heard, hello);
    if (accepted.kind === 'accepted') this.#heardEpoch = hello.epoch;
    else this.#refused(hello, accepted.code, accepted.says);
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
