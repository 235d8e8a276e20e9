/**
 * The command behind scripts/sim. Runs seeds in as many processes as there are cores, and prints one line, or what was
 * violated with the journal that led to it and the command that replays it. Exit status 1: something was violated.
 */

import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  failureText,
  nothing,
  summaryText,
  together,
  withRun,
  type Failure,
  type Summary,
} from './report.ts';
import { runSeed } from './run.ts';
import { parsed, twoServersAndWitness, withThirdServer, type RawConfig, type Scenario } from './scenario.ts';
import { tell } from './stories/story.ts';
import { stories } from './stories/stories.ts';

const usage = `usage: scripts/sim [--seeds N] [--from SEED] [--minutes M] [--story NAME|all] [--config FILE]
  --seeds N       how many seeds; 1000 unless said (10 of each story)
  --from SEED     the first seed; 1 unless said
  --minutes M     simulated minutes of each run; 10 unless said
  --story NAME    the stories whose name begins so, instead of random runs
  --config FILE   groups of this cluster configuration, as JSON, for servers a, b (and c) and witness w`;

interface Work {
  readonly from: number;
  readonly seeds: number;
  readonly minutes: number;
  readonly config: string | null;
}

function scenarioFrom(file: string): Scenario {
  const raw = JSON.parse(readFileSync(file, 'utf8')) as RawConfig;
  const members = Object.values(raw.groups).some((g) => g.servers.includes('c'))
    ? withThirdServer
    : twoServersAndWitness;
  return { members, raw, config: parsed(raw, members) };
}

function runAll({ from, seeds, minutes, config }: Work): Summary {
  const scenario = config === null ? null : scenarioFrom(config);
  let summary = nothing;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const run = runSeed(seed, scenario === null ? { minutes } : { minutes, scenario });
    summary = withRun(summary, run, minutes);
  }
  return summary;
}

/** Small pieces, so that a slow seed does not leave the other cores idle. */
function pieces(work: Work, size: number): Work[] {
  const list: Work[] = [];
  for (let at = 0; at < work.seeds; at += size) {
    list.push({ ...work, from: work.from + at, seeds: Math.min(size, work.seeds - at) });
  }
  return list;
}

/** Nearly everything that a seed makes is short-lived, and every core already has a worker of its own. */
const workerFlags = ['--max-semi-space-size=128', '--single-threaded-gc'];

function inProcesses(work: Work): Promise<Summary> {
  const todo = pieces(work, 25);
  const count = Math.min(availableParallelism(), todo.length);
  return new Promise((resolve, reject) => {
    let summary = nothing;
    let ended = 0;
    for (let i = 0; i < count; i += 1) {
      const child = fork(fileURLToPath(import.meta.url), ['--worker'], { execArgv: [...workerFlags] });
      const next = () => {
        const piece = todo.shift();
        if (piece === undefined) child.disconnect();
        else child.send(piece);
      };
      child.on('message', (part: Summary) => {
        summary = together(summary, part);
        next();
      });
      child.on('error', reject);
      child.on('exit', (status) => {
        if (status !== 0) reject(new Error(`a worker ended with status ${String(status)}`));
        ended += 1;
        if (ended === count) resolve(summary);
      });
      next();
    }
  });
}

function runStories(name: string, from: number, seeds: number): Summary {
  const chosen = stories.filter((s) => name === 'all' || s.name.startsWith(name));
  if (chosen.length === 0)
    throw new Error(`no story begins with ${name}; they are:\n${stories.map((s) => s.name).join('\n')}`);
  const failures: Failure[] = [];
  for (const story of chosen) {
    for (let seed = from; seed < from + seeds; seed += 1) {
      const told = tell(story, seed);
      if (told.violation === null) continue;
      const { invariant, says } = told.violation;
      const replay = `./scripts/sim --story '${story.name}' --from ${String(seed)} --seeds 1`;
      failures.push({ seed, invariant, says: `${story.name}: ${says}`, journal: told.journal(40), replay });
    }
  }
  return { ...nothing, seeds: chosen.length * seeds, failures };
}

function whole(text: string | undefined, otherwise: number, what: string): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new Error(`${what}: ${text} is not a whole number above 0`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string' },
      from: { type: 'string' },
      minutes: { type: 'string' },
      story: { type: 'string' },
      config: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) {
    console.log(usage);
    return;
  }
  const from = whole(values.from, 1, '--from');
  const minutes = whole(values.minutes, 10, '--minutes');
  const began = performance.now();
  const seeds = whole(values.seeds, values.story === undefined ? 1_000 : 10, '--seeds');
  const summary =
    values.story === undefined
      ? await inProcesses({ from, seeds, minutes, config: values.config ?? null })
      : runStories(values.story, from, seeds);
  const worst = [...summary.failures].sort((x, y) => x.seed - y.seed).slice(0, 5);
  for (const failure of worst) console.log(`${failureText(failure)}\n`);
  if (values.story === undefined) console.log(summaryText(summary, minutes, performance.now() - began));
  else console.log(`${String(summary.seeds)} stories told: ${String(summary.failures.length)} went wrong`);
  if (summary.failures.length > 0) process.exitCode = 1;
}

if (process.argv.includes('--worker')) {
  process.on('message', (work: Work) => {
    process.send?.(runAll(work));
  });
} else {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 2;
  });
}
