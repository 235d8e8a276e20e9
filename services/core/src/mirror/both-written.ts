/**
 * Whether a person has to say which of two copies survives. Where both were written the one of the present owner does, and
 * what the other wrote is kept aside; but not where a person had given the group away by force since the copies held the
 * same. Nobody waited then for what the former owner wrote, so that its side may be the one to go on with.
 *
 *   B1  what counts is the last epoch that both copies know (position.ts), not who owned the group in between: an owner that came
 *       after the forced one, and never was in step with that, decides nothing
 *   B2  a person who chose has said that all up to the chosen epoch is one history; a copy that does not know that epoch, and
 *       a group that was given by force again, are another question
 */

import type { Epoch } from '../names.ts';
import { lastCommonEnd, type History } from './position.ts';

export interface TwoSides {
  /** Of the copy that would be overwritten, which holds writes that only exist there. */
  readonly ours: History;
  /** Of the source. */
  readonly theirs: History;
  /** The last epoch at which the group was given by force; null: it never was. */
  readonly forced: Epoch | null;
  /** The epoch that a person chose over ours; null: nobody chose. */
  readonly chosen: Epoch | null;
}

export function needsChoice({ ours, theirs, forced, chosen }: TwoSides): boolean {
  if (forced === null) return false;
  const agreed = chosen !== null && theirs.some(({ epoch }) => epoch === chosen) ? chosen : null; // B2
  const common = lastCommonEnd(ours, theirs)?.epoch ?? null; // B1
  return (agreed === null || agreed < forced) && (common === null || common < forced);
}
