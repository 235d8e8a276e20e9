/**
 * A mirror as a source: its targets as they are ordered, what is told of them, and what a person wants of them.
 *
 *   S1  a change of rate holds at once; other terms of a connection take a new one
 *   S2  a drain answers in time, with the targets that hold everything
 */

import type { MemberId, MirrorId, MirrorOrder, MirrorTarget } from '@holdfast/core';
import type { WireCredentials } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import type { FileSource } from '../files/source/file-source.ts';
import type { SourceTarget } from '../files/source/types.ts';
import { Dialing } from './dialing.ts';
import { shownPath } from './shown-path.ts';
import type { Answered, RunPorts, SourceReport, SourceRole, SourceSide } from './side.ts';

export interface SourceRolePorts {
  /** What diverged here in a former life as a source. */
  readonly kept: (run: MirrorRun, ports: RunPorts) => Promise<Answered>;
  /** Frees what the source was given: catalog, tree, block records. */
  readonly closed: () => Promise<void>;
}

/** More are counted, and not named. */
const differencesMax = 10_000;
const progressMs = 500;

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
    return this.#source.state();
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
    switch (run.kind) {
      case 'resync':
        return this.#resync(run);
      case 'verify':
        return this.#verify(run, ports);
      case 'list':
      case 'show':
      case 'restore':
      case 'discard':
        return this.#ports.kept(run, ports);
    }
  }

  async close(): Promise<void> {
    this.#lines.close();
    await this.#source.close();
    await this.#ports.closed();
  }

  #resync(run: MirrorRun): Answered {
    const members = this.#meant(run);
    if (typeof members === 'string') return wrong(members);
    for (const member of members) {
      const ordered = this.#source.resync(member);
      if (ordered.kind === 'failed') return { kind: 'failed', as: 'failed', says: ordered.says };
    }
    const says = `${this.#mirror} is compared as a whole with ${members.join(', ')}; status shows how far it is`;
    return { kind: 'done', says };
  }

  async #verify(run: MirrorRun, { row, signal }: RunPorts): Promise<Answered> {
    const members = this.#meant(run);
    if (typeof members === 'string') return wrong(members);
    const mended: string[] = [];
    for (const member of members) {
      if (signal.aborted) return { kind: 'failed', as: 'failed', says: 'whoever asked went away' };
      const shown = setInterval(() => this.#progress(member, row), progressMs);
      const verified = await this.#source.verify(member, run.repair).finally(() => clearInterval(shown));
      if (verified.kind === 'failed') return { kind: 'failed', as: 'failed', says: verified.says };
      const { compared, differences } = verified;
      for (const { path, kind } of differences.slice(0, differencesMax))
        row({ kind: 'difference', target: member, path: shownPath(path), what: kind });
      row({ kind: 'verified', target: member, compared, differing: differences.length });
      if (run.repair && differences.length > 0) mended.push(member);
    }
    return {
      kind: 'done',
      says: mended.length === 0 ? '' : `what differs is mended at ${mended.join(', ')}`,
    };
  }

  #progress(member: MemberId, row: RunPorts['row']): void {
    const found = this.#source.state().targets.find(({ target }) => target === member);
    if (found === undefined || found.totalBytes === 0) return;
    const { doneBytes: done, totalBytes: total } = found;
    row({ kind: 'progress', target: member, done, total, unit: 'bytes' });
  }

  /** A sentence when there is no such target. */
  #meant({ target }: MirrorRun): readonly MemberId[] | string {
    const all = this.#source.state().targets.map((one) => one.target);
    if (target === '') return all.length === 0 ? `${this.#mirror} has no target` : all;
    return all.includes(target) ? [target] : `${target} is no target of ${this.#mirror}`;
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
      const { member, paused } = target;
      const terms = termsOf(target);
      const known = this.#dialings.get(member);
      const dialing = known?.dialing ?? new Dialing(target, this.#credentials);
      known?.dialing.change(target);
      if (known !== undefined && known.terms !== terms) redial.push(member);
      this.#dialings.set(member, { dialing, terms });
      return { member, paused, dial: (signal) => dialing.dial(signal) };
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
