/**
 * One connection to a target, from hello to its end: joins (joining.ts), copies or compares what is needed (copying.ts),
 * and replicates (replicating.ts).
 *
 * N1. Nothing is copied or compared as a whole while something that is mounted beneath the root is not believed
 *     (mount-points.ts): it can't be read. What changes elsewhere is sent.
 */

import { PlanTooLarge } from './plan.ts';
import { Copying } from './copying.ts';
import type { Joined } from './joining.ts';
import { Offering, type Offered } from './offering.ts';
import { SessionOver } from './outlet.ts';
import { keyOf } from './path.ts';
import { certain, consistentEntriesMax, DoubtfulPaths, Replicating, type FirstBatch } from './replicating.ts';
import type { SessionGround } from './session-ground.ts';
import type { Comparison } from './comparison.ts';

/** Paths that a target may name. */
const candidatesMax = 4_000_000;

export interface SessionTerms {
  readonly joined: Exclude<Joined, { kind: 'refused' }>;
  /** The target's position and history are those of this epoch. */
  readonly knowsEpoch: boolean;
  readonly consistent: boolean;
  /** It holds what this source was at this number, and nothing else; null: it holds no such moment of this epoch. */
  readonly steadyAt: number | null;
  /** Compare and tell. */
  readonly verify: Comparison | null;
}

/** Why a session can't go on, and everything has to be compared. */
export class CompareInstead extends Error {}

/** Until the session is over: throws SessionOver, or CompareInstead. */
export async function runSession(ground: SessionGround, terms: SessionTerms): Promise<never> {
  const { joined } = terms;
  const { doubt } = ground.capture;
  if (joined.kind !== 'continue' && doubt !== '') throw new SessionOver(doubt); // N1
  try {
    switch (joined.kind) {
      case 'continue':
        return await goOn(ground, joined.from, terms);
      case 'copy':
        return await copy(ground, joined);
      case 'compare':
        return await compare(ground, terms);
    }
  } catch (error) {
    if (error instanceof PlanTooLarge) throw new CompareInstead(error.message);
    throw error;
  }
}

async function goOn(ground: SessionGround, from: number, terms: SessionTerms): Promise<never> {
  const { catalog, link, progress, tree, slice } = ground;
  const { entries, bytes } = catalog.countSince(from);
  if (entries > consistentEntriesMax) throw new CompareInstead(`${String(entries)} entries changed`);
  progress.consistent = terms.consistent;
  await link.outlet.send({ kind: 'plan', mode: 'continue', from, entries, bytes });
  const candidates = await readCandidates(ground);
  if (candidates.length > consistentEntriesMax)
    throw new CompareInstead('the target changed too much by itself');
  const offered = catalog.lastSequence;
  const wanted = await new Offering(link, tree, slice).offer(present(ground, candidates));
  for (const path of candidates) {
    const entry = catalog.byPath(path);
    const linked = entry !== null && entry.nlink > 1 && entry.attributes.kind !== 'folder';
    if (linked) wanted.set(keyOf(path), { path, whole: true, ranges: [] });
  }
  // The root is never a candidate; what it was told to be costs nothing.
  if (!terms.knowsEpoch || candidates.length > 0)
    wanted.set('', { path: Buffer.alloc(0), whole: false, ranges: [] });
  const inexact = from < catalog.exactSince;
  const doubtful = new DoubtfulPaths(candidates);
  const first: FirstBatch = {
    isDoubtful: (path) => inexact || doubtful.has(path),
    wanted: [...wanted.values()],
    offered,
    // The target compares until the first batch: it would never be in step again where nothing changes.
    always: true,
  };
  if (entries > 0 || wanted.size > 0) progress.begin('resync', bytes);
  return replicate(
    ground,
    from,
    candidates.length > 0 || inexact ? first : { ...certain, wanted: first.wanted, always: true },
  );
}

async function copy(ground: SessionGround, joined: Extract<Joined, { kind: 'copy' }>): Promise<never> {
  const { catalog, link, progress } = ground;
  const { entries, bytes } = catalog.countSince(joined.from);
  progress.begin('initial-copy', bytes);
  await link.outlet.send({ kind: 'plan', mode: 'continue', from: joined.from, entries, bytes });
  await readCandidates(ground);
  const copying = await Copying.begin(ground, { ...joined, candidates: null });
  await copying.run();
  return replicate(ground, copying.end, afterCopy(copying.end));
}

async function compare(ground: SessionGround, terms: SessionTerms): Promise<never> {
  const { catalog, link, progress } = ground;
  const { entries, bytes } = catalog.countSince(0);
  progress.consistent = terms.consistent;
  progress.begin(terms.verify !== null && terms.steadyAt !== null ? 'replicating' : 'resync', bytes);
  const mode = terms.verify === null ? 'compare' : 'verify';
  await link.outlet.send({ kind: 'plan', mode, from: 0, entries, bytes });
  const candidates = await readCandidates(ground);
  const copying = await Copying.begin(ground, { from: 0, end: null, candidates });
  if (terms.verify !== null) {
    const { compared, differences } = await copying.verify(terms.steadyAt);
    terms.verify.end({ kind: 'compared', compared, differences });
    const mends = terms.verify.repair && differences.length > 0;
    throw mends ? new CompareInstead('what differs is sent') : new SessionOver('everything was compared');
  }
  progress.consistent = false;
  await copying.run();
  return replicate(ground, copying.end, afterCopy(copying.end));
}

/** Files that changed while the copy was made may be there in any version, or not at all (plan-copy.ts, K1). */
function afterCopy(end: number): FirstBatch {
  return { isDoubtful: (_, kind) => kind !== 'folder', wanted: [], offered: end, always: true };
}

async function replicate(ground: SessionGround, from: number, first: FirstBatch): Promise<never> {
  const { progress, catalog } = ground;
  const replicating = new Replicating(ground, from, first);
  if (progress.phase !== 'joining' || catalog.lastSequence > from || first.always) await replicating.batch();
  ground.caughtUp();
  return replicating.run();
}

async function readCandidates({ link }: SessionGround): Promise<Buffer[]> {
  const paths: Buffer[] = [];
  for (;;) {
    const frame = await link.candidates();
    // Each is kept for long, while the frame that it is a part of goes.
    for (const path of frame.paths) paths.push(Buffer.from(path));
    if (paths.length > candidatesMax) throw new SessionOver('the target names more paths than there can be');
    if (frame.last) return paths;
  }
}

/** The state of paths at the source. */
function* present({ catalog }: SessionGround, paths: readonly Buffer[]): Generator<Offered> {
  const seen = new Set<string>();
  for (const path of paths) {
    if (seen.has(keyOf(path))) continue;
    seen.add(keyOf(path));
    yield { path, entry: catalog.byPath(path), place: path };
  }
}
