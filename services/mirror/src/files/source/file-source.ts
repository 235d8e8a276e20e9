/**
 * The source side of a file mirror: notices changes and brings them to every target.
 *
 * S1. Nothing is sent without a live grant: it is asked for before every frame, and again with every beat.
 * S2. The epoch is in the history, on disk, before anything is sent at it. Numbers go on from where they were.
 * S3. What is gone is remembered until every target that is configured acknowledged it.
 * S4. A root that is not the one that was mirrored is refused (root-identity.ts); what is mounted beneath it and is not what was
 *     there is not believed (mount-points.ts).
 * S5. A disk that refuses the catalog ends nothing: what is noted there can be noted later, and is never what data hangs on.
 * S6. After another start of the host, what was written shortly before is sent again: it may not have reached the disk
 *     (settled.ts). It has its new numbers before the history goes on, or a start that breaks off would forget it.
 */

import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { advanceHistory, type History } from '@holdfast/core';
import { CatalogError } from '../../catalog/trouble.ts';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { BlockRecords } from '../../catalog/blocks.ts';
import { bootId } from '../../os/boot-id.ts';
import { OsError } from '../../os/types.ts';
import { rootLost, rootRefused } from '../root-identity.ts';
import { Capture } from './capture.ts';
import { MountPoints } from './mount-points.ts';
import { readNote, writeNote, type SourceNote, type TargetNote } from './notes.ts';
import { filesSince, Settled, unsettledSince } from './settled.ts';
import type { SourceGround } from './source-ground.ts';
import { TargetLine } from './target-line.ts';
import type {
  Drained,
  Ordered,
  SourceOptions,
  SourceReport,
  SourceStarted,
  SourceTarget,
  Verified,
} from './types.ts';

const scanEveryMsDefault = 600_000;
/** How often it is noted what targets hold, and what nobody needs is forgotten. */
const notePeriodMs = 10_000;
const collectMs = 8;
const renumberedMax = 1_000;
const acceptMsMax = 600_000;

export interface SourceParts {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly blocks: BlockRecords;
}

export class FileSource {
  readonly #options: SourceOptions;
  readonly #parts: SourceParts;
  readonly #capture: Capture;
  readonly #lines = new Map<string, TargetLine>();
  readonly #ground: SourceGround;
  readonly #copyEnds = new Map<string, number>();
  #history: History = [];
  #timer: NodeJS.Timeout | null = null;
  #firstWalk: { readonly promise: Promise<void>; readonly done: () => void };
  readonly #boot = bootId();
  #settled: Settled | null = null;
  #started = false;
  #closed = false;
  /** What all targets held after the last drain. */
  #drained: number | null = null;
  /** Of the last session with a target, until it caught up again. */
  readonly #failures = new Map<string, string>();

  constructor(options: SourceOptions, parts: SourceParts) {
    this.#options = options;
    this.#parts = parts;
    this.#firstWalk = later();
    this.#capture = new Capture({
      ...parts,
      selection: options.selection,
      mounts: new MountPoints({
        ...parts,
        root: options.root,
        name: options.name,
        selection: options.selection,
      }),
      makeFeed: (listener) => options.makeFeed(listener),
      scanEveryMs: options.scanEveryMs ?? scanEveryMsDefault,
      unseenForMs: unseenForMs(parts.catalog),
      says: (sentence) => {
        options.says?.(sentence);
      },
      changed: () => {
        if (parts.catalog.meta.complete) this.#firstWalk.done();
        for (const line of this.#lines.values()) line.wake();
      },
      beforeFlush: () => {
        parts.catalog.setMeta({ history: this.#historyAt(parts.catalog.lastSequence) });
      },
    });
    this.#ground = {
      ...parts,
      options,
      capture: this.#capture,
      stopped: () => this.#stopped(),
      history: (sequence) => this.#historyAt(sequence),
      copyEnd: (member) => this.#copyEnds.get(member) ?? null,
      keepCopyEnd: (member, end) => {
        this.#keepCopyEnd(member, end);
      },
      firstWalk: () => this.#firstWalk.promise,
      failed: (member, error) => {
        const says = `the source failed: ${String(error)}`;
        this.#failures.set(member, says);
        options.says?.(says);
      },
      recovered: (member) => {
        this.#failures.delete(member);
      },
    };
  }

  /** S2. Then changes are noticed, and targets are dialled. Throws what the disk says: it is closed then. */
  async start(): Promise<SourceStarted> {
    const { catalog } = this.#parts;
    const { epoch } = this.#options;
    const refused = await rootRefused(this.#parts.tree, catalog, this.#options.name);
    if (refused !== null) return { kind: 'failed', says: refused };
    const note = readNote(catalog);
    const unsettled = unsettledSince(catalog, this.#boot);
    const { history } = catalog.meta;
    const last = history.at(-1);
    if (last !== undefined && last.epoch > epoch) {
      return {
        kind: 'failed',
        says: `this copy has seen epoch ${last.epoch.toString()}, and is to be the source at ${epoch.toString()}`,
      };
    }
    if (unsettled !== null) await this.#sendAgain(unsettled);
    const own = last !== undefined && note?.epoch === last.epoch;
    const sequence = Math.max(catalog.lastSequence, last?.sequence ?? 0);
    if (sequence > catalog.lastSequence) catalog.recordSequence(sequence);
    const ended = own ? advanceHistory(history, last.epoch, sequence) : history;
    this.#history = advanceHistory(ended, epoch, sequence);
    // What was noted of blocks before this copy was a target is not what the others hold.
    if (!own) this.#parts.blocks.prune(() => false);
    this.#options.failPoint?.('source:pruned');
    const targets = own ? note.targets : ofFormerOwner(note);
    for (const [member, { copyEnd }] of Object.entries(targets))
      if (copyEnd !== null) this.#copyEnds.set(member, copyEnd);
    const settled = own && note.boot === this.#boot ? (note.settled ?? sequence) : catalog.lastSequence;
    this.#settled = new Settled(settled, catalog.lastSequence, performance.now());
    const { seenMs = null } = note ?? {};
    // At once: a note is of use only beside the history of its epoch.
    catalog.write(() => {
      catalog.setMeta({ history: this.#history, epoch, consistent: true });
      writeNote(catalog, { epoch, targets, drained: null, seenMs, boot: this.#boot, settled });
    });
    this.#started = true;
    this.#options.failPoint?.('source:history');
    await catalog.flush();
    this.#options.failPoint?.('source:noted');
    await this.#capture.start();
    if (catalog.meta.complete) this.#firstWalk.done();
    this.setTargets(this.#options.targets);
    this.#timer = setInterval(() => {
      this.#note();
      this.#collect();
    }, notePeriodMs);
    return { kind: 'started' };
  }

  /** Those that are to be kept in step from now on. */
  setTargets(targets: readonly SourceTarget[]): void {
    if (this.#closed) return;
    const acked = readNote(this.#parts.catalog)?.targets ?? {};
    for (const target of targets) {
      const line = this.#lines.get(target.member);
      if (line !== undefined) line.change(target);
      else
        this.#lines.set(
          target.member,
          new TargetLine(this.#ground, target, acked[target.member]?.acked ?? null),
        );
    }
    for (const [member, line] of this.#lines) {
      if (targets.some((target) => target.member === member)) continue;
      this.#lines.delete(member);
      this.#failures.delete(member);
      void line.close('it is no target of this mirror any more');
    }
  }

  /** Dials a target again, because the terms of its connection changed. */
  redial(member: string): Ordered {
    return this.#order(member, (line) => {
      line.redial();
    });
  }

  /** Everything is compared, and what differs is sent. Refused when it can't be begun now. */
  resync(member: string): Ordered {
    const says = this.#lines.get(member)?.hindrance() ?? null;
    if (says !== null) return { kind: 'failed', says };
    return this.#order(member, (line) => {
      line.resync();
    });
  }

  /** Everything is compared; `repair`: and what differs is being sent afterwards. */
  async verify(member: string, repair: boolean, signal: AbortSignal): Promise<Verified> {
    const line = this.#lines.get(member);
    return line === undefined ? this.#noTarget(member) : line.verify(repair, signal);
  }

  /** Until everything was compared that resync() or a repair ordered, and what differed is durable there. */
  async compared(member: string, signal: AbortSignal): Promise<Ordered> {
    const line = this.#lines.get(member);
    return line === undefined ? this.#noTarget(member) : line.compared(signal);
  }

  /** A person means what is mounted beneath the root as it is: what is gone with it is taken for deleted. */
  async accept(): Promise<Ordered> {
    try {
      const says = this.#capture.accept() ? await this.#catchUp(performance.now() + acceptMsMax) : '';
      return says === '' ? { kind: 'done' } : { kind: 'failed', says };
    } catch (error) {
      if (!(error instanceof CatalogError) && !(error instanceof OsError)) throw error;
      return { kind: 'failed', says: error.message };
    }
  }

  /**
   * After everything that writes was stopped: resolves when every target (or the one) holds all that happened before this
   * call, or after `limitMs`.
   */
  async drain(member: string | null, limitMs: number): Promise<readonly Drained[]> {
    const untilMs = performance.now() + limitMs;
    const lines = [...this.#lines.values()].filter((line) => member === null || line.member === member);
    const hindrance = await this.#catchUp(untilMs);
    const { lastSequence: sequence } = this.#parts.catalog;
    const drained = await Promise.all(
      lines.map(async (line): Promise<Drained> => {
        if (hindrance !== '') return { kind: 'behind', member: line.member, says: hindrance };
        if (await line.holdsBy(sequence, untilMs)) return { kind: 'in-step', member: line.member, sequence };
        const { state, says, behindBytes } = line.row();
        const why = says === '' ? `it is ${state}` : `it is ${state}: ${says}`;
        return { kind: 'behind', member: line.member, says: `${why}; it lacks ${String(behindBytes)} bytes` };
      }),
    );
    const all = member === null || this.#lines.size === 1;
    this.#drained = all && drained.every(({ kind }) => kind === 'in-step') ? sequence : null;
    return drained;
  }

  /** Empty while the root is the folder that it was, and the catalog can be used; else it has to be opened anew. */
  get lost(): string {
    const { catalog, tree } = this.#parts;
    return catalog.lost === '' ? rootLost(this.#options.root, tree) : catalog.lost;
  }

  state(): SourceReport {
    return {
      kind: 'source',
      mirror: this.#options.name,
      epoch: this.#options.epoch,
      sequence: this.#parts.catalog.lastSequence,
      says: this.#stopped() ?? this.#trouble,
      export: null,
      targets: [...this.#lines.values()].map((line) => line.row()),
    };
  }

  /** Hangs up, and leaves everything on disk so that the next start goes on from here. The catalog is the caller's. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await Promise.all([...this.#lines.values()].map((line) => line.close('the source is closed')));
    await this.#capture.close();
    if (!this.#started) return;
    try {
      this.#writeNote();
      await this.#capture.onDisk(this.#parts.catalog.lastSequence);
      await this.#parts.catalog.flush();
    } catch (error) {
      this.#notNoted(error);
    }
  }

  /** S6. */
  async #sendAgain(above: number): Promise<void> {
    const { catalog } = this.#parts;
    const ids = Array.from(filesSince(catalog, above), ({ id }) => id);
    for (let at = 0; at < ids.length; at += renumberedMax) {
      catalog.write(() => {
        for (const id of ids.slice(at, at + renumberedMax)) catalog.renumber(id);
      });
      await setImmediate();
    }
    const says = `${String(ids.length)} files may not be what they were before this host was started anew: they are sent again`;
    if (ids.length > 0) this.#options.says?.(says);
  }

  /** Everything that happened is in the catalog. Empty; or why not by then. */
  async #catchUp(untilMs: number): Promise<string> {
    try {
      const caught = await within(this.#capture.catchUp(), untilMs);
      if (caught === null) return 'the last changes were not all found in time';
      return caught ? '' : `the last changes can't all be found: ${this.#capture.trouble}`;
    } catch (error) {
      if (!(error instanceof CatalogError)) throw error;
      return error.message;
    }
  }

  get #trouble(): string {
    const [failure] = this.#failures.values();
    return failure ?? this.#capture.trouble;
  }

  /** S1. */
  #stopped(): string | null {
    if (this.#closed) return 'the source is closed';
    const until = this.#options.grantUntil();
    return until === null || until > this.#options.bootMs() ? null : 'its grant has ended';
  }

  #order(member: string, give: (line: TargetLine) => void): Ordered {
    const line = this.#lines.get(member);
    if (line === undefined) return this.#noTarget(member);
    give(line);
    return { kind: 'done' };
  }

  #noTarget(member: string): { readonly kind: 'failed'; readonly says: string } {
    return { kind: 'failed', says: `${member} is no target of ${this.#options.name}` };
  }

  #historyAt(sequence: number): History {
    return advanceHistory(
      this.#history,
      this.#options.epoch,
      Math.max(sequence, this.#history.at(-1)?.sequence ?? 0),
    );
  }

  #keepCopyEnd(member: string, end: number | null): void {
    if ((this.#copyEnds.get(member) ?? null) === end) return;
    if (end === null) this.#copyEnds.delete(member);
    else this.#copyEnds.set(member, end);
    this.#note();
  }

  /** S5. */
  #note(): void {
    try {
      this.#writeNote();
    } catch (error) {
      this.#notNoted(error);
    }
  }

  /** Throws what is no trouble of a disk. */
  #notNoted(error: unknown): void {
    if (!(error instanceof CatalogError)) throw error;
    this.#options.says?.(error.message);
  }

  #writeNote(): void {
    const { catalog } = this.#parts;
    const before = readNote(catalog)?.targets ?? {};
    const targets: Record<string, TargetNote> = {};
    for (const [member, line] of this.#lines) {
      const acked = line.acked ?? before[member]?.acked ?? 0;
      targets[member] = { acked, copyEnd: this.#copyEnds.get(member) ?? null };
    }
    const drained = this.#closed && this.#drained === catalog.lastSequence ? this.#drained : null;
    // Before the first walk nobody knows what happened since the former life.
    const seenMs = this.#capture.walked ? Date.now() : (readNote(catalog)?.seenMs ?? null);
    const settled = this.#settled?.at(catalog.lastSequence, performance.now()) ?? null;
    const { epoch } = this.#options;
    writeNote(catalog, { epoch, targets, drained, seenMs, boot: this.#boot, settled });
  }

  /** S3. */
  #collect(): void {
    const { catalog } = this.#parts;
    const acked = [...this.#lines.values()].map((line) => line.acked ?? 0);
    const lowest = Math.min(...acked, ...this.#copyEnds.values());
    if (!Number.isFinite(lowest) || lowest <= catalog.horizon) return;
    try {
      catalog.collect(lowest, performance.now() + collectMs);
    } catch (error) {
      this.#notNoted(error);
    }
  }
}

/** Others wrote here since: the names at a number of then are not those with which a copy began (J2 of joining.ts). */
function ofFormerOwner(note: SourceNote | null): Readonly<Record<string, TargetNote>> {
  const targets = Object.entries(note?.targets ?? {});
  return Object.fromEntries(targets.map(([member, { acked }]) => [member, { acked, copyEnd: null }]));
}

/** Only a copy that was the source last has seen anything. */
function unseenForMs(catalog: Catalog): number {
  const note = readNote(catalog);
  if (note === null || note.seenMs === null || note.epoch !== catalog.meta.history.at(-1)?.epoch) return 0;
  return Math.max(0, Date.now() - note.seenMs);
}

function later(): { promise: Promise<void>; done: () => void } {
  let done: () => void = () => undefined;
  const promise = new Promise<void>((resolve) => {
    done = resolve;
  });
  return { promise, done };
}

/** Null: the time (performance.now()) came first. */
async function within<T>(work: Promise<T>, untilMs: number): Promise<T | null> {
  const late = new AbortController();
  try {
    return await Promise.race([
      work,
      delay(Math.max(0, untilMs - performance.now()), null, { signal: late.signal }),
    ]);
  } finally {
    late.abort();
  }
}
