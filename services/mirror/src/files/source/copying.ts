/**
 * A first copy, or the comparison of everything: batches of entries in the order of their numbers (plan-copy.ts). The
 * target is at no point in time of the source while it lasts; the next consistent batch ends it.
 */

import { unknownChecksum } from '@holdfast/core';
import type { Change } from '../../catalog/types.ts';
import type { Foreign } from '../target/types.ts';
import { SessionOver } from './outlet.ts';
import { Offering, type Offered } from './offering.ts';
import { OnItsWay } from './on-its-way.ts';
import { keyOf } from './path.ts';
import { checkRemembered, type BatchPlan } from './plan.ts';
import type { Wanted } from './plan-changes.ts';
import {
  copied,
  planCopy,
  planFolders,
  planRemovals,
  type CopiedEntry,
  type CopyOptions,
} from './plan-copy.ts';
import { readBatch } from './sending.ts';
import type { SessionGround } from './session-ground.ts';

const batchEntries = 1_000;
const batchBytes = 16 << 20;
/** As many as keep both processors and the target's disk busy; the target bounds what it holds (session.ts). */
const batchesUnderWay = 12;

export interface CopyTerms {
  /** The target holds what is up to this number. */
  readonly from: number;
  /** The moment of the names; null: now. */
  readonly end: number | null;
  /** Null: the target has nothing. Else the paths that it has, to be compared first. */
  readonly candidates: readonly Buffer[] | null;
}

export class Copying {
  readonly #ground: SessionGround;
  readonly #candidates: readonly Buffer[] | null;
  readonly #options: CopyOptions;
  readonly #offering: Offering;
  #cursor: number;

  private constructor(ground: SessionGround, terms: CopyTerms, end: number) {
    this.#ground = ground;
    this.#candidates = terms.candidates;
    this.#options = { catalog: ground.catalog, end, folders: new Set(['']) };
    this.#offering = new Offering(ground.link, ground.tree, ground.slice);
    this.#cursor = terms.from;
  }

  static async begin(ground: SessionGround, terms: CopyTerms): Promise<Copying> {
    const end = terms.end ?? (await ground.capture.still(({ sequence }) => sequence));
    if (terms.candidates === null) ground.keepCopyEnd(end);
    return new Copying(ground, terms, end);
  }

  /** The moment of the names: the consistent batch that follows starts there. */
  get end(): number {
    return this.#options.end;
  }

  /** Throws SessionOver. */
  async run(): Promise<void> {
    const { catalog } = this.#ground;
    await this.#removeExtra();
    for await (const { entries, wanted, sequence } of this.#slices()) {
      await this.#send(planCopy(this.#options, entries, wanted), sequence);
    }
    const later = [...allChanges(this.#ground, this.end)];
    await this.#send(planFolders({ ...this.#options, catalog }, later), this.end);
  }

  /**
   * Compares and sends nothing. Answers how many entries were compared, and what differs, but for what was not sent yet to a
   * target that is where this source was at `steadyAt`. Throws SessionOver.
   */
  async verify(steadyAt: number | null): Promise<{ compared: number; differences: readonly Foreign[] }> {
    const there = new Set((this.#candidates ?? []).map(keyOf));
    const differences: Foreign[] = [];
    for (const { path } of (await this.#offerExtra()).values()) differences.push({ path, kind: 'extra' });
    let compared = 0;
    for await (const { entries, wanted } of this.#slices()) {
      compared += entries.length;
      for (const one of wanted?.values() ?? []) {
        const contents = one.whole || one.ranges.length > 0 ? 'contents' : 'metadata';
        // The root is there, and nobody names it.
        const isThere = one.path.length === 0 || there.has(keyOf(one.path));
        differences.push({ path: one.path, kind: isThere ? contents : 'missing' });
      }
    }
    if (steadyAt === null || differences.length === 0) return { compared, differences };
    // Then it can't be told what was not sent yet: everything is compared again, from where the target is by then.
    if (steadyAt < this.#ground.catalog.horizon)
      throw new SessionOver('more was removed or moved meanwhile than is remembered');
    const onItsWay = new OnItsWay(this.#ground.catalog, steadyAt);
    return { compared, differences: differences.filter(({ path }) => !onItsWay.has(path)) };
  }

  async *#slices(): AsyncGenerator<{
    entries: CopiedEntry[];
    wanted: ReadonlyMap<string, Wanted> | null;
    sequence: number;
  }> {
    const { catalog, slice } = this.#ground;
    let [sequence, afterId] = [this.#cursor, Infinity];
    for (;;) {
      // What moved since has no place any more at that moment.
      checkRemembered(catalog, this.end);
      const found = catalog
        .changesSince(sequence, batchEntries, afterId)
        .filter((c) => c.sequence <= this.end);
      const changes = withinBytes(found);
      const last = changes.at(-1);
      if (last === undefined) return;
      [sequence, afterId] = [last.sequence, last.id];
      // A number that several entries share is done only with the last of them.
      const [next] = catalog.changesSince(sequence, 1, afterId);
      this.#cursor = Math.max(this.#cursor, next?.sequence === sequence ? sequence - 1 : sequence);
      const entries = copied(this.#options, changes);
      const wanted = this.#candidates === null ? null : await this.#offering.offer(this.#offered(entries));
      yield { entries, wanted, sequence: this.#cursor };
      if (slice.isOver) await slice.turn();
    }
  }

  *#offered(entries: readonly CopiedEntry[]): Generator<Offered> {
    for (const { path, entry } of entries)
      yield { path, entry, place: this.#ground.catalog.pathOf(entry.id) };
  }

  /** What the target has and the source has not. */
  async #offerExtra(): Promise<Map<string, Wanted>> {
    const extra = (this.#candidates ?? []).filter((path) => this.#ground.catalog.byPath(path) === null);
    return this.#offering.offer(extra.map((path) => ({ path, entry: null, place: null })));
  }

  async #removeExtra(): Promise<void> {
    const paths = [...(await this.#offerExtra()).values()].map(({ path }) => path);
    for (let at = 0; at < paths.length; at += batchEntries) {
      await this.#send(planRemovals(this.#ground.catalog, paths.slice(at, at + batchEntries)), this.#cursor);
    }
  }

  async #send(plan: BatchPlan, sequence: number): Promise<void> {
    if (plan.taken.length + plan.made.length + plan.set.length === 0) return;
    const { link, catalog, history, capture } = this.#ground;
    await link.room(batchesUnderWay);
    const comparing = this.#candidates !== null;
    const batch = await readBatch(this.#ground, {
      plan,
      consistent: false,
      // While everything is compared the target holds nothing that a number could tell.
      sequence: comparing ? this.end : sequence,
      checksum: unknownChecksum,
      history: comparing ? [] : history(sequence),
      readings: new Map(),
      ahead: null,
      heldBytesMax: 0,
      placeOf: ({ entry }) => capture.believed(catalog.pathOf(entry.id)),
    });
    // Whatever changed it may be told by nobody else.
    for (const place of batch.moving) capture.tell(place);
    await batch.commit([]);
  }
}

/** The beginning that is no larger than a batch. */
function withinBytes(changes: readonly Change[]): readonly Change[] {
  let bytes = 0;
  const end = changes.findIndex((change) => {
    if (change.kind === 'entry' && change.entry.attributes.kind === 'file')
      bytes += change.entry.attributes.size;
    return bytes >= batchBytes;
  });
  return end === -1 ? changes : changes.slice(0, end + 1);
}

/** All changes above a number. */
export function* allChanges({ catalog }: SessionGround, above: number): Generator<Change> {
  let [sequence, afterId] = [above, Infinity];
  for (;;) {
    const changes = catalog.changesSince(sequence, 1_000, afterId);
    yield* changes;
    const last = changes.at(-1);
    if (last === undefined) return;
    [sequence, afterId] = [last.sequence, last.id];
  }
}
