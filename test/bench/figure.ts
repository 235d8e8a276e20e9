/** One line of the result: what was measured, what it must reach, and whether it does. */
import { spreadOf, type Spread } from './spread.ts';

export interface Goal {
  readonly medianMax?: number;
  readonly medianMin?: number;
  readonly min?: number;
  readonly max?: number;
  /** Why it can't be judged: what it is compared with could not be measured. */
  readonly unknown?: string;
}

export interface Peer {
  readonly name: string;
  /** Milliseconds, or whatever the figure's unit is; empty when it could not be measured. */
  readonly values: readonly number[];
  /** Why there is no measurement, or how it differs. */
  readonly note?: string;
}

export interface Figure {
  readonly id: string;
  readonly name: string;
  /** For people: "35.0 to 35.3 s". */
  readonly mustReach: string;
  readonly unit: 'ms' | 's' | 'runs' | '% of a core' | 'MiB' | '%' | 'times';
  readonly goal: Goal;
  /** A figure of safety: to miss it is never acceptable. */
  readonly safety: boolean;
  readonly values: readonly number[];
  /** How many runs gave no value, because something did not happen. */
  readonly lost: number;
  readonly peers: readonly Peer[];
  readonly notes: readonly string[];
}

export type Verdict = 'reached' | 'missed' | 'not measured';

export function verdictOf({ goal, values, lost }: Figure): Verdict {
  const spread = spreadOf(values);
  if (lost > 0 || values.some(Number.isNaN)) return 'missed';
  if (spread === null || goal.unknown !== undefined) return 'not measured';
  return reaches(goal, spread) ? 'reached' : 'missed';
}

function reaches(goal: Goal, spread: Spread): boolean {
  if (goal.medianMax !== undefined && spread.median > goal.medianMax) return false;
  if (goal.medianMin !== undefined && spread.median < goal.medianMin) return false;
  if (goal.min !== undefined && spread.min < goal.min) return false;
  return goal.max === undefined || spread.max <= goal.max;
}
