/**
 * The target side of a file mirror: takes a source's batches, is at one of its positions at every moment, and becomes an
 * owner's copy within milliseconds.
 *
 * Invariants:
 * G1  A source below the highest epoch that was ever durably seen here is refused, and a higher one is durable before it
 *     is answered.
 * G2  One source at a time. The next one is answered when everything durable is applied, so that its hello tells the truth.
 * G3  What was acknowledged is there after promote(), and nothing is written by the target after it.
 * G4  A former owner is diverged until what it wrote by itself is kept aside, or is known to be nothing: whoever took it over
 *     without being told would go on from there, and lose what was written elsewhere meanwhile.
 */

import { setTimeout as delay } from 'node:timers/promises';
import type { Connection, Hello } from '../../transport/types.ts';
import { unsettledPaths } from '../source/settled.ts';
import { rootLost } from '../root-identity.ts';
import { differsAgainSays, differsSays } from './agreement.ts';
import { Committing } from './committing.ts';
import type { Outcome } from './commits.ts';
import { Cover } from './cover.ts';
import { searchForeign } from './foreign.ts';
import type { ForeignSearch } from './foreign.ts';
import { ForeignWatch } from './foreign-watch.ts';
import { emptyGone } from './gone.ts';
import { refusalOf } from './greeting.ts';
import { helloOf } from './hello.ts';
import type { StagedBatch } from './open-batch.ts';
import { sparedSays, staysSays, type Spared } from './overwriting.ts';
import type { Standing } from './records.ts';
import { Session } from './session.ts';
import { codeOf, waitingReason } from './trouble.ts';
import { OtherRoot, openParts } from './parts.ts';
import { NoRoom } from './recovery.ts';
import type { Parts } from './parts.ts';
import { Turns } from '../../turns.ts';
import type { Accepted, Divergence, Promoted, TargetOptions, TargetPhase, TargetReport } from './types.ts';

const retryMsDefault = 60_000;
const pauseMsDefault = 2_000;
const foreignPeriodMsDefault = 3_600_000;
const unusedMsDefault = 5_000;
const unusedPeriodMs = 500;
const ownSays = 'what it wrote as an owner is not all kept aside yet';
/** A new source waits so long for what the former one left. */
const settleMs = 10_000;

export type OpenedTarget =
  { readonly kind: 'open'; readonly target: FileTarget } | { readonly kind: 'failed'; readonly says: string };

export class FileTarget {
  readonly #options: TargetOptions;
  readonly #parts: Parts;
  readonly #commits: Committing;
  readonly #retryMs: number;
  #durable: Standing;
  #session: Session | null = null;
  /** The end of the session before. */
  #former: Promise<void> = Promise.resolve();
  #waiting = '';
  #says = '';
  #closed = '';
  #ended = false;
  #promoted = false;
  /** Whether the staging folder is gone. */
  #cleared = false;
  #emptying: Promise<void> | null = null;
  readonly #cover: Cover;
  readonly #foreign: ForeignWatch;
  #unusedTimer: NodeJS.Timeout | null = null;
  readonly #accepting = new Turns();

  private constructor(options: TargetOptions, parts: Parts, retryMs: number) {
    this.#options = options;
    this.#parts = parts;
    this.#retryMs = retryMs;
    this.#durable = parts.records.standing;
    const { ground, log, records, overwriting, nextNumber } = parts;
    this.#cover = new Cover(options.root, options.covered);
    this.#foreign = new ForeignWatch({
      search: () => this.#search(),
      wasOwner: () => records.wasOwner,
      says: (sentence) => {
        this.#tell(sentence);
      },
    });
    this.#commits = new Committing({
      ground,
      log,
      records,
      overwriting,
      nextNumber,
      retryMs,
      pauseMs: options.pauseMs ?? pauseMsDefault,
      listener: {
        durable: (staged) => {
          this.#noteDurable(staged);
        },
        applied: (staged, outcome) => {
          this.#noteApplied(staged, outcome);
        },
        unfit: (says) => {
          this.#durable = records.standing;
          this.#session?.refuse('diverged', says);
        },
        waiting: (reason) => {
          this.#wait(reason);
        },
        gaveUp: (reason) => {
          this.#session?.refuse('shutdown', `waiting: ${reason}`);
        },
      },
    });
  }

  /**
   * Opens everything and finishes what a former life left (recovery.ts). A failure may pass: it can be called again.
   */
  static async open(options: TargetOptions): Promise<OpenedTarget> {
    const opened: { close(): void }[] = [];
    try {
      const parts = await openParts(options, opened);
      const target = new FileTarget(options, parts, options.retryMs ?? retryMsDefault);
      target.#begin();
      return { kind: 'open', target };
    } catch (error) {
      for (const each of opened.reverse()) each.close();
      if (error instanceof OtherRoot || error instanceof NoRoom)
        return { kind: 'failed', says: error.message };
      if (codeOf(error) === '') throw error;
      return { kind: 'failed', says: waitingReason(error) ?? String(error) };
    }
  }

  get divergence(): Divergence {
    return this.#parts.kept;
  }

  /** The root as it is reached for writing. */
  get writableRoot(): string {
    return this.#parts.ground.tree.reached;
  }

  /** Takes a connection whose hello came. Whatever becomes of it, the connection is this target's to close. */
  accept(connection: Connection, hello: Hello): Promise<Accepted> {
    return this.#accepting.next(() => this.#accept(connection, hello));
  }

  /** Finishes what is durable, ends the protection, and takes nothing any more (G3). Can be called again. */
  async promote(): Promise<Promoted> {
    this.#closed = 'this copy is an owner’s now';
    this.#session?.close(this.#closed);
    const { log, records, ground, overwriting } = this.#parts;
    overwriting.hurry();
    if (!this.#promoted) {
      await this.#quiet();
      await this.#commits.idle();
      ground.failPoint('promote:applied');
      await this.#commits.checkpoint();
      await log.sync();
      ground.failPoint('promote:durable');
      this.#cover.end();
      this.#promoted = true;
      this.#durable = records.standing;
      await this.#emptying;
      if (ground.staging.gone().length === 0) this.#removeStaging();
      ground.failPoint('promote:cleared');
      await records.flush();
      ground.failPoint('promote:promoted');
    }
    const { position, consistent } = this.#durable;
    return { position, consistent };
  }

  /** Empty while the root is the folder that it was, and the catalog can be used; else it has to be opened anew. */
  get lost(): string {
    const { root, catalog } = this.#options;
    return catalog.lost === '' ? rootLost(root, this.#parts.ground.tree) : catalog.lost;
  }

  state(): TargetReport {
    const { kept, seen } = this.#parts;
    return {
      phase: this.#phase(),
      says: this.#waiting !== '' ? this.#waiting : this.#diverged ? ownSays : this.#saying,
      source: this.#session?.source ?? null,
      position: this.#durable.position,
      epoch: seen.epoch,
      consistent: this.#durable.consistent,
      receivedBytes: this.#session?.receivedBytes ?? 0,
      unappliedBytes: this.#commits.unappliedBytes,
      protection: this.#cover.protection,
      foreignChanges: this.#foreign.count,
      kept: { entries: kept.entries, bytes: kept.bytes, maxBytes: kept.maxBytes },
    };
  }

  /** Looks for what others changed here, now. Throws what the disk says. */
  async foreignChanges(): Promise<ForeignSearch> {
    return this.#foreign.search();
  }

  async #search(namedMax?: number): Promise<ForeignSearch> {
    await this.#commits.idle();
    const { catalog, selection } = this.#options;
    const { ground, mounts } = this.#parts;
    mounts.add();
    return searchForeign({ ...ground, catalog, selection }, () => this.#closed !== '', namedMax);
  }

  /** The source has to compare everything, and what differs is replaced: mends foreign changes. */
  async mendForeign(): Promise<void> {
    await this.#commits.idle();
    this.#distrust('everything is compared again');
  }

  /** What is durable stays so, and is applied at the next start. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#closed === '') this.#closed = 'the target stops';
    this.#foreign.stop();
    if (this.#unusedTimer !== null) clearInterval(this.#unusedTimer);
    this.#session?.close(this.#closed);
    await this.#accepting.idle();
    await this.#commits.close();
    await this.#quiet();
    await this.#parts.kept.close();
    await this.#emptying;
    const { log, ground, own } = this.#parts;
    if (this.#promoted && !this.#cleared) {
      await emptyGone(ground, () => false);
      this.#removeStaging();
    }
    log.close();
    ground.staging.close();
    own.close();
  }

  /** After the end of a session: nothing of it is written any more. */
  async #quiet(): Promise<void> {
    await this.#former;
    await this.#parts.ground.staging.flushing.idle();
  }

  /** A folder that stays, because its parent may not be written any more, does not stop a promotion. */
  #removeStaging(): void {
    this.#cleared = true;
    this.#clear(0);
  }

  #removeUnused(): void {
    if (this.#closed !== '' || this.#emptying !== null || !this.#commits.settled) return;
    this.#clear(this.#options.unusedMs ?? unusedMsDefault);
  }

  #clear(unusedMs: number): void {
    const { staging } = this.#parts.ground;
    try {
      if (unusedMs === 0 || staging.unusedFor(unusedMs)) staging.clear();
    } catch (error) {
      if (waitingReason(error) === null) throw error;
      this.#tell(`the staging folder stays: ${String(error)}`);
    }
  }

  #begin(): void {
    if (this.#durable.consistent) this.#protect();
    if (this.#parts.place.inside) {
      this.#unusedTimer = setInterval(() => {
        this.#removeUnused();
      }, unusedPeriodMs).unref();
    }
    this.#noteSpared({ paths: this.#parts.spared, lost: '' });
    this.#foreign.start(this.#options.foreignPeriodMs ?? foreignPeriodMsDefault);
  }

  async #accept(connection: Connection, hello: Hello): Promise<Accepted> {
    const { name, cluster, root, otherRoots, selection } = this.#options;
    const { seen, ground, records } = this.#parts;
    const host = {
      name,
      cluster,
      root,
      otherRoots,
      selection: selection.digest,
      epoch: seen.epoch,
      closed: this.#closed,
    };
    const refusal = refusalOf(hello, host);
    if (refusal !== null) {
      connection.send({ kind: 'refuse', ...refusal, epoch: seen.epoch });
      connection.close(refusal.says);
      return { kind: 'refused', ...refusal };
    }
    try {
      seen.see(hello.epoch); // G1
    } catch (error) {
      const reason = waitingReason(error);
      if (reason === null) throw error;
      return this.#notNow(connection, reason);
    }
    this.#session?.close('the source dialled again');
    const idle = Promise.all([this.#commits.idle(), this.#former]).then(() => true); // G2
    if (!(await Promise.race([idle, delay(settleMs, false)]))) {
      return this.#notNow(
        connection,
        this.#waiting === '' ? 'former batches are still being applied' : this.#waiting,
      );
    }
    if (this.#closed !== '') return this.#notNow(connection, this.#closed);
    this.#says = '';
    try {
      this.#agrees(records.agree([]));
      records.trust();
    } catch (error) {
      const reason = waitingReason(error);
      if (reason === null) throw error;
      return this.#notNow(connection, reason);
    }
    this.#durable = records.standing;
    const session = this.#makeSession(connection, hello);
    this.#session = session;
    const { checksum } = records;
    connection.send(helloOf(this.#options, { standing: this.#durable, checksum, epoch: seen.epoch, ground }));
    connection.beats(() => ({
      behindBytes: 0,
      behindMs: 0,
      waiting: this.#waiting === '' && this.#diverged ? ownSays : this.#waiting,
      sequence: this.#durable.position?.sequence ?? 0,
      receivedBytes: session.receivedBytes,
      says: this.#saying,
      diverged: this.#diverged,
    }));
    session.start();
    return { kind: 'accepted' };
  }

  #notNow(connection: Connection, says: string): Accepted {
    const { seen } = this.#parts;
    connection.send({ kind: 'refuse', code: 'shutdown', says, epoch: seen.epoch });
    connection.close(says);
    return { kind: 'refused', code: 'shutdown', says };
  }

  #makeSession(connection: Connection, hello: Hello): Session {
    const { records, kept, ground, seen } = this.#parts;
    const { selection, catalog } = this.#options;
    const unclean = records.wasOwner
      ? async (): Promise<readonly Buffer[]> => (await this.#search(Infinity)).named.map(({ path }) => path)
      : null;
    const unsettled = (): readonly Buffer[] => (records.wasOwner ? unsettledPaths(catalog) : []);
    return new Session(connection, hello, {
      commits: this.#commits,
      staging: ground.staging,
      comparing: { tree: ground.tree, records, kept, selection, unclean, unsettled },
      retryMs: this.#retryMs,
      epoch: () => seen.epoch,
      waiting: (reason) => {
        this.#wait(reason);
      },
      ended: (session, says) => {
        if (this.#session !== session) return;
        this.#former = session.settled;
        this.#session = null;
        this.#waiting = '';
        this.#tell(says);
      },
    });
  }

  #noteDurable(staged: StagedBatch): void {
    const { epoch, sequence, checksum, history } = staged.batch;
    // What is distrusted stays so, whatever was on its way (R6 of records.ts).
    const consistent = staged.batch.consistent && !this.#parts.records.distrusted;
    if (consistent && !this.#durable.consistent) {
      this.#foreign.forget();
      this.#parts.mounts.anew();
    }
    this.#durable = { position: { epoch, sequence, checksum }, history, consistent };
    this.#session?.acknowledge(staged);
  }

  #noteApplied(staged: StagedBatch, { misfits, skipped, spared, sums }: Outcome): void {
    const [first] = misfits;
    if (skipped.length > 0) this.#tell(`left out here: ${skipped.slice(0, 3).join(', ')}`);
    this.#noteSpared(spared);
    if (first !== undefined) {
      this.#foreign.met(misfits.length);
      this.#distrust(`${first.toString()} was changed here by others, so that a batch did not fit`);
      return;
    }
    if (spared.stays) {
      this.#distrust(staysSays(spared));
      return;
    }
    if (!this.#agrees(sums)) return;
    if (staged.batch.consistent) this.#protect();
    this.#emptying ??= emptyGone(this.#parts.ground, () => this.#closed !== '').finally(() => {
      this.#emptying = null;
    });
  }

  #noteSpared(spared: Pick<Spared, 'paths' | 'lost'>): void {
    if (spared.paths.length === 0) return;
    this.#foreign.met(spared.paths.length);
    this.#tell(sparedSays(spared));
  }

  #agrees(sums: Outcome['sums']): boolean {
    if (sums === 'differs') this.#distrust(differsSays);
    if (sums === 'differs-again') this.#tell(differsAgainSays);
    return sums !== 'differs';
  }

  #distrust(says: string): void {
    this.#parts.records.distrust();
    this.#durable = this.#parts.records.standing;
    this.#session?.refuse('diverged', says);
    this.#tell(says);
  }

  #protect(): void {
    this.#parts.mounts.whole();
    // With the disk beneath it, too: another folder is there now, which is nobody's to cover.
    if (this.#cover.isTaken && this.lost !== '') return;
    const says = this.#cover.protect();
    if (says !== '') this.#tell(says);
  }

  get #saying(): string {
    const { entries } = this.#parts.kept;
    if (this.#says !== '' || entries === 0) return this.#says;
    const what = entries === 1 ? 'one entry is' : `${String(entries)} entries are`;
    return `${what} kept aside: holdfast mirror divergence ${this.#options.name}`;
  }

  #phase(): TargetPhase {
    if (this.#promoted) return 'promoted';
    if (this.#diverged) return 'diverged';
    if (this.#waiting !== '') return 'waiting';
    if (this.#session === null) return 'disconnected';
    if (!this.#durable.consistent) return this.#options.catalog.meta.complete ? 'resync' : 'initial-copy';
    return this.#parts.records.wasOwner ? 'resync' : 'replicating';
  }

  /** G4. */
  get #diverged(): boolean {
    const { wasOwner, mayHaveOwn } = this.#parts.records;
    return wasOwner && (this.#session?.hasOwn ?? mayHaveOwn);
  }

  #wait(reason: string): void {
    if (reason === this.#waiting) return;
    this.#waiting = reason;
    if (reason !== '') this.#options.says?.(`${this.#options.name} waits: ${reason}`);
    this.#session?.connection.beatNow();
  }

  #tell(says: string): void {
    if (says === this.#says) return;
    this.#says = says;
    this.#options.says?.(`${this.#options.name}: ${says}`);
  }
}
