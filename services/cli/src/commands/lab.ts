/** `holdfast lab`: several hosts on one machine, with a cluster on them, for trying everything that can go wrong. */
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { delimiter, join } from 'node:path';
import {
  applyFault,
  createLab,
  defaultLabDir,
  downLab,
  faultGrammar,
  LabError,
  labStatus,
  openLab,
  parseFault,
  type Lab,
} from '@holdfast/lab';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { bringUp, labCluster } from '../lab/cluster.ts';
import { shimFolder } from '../lab/holdfast-program.ts';
import { labAddress, labGroup, labPort } from '../lab/lab-config.ts';
import { forPrograms, show } from '../show.ts';
import { ok, wrong, type Ended, type Fallible } from '../trouble.ts';
import { labLines } from '../view/lab-lines.ts';

export interface PlaceOptions {
  readonly labDir?: string;
}

export interface ChangeOptions extends PlaceOptions {
  readonly dryRun?: boolean;
}

export interface UpOptions extends ChangeOptions {
  readonly outage: string;
  readonly hosts: string;
  readonly bare?: boolean;
}

/** A word that the lab does not know is a wrong command; everything else that goes wrong there has failed. */
function told<T>(look: () => T): Fallible<T> {
  try {
    return ok(look());
  } catch (error) {
    if (error instanceof LabError) return wrong(`${error.what}: ${error.says}`, error.fix);
    throw error;
  }
}

const dirOf = ({ labDir }: PlaceOptions): string => labDir ?? defaultLabDir();

export async function labUp(context: Context, options: UpOptions): Promise<Ended> {
  const outage = await durationOption('--outage', options.outage, 0);
  if (outage.kind === 'error') return outage;
  const hosts = options.hosts.split(',').map((name) => name.trim());
  const { terminal } = context;
  if (options.dryRun === true) {
    const besides = options.bare === true ? '' : `, with a cluster on them whose outage is ${options.outage}`;
    return planned(context, `hosts ${hosts.join(', ')} would be on, in ${dirOf(options)}${besides}`);
  }
  const say = (line: string): void => terminal.err(`${line}\n`);
  const lab = await createLab({ dir: dirOf(options), hosts });
  shimFolder(lab.dir);
  say(`hosts ${hosts.join(', ')} are on, in ${lab.dir}`);
  if (options.bare !== true) {
    try {
      await bringUp(lab, { outage: options.outage, say });
    } catch (error) {
      say('The hosts are left as they are, to be looked at; remove them with: holdfast lab down');
      throw error;
    }
  }
  const value = { dir: lab.dir, hosts, cluster: options.bare === true ? null : 'lab' };
  await show(context, { value, lines: () => (options.bare === true ? [] : whatToTry(lab)) });
  return ok(exitStatus.done);
}

/** `--dry-run`: what was asked for makes sense, and nothing is done. */
async function planned(context: Context, says: string): Promise<Ended> {
  await show(context, {
    value: { dryRun: true, says },
    lines: () => ['dry run: nothing was changed', `  ${says}`],
  });
  return ok(exitStatus.done);
}

function whatToTry(lab: Lab): string[] {
  const from = lab.hosts.find(({ name }) => name.startsWith('client'))?.name ?? 'w';
  const where = lab.dir === defaultLabDir() ? 'lab' : `lab --lab-dir ${lab.dir}`;
  return [
    '',
    'Now try:',
    `  holdfast ${where} exec a -- holdfast status -w`,
    `  holdfast ${where} exec ${from} -- curl -s http://${labAddress}:${labPort}/     who serves ${labGroup}`,
    `  holdfast ${where} exec a -- holdfast explain ${labGroup}`,
    `  holdfast ${where} exec a -- holdfast switchover ${labGroup}`,
    `  holdfast ${where} fault power-off a                       the night the primary dies`,
    `  holdfast ${where} exec b -- holdfast status -w`,
    `  holdfast ${where} fault power-on a && holdfast ${where} start a`,
    `  holdfast ${where} exec b -- holdfast failback ${labGroup}`,
    `  holdfast ${where} down`,
  ];
}

export async function labDown(context: Context, options: ChangeOptions): Promise<Ended> {
  const dir = dirOf(options);
  const before = await labStatus(dir);
  if (options.dryRun === true) {
    const gone = `the lab in ${dir} would be gone, with all its hosts and their files`;
    return planned(context, before.kind === 'down' ? `there is no lab in ${dir}` : gone);
  }
  await downLab(dir);
  const said = before.kind === 'down' ? `there was no lab in ${dir}` : `the lab in ${dir} is gone`;
  await show(context, { value: { dir, was: before.kind }, lines: () => [said] });
  return ok(exitStatus.done);
}

/** Ends with the status of the program; 128 + number when a signal ended it, as a shell says it. */
export async function labExec(
  context: Context,
  name: string,
  argv: readonly string[],
  options: PlaceOptions,
): Promise<Ended> {
  const lab = await openLab(dirOf(options));
  const found = told(() => lab.host(name));
  if (found.kind === 'error') return found;
  const host = found.value;
  const path = context.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin';
  const env = {
    HOLDFAST_DIR: host.dir,
    PATH: [shimFolder(lab.dir), path, '/usr/sbin', '/sbin'].join(delimiter),
  };
  const child = host.spawn(argv, { stdio: 'inherit', env });
  // Ctrl-C goes to the program as well, which is in our process group: it decides.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  const forward = (): void => {
    child.kill('SIGTERM');
  };
  process.on('SIGTERM', forward);
  try {
    return ok(await endOf(child));
  } finally {
    process.off('SIGINT', ignore);
    process.off('SIGTERM', forward);
  }
}

function endOf(child: ReturnType<ReturnType<Lab['host']>['spawn']>): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status, signal) => {
      resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

/** Runs the member of a host in the background, as the host's service would at boot. */
export async function labStart(context: Context, name: string, options: ChangeOptions): Promise<Ended> {
  const lab = await openLab(dirOf(options));
  const found = told(() => lab.host(name));
  if (found.kind === 'error') return found;
  const host = found.value;
  if (!existsSync(join(host.dir, 'member.json')))
    return wrong(
      `host ${name} is not a member yet`,
      `Make it one: holdfast lab exec ${name} -- holdfast join ...`,
    );
  if (options.dryRun === true) return planned(context, `${name} would run: holdfast run`);
  labCluster(lab).run(name);
  const log = join(host.dir, 'run', 'holdfast.log');
  await show(context, {
    value: { host: name, log },
    lines: () => [`${name}: holdfast run, its output in ${log}`],
  });
  return ok(exitStatus.done);
}

export async function labFault(
  context: Context,
  words: readonly string[],
  options: ChangeOptions,
): Promise<Ended> {
  if (words.length === 0) {
    context.terminal.out(`${faultGrammar}\n`);
    return ok(exitStatus.done);
  }
  const lab = await openLab(dirOf(options));
  const misspelt = told(() => parseFault(words));
  if (misspelt.kind === 'error') return misspelt;
  if (options.dryRun === true) return planned(context, `the fault would be: ${words.join(' ')}`);
  const said = await applyFault(lab, words);
  await show(context, { value: { fault: words, says: said }, lines: () => [said] });
  return ok(exitStatus.done);
}

export async function labState(context: Context, options: PlaceOptions): Promise<Ended> {
  const status = await labStatus(dirOf(options));
  await show(context, { value: status, lines: (paint, wide) => labLines(status, paint, wide) });
  return ok(status.kind === 'up' || forPrograms(context) ? exitStatus.done : exitStatus.failed);
}
