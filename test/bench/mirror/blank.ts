/** Figures of the mirror before anything is filled in, and those that could not be measured: they say why. */
import type { Figure, Goal, Peer } from '../figure.ts';
import { spreadOf } from '../spread.ts';

type Filled = Pick<Figure, 'id' | 'name' | 'mustReach' | 'unit' | 'goal'> & Partial<Figure>;

export const figureOf = (filled: Filled): Figure => ({
  safety: false,
  values: [],
  lost: 0,
  peers: [],
  notes: [],
  ...filled,
});

export interface Against {
  readonly goal: Goal;
  readonly mustReach: string;
}

/** A goal that is a peer's median in the same run, times a factor. */
export function against(peer: Peer, factor: number): Against {
  const spread = spreadOf(peer.values);
  const times = factor === 1 ? `${peer.name}'s median` : `${factor} of ${peer.name}'s median`;
  if (spread === null)
    return {
      goal: { unknown: peer.note ?? 'it was not measured' },
      mustReach: `at most ${times}, which is not known (${peer.note ?? 'not measured'})`,
    };
  const medianMax = spread.median * factor;
  return { goal: { medianMax }, mustReach: `at most ${times}: ${medianMax.toFixed(2)} s` };
}
