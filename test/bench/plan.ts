/** What a benchmark run does: which figures, how many runs of each, and for how long. */
import { parseArgs } from 'node:util';

export const parts = ['default-outage', 'short-outage', 'switchover', 'silenced', 'cost', 'peers'] as const;
export type Part = (typeof parts)[number];

export interface Plan {
  readonly quick: boolean;
  readonly runs: number;
  /** Runs with the default outage, 40 s each. */
  readonly longRuns: number;
  readonly costMs: number;
  readonly shortOutageSeconds: number;
  readonly parts: readonly Part[];
  readonly jsonFile: string | null;
  /** Exit status 1 when any figure misses, not only a figure of safety. */
  readonly check: boolean;
  /** The whole benchmark is ended after this. */
  readonly limitMs: number;
}

export const usage = `usage: scripts/bench failover [--runs N] [--quick] [--check] [--json FILE] [--only PART,...]

  --runs N      runs of each figure (default 20; the default outage of 35 s is measured in 5)
  --quick       the short form for every commit: 2 runs of each, one with the default outage
  --check       exit status 1 when any figure misses what it must reach; without it only those of safety count
  --json FILE   also write the figures, with every single value, to FILE
  --only PARTS  of ${parts.join(', ')}
`;

export type PlanResult =
  { readonly kind: 'ok'; readonly plan: Plan } | { readonly kind: 'wrong'; readonly says: string };

export function planOf(argv: readonly string[]): PlanResult {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        runs: { type: 'string' },
        quick: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        json: { type: 'string' },
        only: { type: 'string' },
        outage: { type: 'string', default: '3' },
      },
    });
    if (positionals.length !== 1 || positionals[0] !== 'failover')
      return wrong(`"${positionals.join(' ')}" is no benchmark; the one there is: failover`);
    const runs = Number(values.runs ?? (values.quick ? 2 : 20));
    if (!Number.isInteger(runs) || runs < 1 || runs > 100)
      return wrong('--runs takes a number from 1 to 100');
    const outage = Number(values.outage);
    if (!(outage >= 1 && outage <= 60)) return wrong('--outage takes seconds from 1 to 60');
    const only = values.only?.split(',') ?? [...parts];
    const chosen = parts.filter((part) => only.includes(part));
    if (chosen.length !== only.length) return wrong(`--only takes some of ${parts.join(', ')}`);
    const plan: Plan = {
      quick: values.quick,
      runs,
      longRuns: values.quick ? 1 : Math.min(5, runs),
      costMs: values.quick ? 20_000 : 60_000,
      shortOutageSeconds: outage,
      parts: chosen,
      jsonFile: values.json ?? null,
      check: values.check,
      limitMs: (values.quick ? 400 : 900 + runs * 180) * 1000,
    };
    return { kind: 'ok', plan };
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

const wrong = (says: string): PlanResult => ({ kind: 'wrong', says });
