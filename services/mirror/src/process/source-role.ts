/**
 * A mirror as a source: its targets as they are ordered, what is told of them, and what a person wants of them.
 *
 *   S1  a change of rate holds at once; other terms of a connection take a new one
 *   S2  a drain answers in time, with the targets that hold everything
 */

import type { MemberId, MirrorId, MirrorOrder, MirrorTarget } from '@holdfast/core';
import type { WireCredentials } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import type { DiskWatch } from '../files/disk-watch.ts';
import type { KeptStore } from '../files/divergence/kept-store.ts';
import type { FileSource } from '../files/source/file-source.ts';
import type { SourceTarget } from '../files/source/types.ts';
import { runResync, runVerify } from './comparison-runs.ts';
import { Dialing } from './dialing.ts';
import { isOfOffHost } from './off-host.ts';
import { isOfDivergence, runDivergence } from './divergence-runs.ts';
import { meantTargets } from './meant.ts';
import type { Answered, RunPorts, SourceReport, SourceRole, SourceSide } from './side.ts';

export interface SourceRolePorts {
  readonly self: MemberId;
  /** What diverged here in a former life as a source. */
  readonly kept: KeptStore;
  /** Whether the data can be written; closed with the role. */
  readonly disk: DiskWatch;
  /** Frees what the source was given: catalog, tree, block records. */
  readonly closed: () => Promise<void>;
}

export class SourceRoleSide implements SourceSide {
  readonly #ports: SourceRolePorts;
  readonly #source: FileSource;
  readonly #lines: Lines;
  readonly #mirror: MirrorId;

  constructor(mirror: MirrorId, source: FileSource, lines: Lines, ports: SourceRolePorts) {
    this.#mirror = mirror;
    this.#source = source;
    this.#lines = lines;
    this.#ports = ports;
  }

  change(_order: MirrorOrder, role: SourceRole): void {
    const { targets, redial } = this.#lines.change(role.targets);
    this.#source.setTargets(targets);
    for (const member of redial) this.#source.redial(member); // S1
  }

  report(): SourceReport {
    const { disk, kept } = this.#ports;
    const { entries, bytes } = kept;
    return {
      ...this.#source.state(),
      ...(disk.trouble === '' ? {} : { dataTrouble: disk.trouble }),
      ...(entries === 0 ? {} : { kept: { entries, bytes } }),
    };
  }

  get lost(): string {
    return this.#source.lost;
  }

  /** S2. */
  async drain(to: MemberId | null, limitMs: number): Promise<readonly MemberId[]> {
    const drained = await this.#source.drain(to, limitMs);
    return drained.flatMap((one) => (one.kind === 'in-step' ? [one.member] : []));
  }

  async run(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const { kept, self } = this.#ports;
    if (isOfDivergence(run)) return runDivergence(kept, run, self, ports);
    if (isOfOffHost(run))
      return wrong(`${this.#mirror} is a mirror of files: its copy can be read where it is`);
    const members = this.#meant(run);
    if (typeof members === 'string') return wrong(members);
    if (run.kind === 'resync' && run.target === '') {
      // Whoever wants everything to be compared means the root as it is, with what is mounted beneath it.
      const accepted = await this.#source.accept();
      if (accepted.kind === 'failed') return { kind: 'failed', as: 'failed', says: accepted.says };
    }
    return run.kind === 'verify'
      ? runVerify(this.#source, members, run.repair, ports)
      : runResync(this.#source, this.#mirror, members, ports);
  }

  async close(): Promise<void> {
    this.#ports.disk.close();
    this.#lines.close();
    await this.#source.close();
    await this.#ports.closed();
  }

  #meant(run: MirrorRun): readonly MemberId[] | string {
    return meantTargets(
      this.#mirror,
      run,
      this.#source.state().targets.map((one) => one.target),
    );
  }
}

const wrong = (says: string): Answered => ({ kind: 'failed', as: 'invalid', says });

/** The ways to the targets, kept while the targets stay. */
export class Lines {
  readonly #credentials: WireCredentials;
  readonly #dialings = new Map<MemberId, { readonly dialing: Dialing; terms: string }>();

  constructor(credentials: WireCredentials) {
    this.#credentials = credentials;
  }

  /** `redial`: whose connection was made on other terms. */
  change(targets: readonly MirrorTarget[]): {
    readonly targets: readonly SourceTarget[];
    readonly redial: readonly MemberId[];
  } {
    for (const [member, { dialing }] of this.#dialings) {
      if (targets.some((target) => target.member === member)) continue;
      dialing.close();
      this.#dialings.delete(member);
    }
    const redial: MemberId[] = [];
    const ways = targets.map((target): SourceTarget => {
      const { member, paused, elsewhere } = target;
      const terms = termsOf(target);
      const known = this.#dialings.get(member);
      const dialing = known?.dialing ?? new Dialing(target, this.#credentials);
      known?.dialing.change(target);
      if (known !== undefined && known.terms !== terms) redial.push(member);
      this.#dialings.set(member, { dialing, terms });
      return { member, paused, elsewhere, dial: (signal) => dialing.dial(signal) };
    });
    return { targets: ways, redial };
  }

  close(): void {
    for (const { dialing } of this.#dialings.values()) dialing.close();
    this.#dialings.clear();
  }
}

/** What can't change on a connection that is open. Addresses can: the next connection uses them. */
const termsOf = ({ compress, encrypt, port }: MirrorTarget): string =>
  JSON.stringify([compress, encrypt, port]);
