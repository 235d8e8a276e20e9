/**
 * Sends each change as it happens: consistent batches, one after the other, each from the number that the last one came to.
 *
 * Y1. A batch begins when there is something new and few enough are under way; what happens meanwhile is the next one's.
 * Y2. A batch is closed when all that it read held still, as far as the feed tells: then it is what the tree was at one
 *     moment. What changed meanwhile is planned anew, with what is new, as long as nothing went out; for at most settleMs.
 *     Then it is closed all the same, and names what never held still (hot).
 * Y3. After a batch with hot files the next ones wait only a moment for them, so that one busy file does not delay others.
 * Y4. A big file that is being written to is looked through when it has rested for a tenth of the time that this takes, or as
 *     long as Y2 waits: what is written while it is looked through is looked for once more.
 * Y5. What can't be read because it is not mounted is left out, and is the next batch's again: that one takes its time.
 */

import type { Change } from '../../catalog/types.ts';
import { Ahead } from './ahead.ts';
import type { Readings } from './batch-writer.ts';
import { allChanges } from './copying.ts';
import { keyOf, pathOfKey } from './path.ts';
import { checkRemembered, PlanTooLarge, type BatchPlan } from './plan.ts';
import { planChanges, type ChangesOptions, type Wanted } from './plan-changes.ts';
import { readBatch } from './sending.ts';
import type { SessionGround } from './session-ground.ts';
import { settleSuspects } from './suspects.ts';

const heldBytesMax = 8 << 20;
const batchesUnderWay = 2;
const hotPatienceMs = 50;
const planAttempts = 3;
/** Y4. A file of less than 20 MiB need not rest. */
const restedBytesPerMs = 4 << 20;
const restMsMin = 5;
/** Y5. */
const doubtMs = 1_000;
/** A batch with more is not staged as a whole; everything is compared instead. */
export const consistentEntriesMax = 150_000;

/** What is not as the histories say, in the first batch of a session. */
export interface FirstBatch {
  readonly isDoubtful: ChangesOptions['isDoubtful'];
  readonly wanted: readonly Wanted[];
  /** The last number when both compared. */
  readonly offered: number;
  /** It is sent even when nothing changed: the target has to hear of the epoch, or that it is consistent. */
  readonly always: boolean;
}

export const certain: FirstBatch = { isDoubtful: () => false, wanted: [], offered: 0, always: false };

interface Planned {
  readonly plan: BatchPlan;
  readonly sequence: number;
  readonly checksum: string;
}

export class Replicating {
  readonly #ground: SessionGround;
  #from: number;
  #first: FirstBatch;
  #patienceMs: number;
  readonly #ahead = new Ahead();

  constructor(ground: SessionGround, from: number, first: FirstBatch) {
    this.#ground = ground;
    this.#from = from;
    this.#first = first;
    this.#patienceMs = ground.settleMs;
  }

  /** Up to which number was sent. */
  get sequence(): number {
    return this.#from;
  }

  /** Until the session is over: throws SessionOver, or PlanTooLarge. */
  async run(): Promise<never> {
    const { link, catalog, capture } = this.#ground;
    for (;;) {
      while (catalog.lastSequence <= this.#from && !this.#first.always) await link.sleep(null);
      await link.room(batchesUnderWay); // Y1.
      if (capture.doubt !== '') await link.sleep(doubtMs); // Y5.
      await this.batch();
    }
  }

  /** One batch; nothing is sent when nothing changed. */
  async batch(): Promise<void> {
    const { capture, catalog, history, progress } = this.#ground;
    const until = performance.now() + this.#patienceMs;
    const readings: Readings = new Map();
    for (;;) {
      const planned = await this.#plan(readings);
      if (planned.sequence <= this.#from && !this.#first.always && this.#first.wanted.length === 0) return;
      const { plan, sequence, checksum } = planned;
      if (await this.#rested(plan, until)) continue;
      const batch = await readBatch(this.#ground, {
        plan,
        consistent: true,
        sequence,
        checksum,
        history: history(sequence),
        readings,
        ahead: this.#ahead,
        heldBytesMax,
        placeOf: ({ path, entry }) => capture.believed(catalog.pathOf(entry.id) ?? path),
      });
      for (const place of batch.moving) capture.tell(place);
      await capture.barrier();
      const names = namesOf(plan);
      const touched = batch.moving.length > 0 ? batch.moving : capture.touches(names).map(pathOfKey);
      if (touched.length > 0 && batch.isHeld && performance.now() < until) continue; // Y2.
      await batch.commit(touched);
      progress.settled(names, touched.map(keyOf));
      this.#closed(sequence, touched.length > 0);
      return;
    }
  }

  /** Y4. True: it was waited for, and the plan is of yesterday. */
  async #rested(plan: BatchPlan, until: number): Promise<boolean> {
    const restMs = restMsOf(plan, Date.now());
    const endMs = performance.now() + restMs;
    if (restMs < restMsMin || endMs > until) return false;
    for (let left = restMs; left > 0; left = endMs - performance.now()) await this.#ground.link.sleep(left);
    return true;
  }

  /** Y3. */
  #closed(sequence: number, hot: boolean): void {
    this.#from = sequence;
    this.#first = certain;
    this.#patienceMs = hot ? hotPatienceMs : Math.min(this.#ground.settleMs, this.#patienceMs * 2);
  }

  /** Everything that was told, as one plan that belongs to one number. */
  async #plan(readings: Readings): Promise<Planned> {
    const { capture, catalog, slice } = this.#ground;
    await capture.still(() => undefined);
    await settleSuspects(this.#ground, this.#from, readings);
    for (let attempt = 0; attempt < planAttempts; attempt += 1) {
      const planned = await capture.still(async (point) => {
        const plan = await slice.run(this.#planning());
        // A walk goes on meanwhile.
        const isOf = catalog.detached === 0 && catalog.lastSequence === point.sequence;
        return isOf ? { plan, ...point } : null;
      });
      if (planned !== null) return planned;
    }
    return capture.still((point) => ({ plan: atOnce(this.#planning()), ...point }));
  }

  *#planning(): Generator<undefined, BatchPlan> {
    const { catalog, blocks } = this.#ground;
    checkRemembered(catalog, this.#from);
    const changes: Change[] = [];
    for (const change of allChanges(this.#ground, this.#from)) {
      changes.push(change);
      if (changes.length > consistentEntriesMax)
        throw new PlanTooLarge('more changed than one batch can hold');
      if (changes.length % 256 === 0) yield;
    }
    const { isDoubtful, wanted, offered } = this.#first;
    const isPatchable: ChangesOptions['isPatchable'] = (entry) => blocks.has(entry, this.#from);
    return yield* planChanges({
      catalog,
      from: this.#from,
      changes,
      isDoubtful,
      isPatchable,
      wanted,
      offered,
    });
  }
}

function atOnce<T>(work: Generator<undefined, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Y4: how long it is too early, at this time of the wall clock. */
function restMsOf(plan: BatchPlan, wallMs: number): number {
  let restMs = 0;
  for (const made of plan.made) {
    if (made.kind !== 'patch') continue;
    const { attributes, ctimeS, ctimeNs } = made.entry;
    const quietMs = wallMs - (ctimeS * 1_000 + ctimeNs / 1e6);
    // The clock may have been set back.
    if (quietMs >= 0) restMs = Math.max(restMs, attributes.size / restedBytesPerMs - quietMs);
  }
  return restMs;
}

/** Where the contents of a batch were read. */
function namesOf(plan: BatchPlan): Set<string> {
  const names = new Set<string>();
  for (const made of plan.made) names.add(keyOf(made.path));
  for (const { path, entry } of plan.set) if (entry.attributes.kind !== 'folder') names.add(keyOf(path));
  return names;
}

/** Paths at which a target may hold something else than the histories say, and what lies above and beneath them. */
export class DoubtfulPaths {
  readonly #paths = new Set<string>();
  readonly #above = new Set<string>();

  constructor(paths: readonly Buffer[]) {
    for (const path of paths) {
      const key = keyOf(path);
      this.#paths.add(key);
      for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1))
        this.#above.add(key.slice(0, at));
    }
  }

  has(path: Buffer): boolean {
    if (this.#paths.size === 0) return false;
    const key = keyOf(path);
    if (this.#paths.has(key) || this.#above.has(key)) return true;
    for (let at = key.lastIndexOf('/'); at > 0; at = key.lastIndexOf('/', at - 1)) {
      if (this.#paths.has(key.slice(0, at))) return true;
    }
    return false;
  }
}
