/**
 * Where a copy stands: the epoch, the sequence number of the last change that it holds, and a checksum. Sequence
 * numbers never start again: a new owner goes on from the number that it had, at a higher epoch. What each epoch came
 * to is kept as a history, so that two copies find the last position that both held by looking at numbers only.
 *
 * Source: the log matching of Raft (Ongaro and Ousterhout, 2014, section 5.3), with epochs for terms.
 */

import type { Epoch } from '../names.ts';

export interface Position {
  readonly epoch: Epoch;
  readonly sequence: number;
  /** 16 hexadecimal digits, of all entries (not of the order in which they came); `unknownChecksum`: nobody can tell. */
  readonly checksum: string;
}

export const unknownChecksum = '0'.repeat(16);

/** The last sequence number of an epoch that a copy holds. */
export interface EpochEnd {
  readonly epoch: Epoch;
  readonly sequence: number;
}

/** Oldest first, one row for each epoch, both numbers rising. */
export type History = readonly EpochEnd[];

/** Rows kept; older epochs are forgotten, and a copy that knows only those is compared as a whole. */
export const historyRowsMax = 1_000;

/** The history of a copy that now holds `sequence` of `epoch`. Throws when either would fall. */
export function advance(history: History, epoch: Epoch, sequence: number): History {
  const last = history.at(-1);
  if (last !== undefined && (epoch < last.epoch || sequence < last.sequence)) {
    throw new Error(
      `a history can't go back from ${last.epoch.toString()}/${String(last.sequence)} ` +
        `to ${epoch.toString()}/${String(sequence)}`,
    );
  }
  const kept = last?.epoch === epoch ? history.slice(0, -1) : history;
  return [...kept, { epoch, sequence }].slice(-historyRowsMax);
}

/**
 * The last sequence number that both copies held, of the highest epoch that both know. Null: they have nothing in
 * common, and only comparing everything tells what differs.
 */
export function lastCommon(a: History, b: History): number | null {
  return lastCommonEnd(a, b)?.sequence ?? null;
}

/** The same with its epoch. */
export function lastCommonEnd(a: History, b: History): EpochEnd | null {
  for (let i = a.length - 1; i >= 0; i -= 1) {
    const mine = a[i];
    if (mine === undefined) continue;
    const theirs = b.find((row) => row.epoch === mine.epoch);
    if (theirs !== undefined)
      return { epoch: mine.epoch, sequence: Math.min(mine.sequence, theirs.sequence) };
  }
  return null;
}
