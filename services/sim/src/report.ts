/** What a run says to the one who started it. */

import type { RunResult } from './run.ts';

export interface Summary {
  readonly seeds: number;
  readonly events: number;
  readonly changesOfOwner: number;
  readonly held: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

export interface Failure {
  readonly seed: number;
  readonly invariant: string;
  readonly says: string;
  readonly journal: readonly string[];
  /** Runs just this again. */
  readonly replay: string;
}

export const nothing: Summary = { seeds: 0, events: 0, changesOfOwner: 0, held: {}, failures: [] };

const journalLines = 40;

export function withRun(summary: Summary, run: RunResult, minutes: number): Summary {
  const held: Record<string, number> = { ...summary.held };
  for (const [why, count] of run.held) held[why] = (held[why] ?? 0) + count;
  const { violation } = run;
  const failure: readonly Failure[] =
    violation === null
      ? []
      : [
          {
            seed: run.seed,
            invariant: violation.invariant,
            says: violation.says,
            journal: run.journal(journalLines),
            replay: `./scripts/sim --from ${String(run.seed)} --seeds 1${minutes === 10 ? '' : ` --minutes ${String(minutes)}`}`,
          },
        ];
  return {
    seeds: summary.seeds + 1,
    events: summary.events + run.events,
    changesOfOwner: summary.changesOfOwner + run.changesOfOwner,
    held,
    failures: [...summary.failures, ...failure],
  };
}

export function together(a: Summary, b: Summary): Summary {
  const held: Record<string, number> = { ...a.held };
  for (const [why, count] of Object.entries(b.held)) held[why] = (held[why] ?? 0) + count;
  return {
    seeds: a.seeds + b.seeds,
    events: a.events + b.events,
    changesOfOwner: a.changesOfOwner + b.changesOfOwner,
    held,
    failures: [...a.failures, ...b.failures],
  };
}

export function failureText(f: Failure): string {
  return [
    `seed ${String(f.seed)} violates ${f.invariant}: ${f.says}`,
    ...f.journal.map((line) => `  ${line}`),
    `  again: ${f.replay}`,
  ].join('\n');
}

export function summaryText(s: Summary, minutes: number, tookMs: number): string {
  const held = Object.entries(s.held).map(([why, count]) => `${why} ${String(count)}`);
  return [
    `${String(s.seeds)} seeds of ${String(minutes)} simulated minutes in ${(tookMs / 1_000).toFixed(1)} s:`,
    `${String(s.failures.length)} violations,`,
    `${String(s.changesOfOwner)} changes of owner, ${(s.events / 1e6).toFixed(1)} million events;`,
    `groups held at the end: ${held.length === 0 ? 'none' : held.join(', ')}`,
  ].join(' ');
}
