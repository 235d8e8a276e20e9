/**
 * `scripts/bench failover|mirror|volume`: measures in a lab, with real processes, and prints what came out beside what must be reached.
 *
 * Exit status: 0 all well; 1 a figure of safety was missed or could not be measured (with --check: any figure); 2 wrong
 * words. It cannot hang: the whole run has a limit, and the lab goes with this process.
 */
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, release } from 'node:os';
import { failoverFigures } from './failover.ts';
import { verdictOf, type Figure } from './figure.ts';
import { mirrorFigures } from './mirror.ts';
import { planOf, usage, type Plan } from './plan.ts';
import { spreadOf } from './spread.ts';
import { markdown } from './table.ts';
import { volumeFigures } from './volume.ts';

const machine = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Linux ${release()}, Node ${process.versions.node}`;

/** Above this other work competes with what is measured. */
const quietLoadMax = 0.5;

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

function writeJson(
  file: string,
  { benchmark }: Plan,
  figures: readonly Figure[],
  startedAt: Date,
  load: number,
): void {
  const value = {
    benchmark,
    startedAt: startedAt.toISOString(),
    machine: machine(),
    loadBefore: load,
    figures: figures.map((figure) => ({
      ...figure,
      spread: spreadOf(figure.values),
      verdict: verdictOf(figure),
    })),
  };
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
}

function exitStatusOf(figures: readonly Figure[], { check }: Plan): number {
  const missed = figures.filter((figure) => (check || figure.safety) && verdictOf(figure) !== 'reached');
  for (const figure of missed) say(`${verdictOf(figure)}: ${figure.name} (${figure.mustReach})`);
  return missed.length === 0 ? 0 : 1;
}

function figuresOf(plan: Plan): Promise<readonly Figure[]> {
  switch (plan.benchmark) {
    case 'failover':
      return failoverFigures(plan, say);
    case 'mirror':
      return mirrorFigures(plan, say);
    case 'volume':
      return volumeFigures(plan, say);
  }
}

async function main(): Promise<number> {
  const planned = planOf(process.argv.slice(2));
  if (planned.kind === 'wrong') {
    say(`${planned.says}\n\n${usage}`);
    return 2;
  }
  if (planned.kind === 'help') {
    process.stdout.write(usage);
    return 0;
  }
  const { plan } = planned;
  setTimeout(() => {
    say(`the benchmark did not end within ${plan.limitMs / 60_000} minutes`);
    process.exit(1);
  }, plan.limitMs).unref();
  const startedAt = new Date();
  const load = loadavg()[0] ?? 0;
  if (load > quietLoadMax)
    say(`this machine is busy (load ${load.toFixed(1)}): times will be longer than they are`);
  const figures = await figuresOf(plan);
  process.stdout.write(
    `\nMachine: ${machine()}; ${startedAt.toISOString()}; load before: ${load.toFixed(1)}\n\n${markdown(figures)}`,
  );
  if (plan.jsonFile !== null) writeJson(plan.jsonFile, plan, figures, startedAt, load);
  return exitStatusOf(figures, plan);
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.on(signal, () => process.exit(signal === 'SIGINT' ? 130 : 143));
process.exit(await main());
