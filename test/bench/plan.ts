/** What a benchmark run does: which benchmark, which figures of it, how many runs of each, and for how long. */
import { parseArgs } from 'node:util';

export const failoverParts = [
  'default-outage',
  'short-outage',
  'switchover',
  'silenced',
  'cost',
  'commands',
  'peers',
] as const;
export type FailoverPart = (typeof failoverParts)[number];

export const mirrorParts = [
  'small',
  'mixed',
  'big',
  'reconnect',
  'restart',
  'blocks',
  'lag',
  'burst',
  'throttle',
  'far',
  'memory',
  'beats',
] as const;
export type MirrorPart = (typeof mirrorParts)[number];

export const volumeParts = [
  'write',
  'plain',
  'alone',
  'random',
  'latency',
  'sync',
  'resync',
  'lag',
  'restart',
  'takeover',
  'memory',
] as const;
export type VolumePart = (typeof volumeParts)[number];

interface CommonPlan {
  readonly quick: boolean;
  readonly runs: number;
  readonly jsonFile: string | null;
  /** Exit status 1 when any figure misses, not only a figure of safety. */
  readonly check: boolean;
  /** The whole benchmark is ended after this. */
  readonly limitMs: number;
}

export interface FailoverPlan extends CommonPlan {
  readonly benchmark: 'failover';
  /** Runs with the default outage, 40 s each. */
  readonly longRuns: number;
  readonly costMs: number;
  readonly shortOutageSeconds: number;
  readonly parts: readonly FailoverPart[];
}

export interface MirrorPlan extends CommonPlan {
  readonly benchmark: 'mirror';
  readonly parts: readonly MirrorPart[];
}

export interface VolumePlan extends CommonPlan {
  readonly benchmark: 'volume';
  readonly parts: readonly VolumePart[];
  /** Of the volume, and how long each measurement writes. */
  readonly mebibytes: number;
  readonly seconds: number;
}

export type Plan = FailoverPlan | MirrorPlan | VolumePlan;

export const usage = `usage: scripts/bench failover|mirror|volume [--runs N] [--quick] [--check] [--json FILE] [--only PART,...]

  failover      how long clients wait, beside keepalived, Corosync and Pacemaker
  mirror        how fast and how exactly data is copied, beside rsync and lsyncd
  volume        how fast a replicated volume is, beside nbdkit with a plain file

  --outage SECONDS  failover: the short outage (3)
  --runs N      runs of each figure (failover: 20, of the default outage of 35 s 5; mirror and volume: 3)
  --quick       the short form for every commit: few runs, small copies
  --check       exit status 1 when any figure misses what it must reach; without it only those of safety count
  --json FILE   also write the figures, with every single value, to FILE
  --only PARTS  failover: ${failoverParts.join(', ')}
                mirror: ${mirrorParts.join(', ')}
                volume: ${volumeParts.join(', ')}
`;

export type PlanResult =
  | { readonly kind: 'ok'; readonly plan: Plan }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly says: string };

const benchmarks = ['failover', 'mirror', 'volume'] as const;
type Benchmark = (typeof benchmarks)[number];
const usualRuns = {
  failover: { quick: 1, long: 20 },
  mirror: { quick: 1, long: 3 },
  volume: { quick: 1, long: 3 },
};

const isBenchmark = (word: string | undefined): word is Benchmark => benchmarks.some((one) => one === word);

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
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { kind: 'help' };
    const [benchmark, ...more] = positionals;
    if (!isBenchmark(benchmark) || more.length > 0)
      return wrong(`"${positionals.join(' ')}" is no benchmark; those there are: ${benchmarks.join(', ')}`);
    const usual = usualRuns[benchmark];
    const runs = Number(values.runs ?? usual[values.quick ? 'quick' : 'long']);
    if (!Number.isInteger(runs) || runs < 1 || runs > 100)
      return wrong('--runs takes a number from 1 to 100');
    const outage = Number(values.outage);
    if (!(outage >= 1 && outage <= 60)) return wrong('--outage takes seconds from 1 to 60');
    const common = { quick: values.quick, runs, jsonFile: values.json ?? null, check: values.check };
    const plans = {
      failover: () => failoverPlan(common, outage, values.only),
      mirror: () => mirrorPlan(common, values.only),
      volume: () => volumePlan(common, values.only),
    };
    const plan = plans[benchmark]();
    return typeof plan === 'string' ? wrong(plan) : { kind: 'ok', plan };
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
}

const wrong = (says: string): PlanResult => ({ kind: 'wrong', says });

type Wished = Omit<CommonPlan, 'limitMs'>;

/** Those that were named, in the order in which they are measured; a string: what is wrong. */
function chosen<Part extends string>(
  parts: readonly Part[],
  only: string | undefined,
): readonly Part[] | string {
  const named = only?.split(',') ?? parts;
  const found = parts.filter((part) => named.includes(part));
  return found.length === named.length ? found : `--only takes some of ${parts.join(', ')}`;
}

function failoverPlan(
  common: Wished,
  shortOutageSeconds: number,
  only: string | undefined,
): FailoverPlan | string {
  const parts = chosen(failoverParts, only);
  if (typeof parts === 'string') return parts;
  const { quick, runs } = common;
  return {
    ...common,
    benchmark: 'failover',
    longRuns: quick ? 1 : Math.min(5, runs),
    costMs: quick ? 20_000 : 60_000,
    shortOutageSeconds,
    parts,
    limitMs: (quick ? 400 : 900 + runs * 180) * 1000,
  };
}

/** The short form leaves out what only large amounts show. */
const quickMirrorParts: readonly MirrorPart[] = [
  'small',
  'mixed',
  'blocks',
  'reconnect',
  'restart',
  'lag',
  'burst',
];

function mirrorPlan(common: Wished, only: string | undefined): MirrorPlan | string {
  const { quick, runs } = common;
  const parts = only === undefined && quick ? quickMirrorParts : chosen(mirrorParts, only);
  if (typeof parts === 'string') return parts;
  return { ...common, benchmark: 'mirror', parts, limitMs: (quick ? 150 : 1500 + runs * 420) * 1000 };
}

function volumePlan(common: Wished, only: string | undefined): VolumePlan | string {
  const { quick, runs } = common;
  const parts = chosen(volumeParts, only);
  if (typeof parts === 'string') return parts;
  const [mebibytes, seconds] = quick ? [128, 2] : [2_048, 4];
  return {
    ...common,
    benchmark: 'volume',
    parts,
    mebibytes,
    seconds,
    limitMs: (quick ? 300 + runs * 240 : 900 + runs * 420) * 1_000,
  };
}
