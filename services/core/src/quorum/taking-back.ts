/**
 * An owner that renews and begins nothing: it has yet to clear what an earlier life left there, or does not know the group. It
 * is never down, so nobody would ever take over from it.
 *
 *   B1  it has a whole outage for it, from when it was given the group, or began its present life
 *   B2  it is asked like any owner, and says that nothing of this epoch runs there: only then another one is given the group
 *   B3  where nobody else can, and nothing keeps it from being given the group again, it would only be asked in circles
 */

import type { Ownership } from '../records.ts';
import { claimOf } from '../vantage.ts';
import { assess, candidates, choose } from './candidates.ts';
import type { Case, Judgement } from './case.ts';
import { ended, releaseTo } from './changes.ts';
import { bootedSinceRenewal, liveReportFor, longestWaitMs, seconds } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;

/** Null: it is not to be asked, or not yet. */
export function takeBack(c: Case, own: Owned): Judgement | null {
  const { scene, config, record } = c;
  const { owner } = own;
  if (!beganNothing(c, own)) return null;
  const to = choose(candidates(scene, config, record).filter((s) => s.server !== owner)) ?? null;
  const blocker = assess(scene, config, record, owner).blocker;
  if (to === null && blocker === null) return null; // B3
  const why = `${owner} has ${config.name} and began nothing of it for ${seconds(longestWaitMs(scene, owner, config))}`;
  const reason = blocker === null ? why : `${why}: ${blocker}`;
  const judged = releaseTo(c, own, { to, kind: to === null ? 'release' : 'switchover', reason });
  if (judged.change === null) return judged;
  // I7: whoever waits for the operation that ends here is told.
  const over = ended(c, record?.operation ?? null, 'failed', reason, []);
  return { ...judged, change: { ...judged.change, ended: over } };
}

/** B1. False, too, where its own word is that it began, or it does not renew. */
function beganNothing({ scene, config }: Case, { owner, epoch }: Owned): boolean {
  const renewal = scene.view.renewals.get(owner);
  const held = scene.view.groups.get(config.name);
  const life = scene.view.lives.get(owner);
  if (renewal === undefined || held === undefined || life === undefined) return false;
  if (bootedSinceRenewal(scene, owner)) return false;
  if (claimOf(scene.vantage, owner, config.name)?.epoch === epoch) return false;
  if (liveReportFor(scene, owner, config.name)?.epoch === epoch) return false;
  // By a renewal after that time: it renews, and still tells of nothing.
  return renewal.changedAt >= Math.max(held.changedAt, life.since) + longestWaitMs(scene, owner, config);
}
