/**
 * A volume as a source: its export, its targets as they are ordered, what is told of them, and what a person wants of them.
 *
 *   S1  a change of rate holds at once; other terms of a connection take a new one
 *   S2  a drain answers in time, with the targets that hold everything. Writes wait only for the end of it, and from then on until it
 *       is closed, however long the move takes: what was written after the answer would be missing there. They go on when the drain
 *       failed, and when the move is called off (writable), also in the middle of a drain. A move of which nobody hears any
 *       more ends with the grant
 *   S3  what the disk refuses to a client, and a record that can't be written, is a trouble of the data: the group is better off on
 *       a server whose copy is in step
 *   S4  closed because its time is over, clients are told so with ESHUTDOWN. At the end of the process they are hung up
 *       on, so that those who connect again go on where they were
 */

import type { Epoch, MemberId, MirrorId, MirrorOrder } from '@holdfast/core';
import type { MirrorRun } from '@holdfast/wire/mirror';
import type { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import type { VolumeSource } from '../volumes/source/volume-source.ts';
import type { SharedFile } from '../volumes/store/file-store.ts';
import type { Answered, Closing, Opened, RunPorts, SourceReport, SourceRole, SourceSide } from './side.ts';
import { ExportTrouble } from './export-trouble.ts';
import { meantTargets } from './meant.ts';
import type { Lines } from './source-role.ts';
import type { ThreadedExport } from './threaded-export.ts';
import { exportNameOf, exportUri } from './volume-export.ts';
import { runBlocks } from './volume-divergence-runs.ts';
import { resyncBlocks } from './volume-resync-run.ts';
import { verifyBlocks } from './volume-verify-runs.ts';

export interface VolumeSourcePorts {
  readonly lines: Lines;
  readonly exporting: ThreadedExport;
  /** Of the volume; the source closes it. */
  readonly file: SharedFile;
  /** Where clients find it. */
  readonly socketPath: string;
  /** What diverged here in a former life as a source; closed with it. */
  readonly kept: KeptBlocks;
  /** This member. */
  readonly self: string;
  readonly says: (sentence: string) => void;
}

/** Of the last bytes, while writes wait. */
const lastMs = 8_000;

export class VolumeSourceSide implements SourceSide {
  readonly #ports: VolumeSourcePorts;
  readonly #mirror: MirrorId;
  readonly #epoch: Epoch;
  readonly #source: VolumeSource;
  readonly #trouble: ExportTrouble;
  /** How often a move was called off. */
  #callsOff = 0;

  private constructor(
    mirror: MirrorId,
    epoch: Epoch,
    source: VolumeSource,
    trouble: ExportTrouble,
    ports: VolumeSourcePorts,
  ) {
    this.#trouble = trouble;
    this.#mirror = mirror;
    this.#epoch = epoch;
    this.#source = source;
    this.#ports = ports;
  }

  /** The source is closed when it can't be exported. */
  static async open(
    mirror: MirrorId,
    epoch: Epoch,
    source: VolumeSource,
    ports: VolumeSourcePorts,
  ): Promise<Opened<SourceSide>> {
    const { exporting, file, socketPath, says } = ports;
    const name = exportNameOf(mirror);
    const trouble = new ExportTrouble();
    const refused = (sentence: string): void => {
      trouble.note(sentence);
      says(`${mirror}: ${sentence}`);
    };
    const terms = { file, socketPath, name, shared: source.shared.parts };
    const failed = await exporting.listen(terms, { says, refused });
    if (failed === '')
      return { kind: 'open', side: new VolumeSourceSide(mirror, epoch, source, trouble, ports) };
    ports.lines.close();
    await source.close();
    ports.kept.close();
    return { kind: 'failed', says: failed };
  }

  change({ dataset }: MirrorOrder, role: SourceRole): void {
    const { targets, redial } = this.#ports.lines.change(role.targets);
    this.#source.grant(grantOf(role));
    if (dataset.kind === 'volume') {
      this.#source.setMode(dataset);
      this.#source.setSize(dataset.sizeBytes);
    }
    void this.#source.setTargets(targets).then(() => {
      for (const member of redial) this.#source.redial(member); // S1
    });
  }

  report(): SourceReport {
    const { sequence, failed, trouble } = this.#source;
    const dataTrouble = trouble === '' ? this.#trouble.says : trouble; // S3
    const { count: entries, bytes } = this.#ports.kept;
    return {
      kind: 'source',
      mirror: this.#mirror,
      epoch: this.#epoch,
      sequence,
      says: failed,
      export: exportUri(this.#mirror, this.#ports.socketPath),
      targets: this.#source.rows(),
      ...(dataTrouble === '' ? {} : { dataTrouble }),
      ...(entries === 0 ? {} : { kept: { entries, bytes } }),
    };
  }

  /** S2. */
  async drain(to: MemberId | null, limitMs: number): Promise<readonly MemberId[]> {
    const untilMs = performance.now() + limitMs;
    const callsOff = this.#callsOff;
    const isOff = (): boolean => this.#callsOff !== callsOff;
    await this.#source.drain(to, limitMs);
    if (isOff()) return [];
    this.#source.hold();
    const drained = await this.#source.drain(to, Math.min(lastMs, untilMs - performance.now()));
    if (isOff()) return [];
    if (to !== null && !drained.includes(to)) this.#source.letGo();
    return drained;
  }

  /** S2. */
  writable(): void {
    this.#callsOff += 1;
    this.#source.letGo();
  }

  async run(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    switch (run.kind) {
      case 'resync':
        return this.#resync(run, ports);
      case 'verify':
        return this.#verify(run, ports);
      case 'list':
      case 'show':
      case 'restore':
      case 'discard':
        return runBlocks(this.#ports.kept, { ...run, kind: run.kind }, this.#ports.self, ports);
      case 'open':
      case 'close':
        return wrong(`this is the source of ${this.#mirror}: a target can be opened`);
    }
  }

  /** S4. */
  async close(why: Closing): Promise<void> {
    if (why === 'restart') await this.#ports.exporting.hangUp();
    // It goes on telling clients for a moment; nobody waits for that.
    else this.#ports.exporting.close();
    this.#ports.lines.close();
    await this.#source.close();
    this.#ports.kept.close();
  }

  async #resync(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const members = this.#meant(run);
    return typeof members === 'string'
      ? wrong(members)
      : resyncBlocks(this.#source, this.#mirror, members, ports);
  }

  async #verify(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const members = this.#meant(run);
    return typeof members === 'string'
      ? wrong(members)
      : verifyBlocks(this.#source, members, run.repair, ports);
  }

  #meant(run: MirrorRun): readonly MemberId[] | string {
    return meantTargets(
      this.#mirror,
      run,
      this.#source.rows().map((one) => one.target),
    );
  }
}

/** Boot time; Infinity: no grant is needed. */
export const grantOf = ({ grantUntil }: SourceRole): number => grantUntil ?? Infinity;

const wrong = (says: string): Answered => ({ kind: 'failed', as: 'invalid', says });
