/**
 * The data of one group on one host, as numbers: how many writes of which epoch it holds. A service that runs writes at a
 * steady pace, which is counted when somebody looks and not as it happens.
 *
 *   V1  two copies hold the same up to their last common position: sequence numbers never start again
 *   V2  what is cut off was kept aside before
 */

import { advanceHistory, lastCommon, type Epoch, type GroupId, type History } from '@holdfast/core';

export const writeEveryMs = 100;

/** Writes of one epoch: those above `from`, up to `to`. */
interface Span {
  readonly epoch: Epoch;
  readonly from: number;
  readonly to: number;
}

export class Copy {
  readonly group: GroupId;
  /** Of a copy that was received; whoever owned the group has the data itself. */
  consistent = false;
  /** Parts of the initial copy that arrived. */
  received = 0;
  /** The highest epoch that was durably seen. */
  highest: Epoch = 0n;
  /** Writes that were made here and exist nowhere else, put aside. */
  readonly kept: Span[] = [];
  /** Everything that was ever written by the service on this host. */
  readonly written: Span[] = [];
  private past: History = [];
  private writing: { readonly epoch: Epoch; readonly since: number; readonly from: number } | null = null;

  constructor(group: GroupId) {
    this.group = group;
  }

  get isWriting(): boolean {
    return this.writing !== null;
  }

  /** The service begins to write. */
  begin(epoch: Epoch, now: number): void {
    if (this.writing !== null) return;
    const last = this.past.at(-1);
    const at = last !== undefined && last.epoch > epoch ? last.epoch : epoch;
    this.writing = { epoch: at, since: now, from: last?.sequence ?? 0 };
  }

  end(now: number): void {
    if (this.writing === null) return;
    const { epoch, from } = this.writing;
    this.past = this.historyAt(now);
    this.writing = null;
    const to = this.past.at(-1)?.sequence ?? 0;
    if (to > from) this.written.push({ epoch, from, to });
  }

  historyAt(now: number): History {
    const { writing } = this;
    if (writing === null) return this.past;
    const made = Math.floor((now - writing.since) / writeEveryMs);
    return made === 0 ? this.past : advanceHistory(this.past, writing.epoch, writing.from + made);
  }

  sequenceAt(now: number): number {
    return this.historyAt(now).at(-1)?.sequence ?? 0;
  }

  /** It becomes writable at this epoch. */
  open(epoch: Epoch, now: number): void {
    this.highest = epoch;
    this.consistent = true;
    const last = this.past.at(-1);
    if (last === undefined || last.epoch < epoch)
      this.past = advanceHistory(this.historyAt(now), epoch, last?.sequence ?? 0);
  }

  /** V2. Keeps aside what the source does not have. */
  reconcile(theirs: History): void {
    const common = this.past.length === 0 ? 0 : lastCommon(this.past, theirs);
    const mine = this.past.at(-1)?.sequence ?? 0;
    const upTo = common ?? 0;
    if (mine > upTo) this.kept.push(...spansAbove(this.past, upTo));
    this.past = cut(this.past, upTo);
    if (common !== null) return;
    this.consistent = false;
    this.received = 0;
  }

  take(theirs: History, sequence: number): void {
    this.past = cut(theirs, sequence);
  }
}

function cut(history: History, sequence: number): History {
  const at = history.findIndex((row) => row.sequence >= sequence);
  if (at < 0) return history;
  const row = history[at];
  const before = history.slice(0, at);
  const from = before.at(-1)?.sequence ?? 0;
  return row === undefined || sequence <= from ? before : [...before, { epoch: row.epoch, sequence }];
}

export function spansAbove(history: History, sequence: number): readonly Span[] {
  return history.flatMap(({ epoch, sequence: to }, i) => {
    const from = Math.max(sequence, history[i - 1]?.sequence ?? 0);
    return to > from ? [{ epoch, from, to }] : [];
  });
}

/** How many writes of a span are in none of the others. */
export function missing(span: Span, others: readonly Span[]): number {
  let left: readonly Span[] = [span];
  for (const o of others) {
    if (o.epoch !== span.epoch) continue;
    left = left.flatMap((s) => [
      ...(o.from > s.from ? [{ ...s, to: Math.min(s.to, o.from) }] : []),
      ...(o.to < s.to ? [{ ...s, from: Math.max(s.from, o.to) }] : []),
    ]);
    left = left.filter((s) => s.to > s.from);
  }
  return left.reduce((sum, s) => sum + s.to - s.from, 0);
}
