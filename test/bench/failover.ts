/** The figures of a failover: ours in two clusters (default and short outage), then those of the peers on the same stage. */
import { commandTimes, type CommandTimes } from './commands.ts';
import { costOf, type Cost } from './cost.ts';
import type { Figure, Peer } from './figure.ts';
import { corosyncMemberships } from './peers/corosync.ts';
import { keepalivedKilled, keepalivedOutages } from './peers/keepalived.ts';
import { needPackages } from './peers/package.ts';
import { pacemakerOutages } from './peers/pacemaker.ts';
import { ourPids, withPair, type Pair } from './pair.ts';
import type { FailoverPart, FailoverPlan } from './plan.ts';
import { powerOff, type PowerOff } from './power-off.ts';
import { series, tellError, type Say, type Series } from './series.ts';
import { silenceOwner, type Silence } from './silenced.ts';
import { serverNames } from './stage.ts';
import { switchover, type Switchover } from './switchover.ts';

const defaultOutageSeconds = 35;
const nothing = { values: [], lost: 0 };
const sharesOf = ({ shares }: Cost): string =>
  shares.map(({ program, cpuPercent }) => `${program} ${cpuPercent.toFixed(2)}`).join(', ');
const ms = (value: number): string => `${value.toFixed(1)} ms`;

interface Ours {
  long: Series<PowerOff>;
  short: Series<PowerOff>;
  planned: Series<Switchover>;
  readonly silenced: Record<Silence, Series<number>>;
  costs: readonly (readonly [string, Cost])[];
  commands: CommandTimes;
}

interface Peers {
  readonly outages: Peer[];
  readonly killed: Peer[];
}

export async function failoverFigures(plan: FailoverPlan, say: Say): Promise<readonly Figure[]> {
  const wants = (part: FailoverPart): boolean => plan.parts.includes(part);
  const ours: Ours = {
    long: nothing,
    short: nothing,
    planned: nothing,
    silenced: { killed: nothing, frozen: nothing },
    costs: [],
    commands: { wallMs: [], cpuMs: 0 },
  };
  if ((['cost', 'commands', 'switchover', 'default-outage'] as const).some(wants))
    await attempt('the cluster with the default outage', say, () =>
      withPair(defaultOutageSeconds, say, (pair) => withDefaultOutage(pair, plan, ours, say)),
    );
  if (wants('short-outage') || wants('silenced'))
    await attempt('the cluster with a short outage', say, () =>
      withPair(plan.shortOutageSeconds, say, (pair) => withShortOutage(pair, plan, ours, say)),
    );
  const peers = wants('peers') ? await measurePeers(plan, say) : { outages: [], killed: [] };
  return figuresOf(plan, ours, peers);
}

/** One part that breaks must not cost the others their results; the figures without values tell the rest. */
async function attempt(what: string, say: Say, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    say(`${what} ended early: ${tellError(error)}`);
  }
}

const tellPowerOff = ({ silenceMs, answerMs, gapMs, stallMs }: PowerOff): string =>
  `declared after ${ms(silenceMs)}, answered ${ms(answerMs)} later, gap ${ms(gapMs)} (probe stalled ${ms(stallMs)})`;

async function withDefaultOutage(pair: Pair, plan: FailoverPlan, ours: Ours, say: Say): Promise<void> {
  if (plan.parts.includes('switchover'))
    await series({
      name: 'switchover',
      runs: plan.runs,
      say,
      measure: () => switchover(pair),
      tell: ({ gapMs, stallMs }) => `gap ${ms(gapMs)} (probe stalled ${ms(stallMs)})`,
      keep: (all) => (ours.planned = all),
    });
  if (plan.parts.includes('cost')) {
    await pair.settled();
    await pair.stage.client.begin(1000);
    ours.costs = await Promise.all(
      serverNames.map(
        async (name) => [name, await costOf(() => ourPids(pair.stage, name), plan.costMs)] as const,
      ),
    );
    for (const [name, cost] of ours.costs)
      say(
        `idle ${name}: ${cost.cpuPercent.toFixed(2)} % of a core (${sharesOf(cost)}), ${cost.aloneMiB.toFixed(0)} MiB`,
      );
  }
  if (plan.parts.includes('commands')) {
    await pair.settled();
    ours.commands = await commandTimes(pair, plan.runs);
  }
  if (plan.parts.includes('default-outage'))
    await series({
      name: 'power off, 35 s',
      runs: plan.longRuns,
      say,
      measure: () => powerOff(pair),
      tell: tellPowerOff,
      keep: (all) => (ours.long = all),
    });
}

async function withShortOutage(pair: Pair, plan: FailoverPlan, ours: Ours, say: Say): Promise<void> {
  if (plan.parts.includes('short-outage'))
    await series({
      name: `power off, ${plan.shortOutageSeconds} s`,
      runs: plan.runs,
      say,
      measure: () => powerOff(pair),
      tell: tellPowerOff,
      keep: (all) => (ours.short = all),
    });
  if (!plan.parts.includes('silenced')) return;
  for (const silence of ['killed', 'frozen'] as const)
    await series({
      name: silence,
      runs: plan.runs,
      say,
      measure: () => silenceOwner(pair, silence),
      tell: (sharedMs) => (sharedMs > 0 ? `ON BOTH SERVERS for ${ms(sharedMs)}` : 'never on both'),
      keep: (all) => (ours.silenced[silence] = all),
    });
}

async function measurePeers({ quick, runs }: FailoverPlan, say: Say): Promise<Peers> {
  const outages: Peer[] = [];
  const killed: Peer[] = [];
  const peer = async (
    to: Peer[],
    name: string,
    programs: readonly string[],
    packages: readonly string[],
    measure: () => Promise<readonly number[]>,
    note?: string,
  ): Promise<void> => {
    const ready = needPackages(programs, packages, say);
    const found: Peer =
      ready.kind === 'missing'
        ? { name, values: [], note: ready.says }
        : await measure().then(
            (values): Peer => ({ name, values, ...(note === undefined ? {} : { note }) }),
            (error: unknown): Peer => ({ name, values: [], note: String(error).split('\n')[0] ?? '' }),
          );
    say(`${name}: ${found.values.map((value) => value.toFixed(0)).join(' ') || (found.note ?? '')}`);
    to.push(found);
  };
  const keepalived = [['keepalived'], ['keepalived']] as const;
  const corosync = [['corosync'], ['corosync']] as const;
  await peer(outages, 'keepalived, advert 0.1 s', ...keepalived, () => keepalivedOutages(0.1, runs));
  if (!quick) {
    await peer(outages, 'keepalived, advert 1 s', ...keepalived, () => keepalivedOutages(1, runs));
    await peer(
      outages,
      'Corosync, token 1 s',
      ...corosync,
      () => corosyncMemberships(1000, runs),
      'moves no address: power off to new membership',
    );
    await peer(
      outages,
      'Pacemaker, token 1 s',
      ['pacemakerd', 'corosync', 'crm_mon', 'cibadmin'],
      ['corosync', 'pacemaker', 'pacemaker-cli-utils', 'resource-agents'],
      () => pacemakerOutages(1000, runs),
    );
  }
  await peer(killed, 'keepalived', ...keepalived, async () => {
    const { onBoth, runs: all } = await keepalivedKilled(0.1, Math.min(runs, 10));
    return Array.from({ length: all }, (_, run) => (run < onBoth ? 1 : 0));
  });
  return { outages, killed };
}

function figuresOf({ shortOutageSeconds, parts }: FailoverPlan, ours: Ours, peers: Peers): readonly Figure[] {
  const { long, short, planned, silenced, costs, commands } = ours;
  const blank = { safety: false, lost: 0, peers: [], notes: [] };
  const of = (each: Series<PowerOff>, take: (run: PowerOff) => number): number[] => each.values.map(take);
  const worst = (take: (cost: Cost) => number): number[] =>
    costs.length === 0 ? [] : [Math.max(...costs.map(([, cost]) => take(cost)))];
  const turns = [...long.values, ...short.values, ...planned.values].map((run) => (run.turns ? 1 : 0));
  const silencedFigure = (silence: Silence, name: string): Figure => ({
    ...blank,
    id: `on-both-${silence}`,
    name,
    mustReach: 'never on both servers',
    unit: 'runs',
    goal: { max: 0 },
    safety: true,
    values: silenced[silence].values,
    lost: silenced[silence].lost,
    peers: silence === 'killed' ? peers.killed : [],
  });
  const all: readonly (Figure & { readonly part: readonly FailoverPart[] })[] = [
    {
      ...blank,
      part: ['default-outage'],
      id: 'declaration',
      name: 'outage 35 s (default), power off: last heartbeat heard to declaration',
      mustReach: '35.0 to 35.3 s',
      unit: 's',
      goal: { min: 35, max: 35.3 },
      values: of(long, ({ silenceMs }) => silenceMs / 1000),
      lost: long.lost,
    },
    {
      ...blank,
      part: ['default-outage', 'short-outage'],
      id: 'first-answer',
      name: "declaration to the client's first answer from the standby, no resources",
      mustReach: 'median 50 ms, worst 150 ms',
      unit: 'ms',
      goal: { medianMax: 50, max: 150 },
      values: [...of(long, ({ answerMs }) => answerMs), ...of(short, ({ answerMs }) => answerMs)],
      lost: long.lost + short.lost,
    },
    {
      ...blank,
      part: ['short-outage'],
      id: 'client-gap',
      name: `outage ${shortOutageSeconds} s, power off: last answer from the old to first from the new`,
      mustReach: `worst ${(shortOutageSeconds + 0.3).toFixed(1)} s`,
      unit: 'ms',
      goal: { max: shortOutageSeconds * 1000 + 300 },
      values: of(short, ({ gapMs }) => gapMs),
      lost: short.lost,
      peers: peers.outages,
    },
    {
      ...blank,
      part: ['switchover'],
      id: 'switchover-gap',
      name: 'planned switchover without resources: gap that the client sees (probe every 2 ms)',
      mustReach: 'median 20 ms, worst 60 ms',
      unit: 'ms',
      goal: { medianMax: 20, max: 60 },
      values: planned.values.map(({ gapMs }) => gapMs),
      lost: planned.lost,
      notes:
        planned.values.length === 0
          ? []
          : [
              `the probe's own longest pause was ${ms(Math.max(...planned.values.map((run) => run.stallMs)))}`,
            ],
    },
    {
      ...silencedFigure('killed', 'everything of ours on the owner killed with SIGKILL, host alive'),
      part: ['silenced'],
    },
    { ...silencedFigure('frozen', "the owner's agent frozen with SIGSTOP"), part: ['silenced'] },
    {
      ...blank,
      part: ['default-outage', 'short-outage', 'switchover'],
      id: 'in-turn',
      name: 'two servers answer the client in turn',
      mustReach: 'never',
      unit: 'runs',
      goal: { max: 0 },
      safety: true,
      values: turns,
    },
    {
      ...blank,
      part: ['commands'],
      id: 'commands',
      name: 'a command that waits for nothing, from its start to its end',
      mustReach: 'median 300 ms',
      unit: 'ms',
      goal: { medianMax: 300 },
      values: commands.wallMs,
      notes: commands.wallMs.length === 0 ? [] : [`each cost ${ms(commands.cpuMs)} of processor time`],
    },
    {
      ...blank,
      part: ['cost'],
      id: 'idle-cpu',
      name: "idle cost of a server's processes together: CPU",
      mustReach: 'at most 2 % of a core',
      unit: '% of a core',
      goal: { max: 2 },
      values: worst(({ cpuPercent }) => cpuPercent),
      notes: costs.map(([name, cost]) => `on ${name}: ${sharesOf(cost)}`),
    },
    {
      ...blank,
      part: ['cost'],
      id: 'idle-memory',
      name: "idle cost of a server's processes together: memory",
      mustReach: 'at most 300 MiB',
      unit: 'MiB',
      goal: { max: 300 },
      values: worst(({ aloneMiB }) => aloneMiB),
      notes: costs.map(
        ([name, { processes, proportionalMiB, aloneMiB }]) =>
          `on ${name} ${processes} processes: ${aloneMiB.toFixed(0)} MiB as on a host of its own, ${proportionalMiB.toFixed(0)} MiB by the kernel's proportional count, in which the other hosts of the lab share`,
      ),
    },
  ];
  return all.filter(({ part }) => part.some((each) => parts.includes(each)));
}
