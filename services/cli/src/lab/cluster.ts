/**
 * A whole cluster in a lab, brought up as a person would: with the real commands, on each host. For `holdfast lab up`,
 * the demo, tests and benchmarks.
 *
 * B1. Every wait is for a condition and has a limit. B2. What goes wrong is told with the words of the command that failed.
 */
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { LabError, type ExecResult, type Host, type Lab } from '@holdfast/lab';
import type { StatusView } from '../view/status-view.ts';
import { holdfastArgv } from './holdfast-program.ts';
import { labConfig, labGroup, labRoot } from './lab-config.ts';
import { StandingReader } from './standing.ts';

export interface BringUpOptions {
  /** As in cluster.yaml; default 5s. */
  readonly outage?: string;
  /** cluster.yaml as text; default: the group d3 on the first two servers. Null applies nothing. */
  readonly config?: string | null;
  /** The service of the default configuration writes numbered records into the mirrored folder; default false. */
  readonly records?: boolean;
  /** Hosts to use, of the lab's; default all. A name that begins with w is a witness, with client none. */
  readonly hosts?: readonly string[];
  /** Told what happens. */
  readonly say?: (line: string) => void;
  /** More arguments of `init` and `join`, for every host. */
  readonly memberArgs?: readonly string[];
}

export interface LabCluster {
  readonly lab: Lab;
  /** Members in the order in which they joined. */
  readonly members: readonly string[];
  readonly servers: readonly string[];
  /** The configuration that was applied, or null. */
  readonly configFile: string | null;
  /** Runs a command line on a member's host and directory. */
  readonly holdfast: (host: string, ...args: readonly string[]) => Promise<ExecResult>;
  /** The same for a command line that only reads and is asked often (standing.ts). */
  readonly read: (host: string, ...args: readonly string[]) => Promise<ExecResult>;
  /** As `holdfast`, for one that must succeed: its standard output. */
  readonly must: (host: string, ...args: readonly string[]) => Promise<string>;
  /** Starts `holdfast run` in the background; its output goes to run/holdfast.log in the host's directory. */
  readonly run: (host: string, ...args: readonly string[]) => void;
  readonly status: (host: string) => Promise<StatusView | null>;
  /** Waits until the status on that host is as wanted. B1: throws LabError at the limit, with the last status. */
  readonly until: (
    host: string,
    what: string,
    isSo: (status: StatusView) => boolean,
    limitMs?: number,
  ) => Promise<StatusView>;
}

const commandMs = 30_000;
const joinMs = 60_000;
const pollMs = 200;

export const isWitness = (host: string): boolean => host.startsWith('w');
export const isMember = (host: string): boolean => !host.startsWith('client');

/** A handle on a lab in which a cluster is, or will be. */
export function labCluster(
  lab: Lab,
  hosts: readonly string[] = lab.hosts.map(({ name }) => name),
): LabCluster {
  const members = hosts.filter(isMember);
  const servers = members.filter((host) => !isWitness(host));
  const holdfast = (name: string, ...args: readonly string[]): Promise<ExecResult> => {
    const host = lab.host(name);
    return host.exec(holdfastArgv(args), { env: { HOLDFAST_DIR: host.dir }, timeoutMs: commandMs });
  };
  const must = async (name: string, ...args: readonly string[]): Promise<string> => {
    const result = await holdfast(name, ...args);
    if (result.status === 0) return result.stdout;
    throw failed(name, args, result);
  };
  const readers = new Map<string, StandingReader>();
  const read = async (name: string, ...args: readonly string[]): Promise<ExecResult> => {
    const reader = readers.get(name) ?? new StandingReader(lab.host(name));
    readers.set(name, reader);
    return (await reader.ask(args)) ?? holdfast(name, ...args);
  };
  const status = async (name: string): Promise<StatusView | null> => {
    const { status: ended, stdout } = await read(name, 'status', '-o', 'json');
    return ended === 0 ? (JSON.parse(stdout) as StatusView) : null;
  };
  return {
    lab,
    members,
    servers,
    configFile: join(lab.dir, 'cluster.yaml'),
    holdfast,
    read,
    must,
    run: (name, ...args) => {
      startRun(lab.host(name), args);
    },
    status,
    until: (name, what, isSo, limitMs = joinMs) => until({ status, lab }, name, what, isSo, limitMs),
  };
}

/** Detached: it lives as long as its host, not as long as this process. */
function startRun(host: Host, args: readonly string[]): void {
  mkdirSync(join(host.dir, 'run'), { recursive: true, mode: 0o700 });
  const log = openSync(join(host.dir, 'run', 'holdfast.log'), 'a', 0o600);
  try {
    host
      .spawn(holdfastArgv(['run', ...args]), {
        env: { HOLDFAST_DIR: host.dir },
        cwd: host.dir,
        stdio: ['ignore', log, log],
        detached: true,
      })
      .unref();
  } finally {
    closeSync(log);
  }
}

async function until(
  { status, lab }: Pick<LabCluster, 'status' | 'lab'>,
  name: string,
  what: string,
  isSo: (status: StatusView) => boolean,
  limitMs: number,
): Promise<StatusView> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const now = await status(name);
    if (now !== null && isSo(now)) return now;
    if (performance.now() > endMs) {
      throw new LabError({
        what: `on host ${name}, ${what} did not come about within ${Math.round(limitMs / 1000)} s`,
        says:
          now === null ? `no answer; its log ends with:\n${lastLines(lab.host(name))}` : JSON.stringify(now),
        fix: `Look at ${join(lab.host(name).dir, 'run')}.`,
      });
    }
    await sleep(pollMs);
  }
}

function lastLines(host: Host): string {
  try {
    return readFileSync(join(host.dir, 'run', 'holdfast.log'), 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-12)
      .join('\n');
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function failed(name: string, args: readonly string[], result: ExecResult): LabError {
  const ended = result.timedOut ? 'did not end in time' : `ended with status ${result.status}`;
  return new LabError({
    what: `on host ${name}, holdfast ${args.join(' ')} ${ended}`,
    says: (result.stderr.trim() || result.stdout.trim() || 'it said nothing').replace(/^holdfast: /, ''),
    fix: `Look at ${join('run', 'holdfast.log')} in the directory of the host.`,
  });
}

/** How many voters answer. */
export const votes = (status: StatusView): number =>
  Object.values(status.quorum.members).filter(({ voter, healthy }) => voter && healthy).length;

/** Brings a cluster up on a lab whose hosts are on and empty. Throws LabError. */
export async function bringUp(lab: Lab, options: BringUpOptions = {}): Promise<LabCluster> {
  const { outage = '5s', memberArgs = [], say = (): void => undefined } = options;
  const cluster = labCluster(lab, options.hosts);
  const { members, servers, must, until: wait } = cluster;
  const [first, ...others] = members;
  if (first === undefined || isWitness(first))
    throw new LabError({
      what: 'cannot make a cluster',
      says: 'the first host is no server',
      fix: 'Name a server first, such as a,b,w.',
    });
  const { service, private: second } = lab.host(first).addresses;
  say(`${first}: init and run`);
  await must(
    first,
    'init',
    '--node',
    first,
    '--cluster',
    'lab',
    '--address',
    service,
    '--address',
    second,
    ...memberArgs,
  );
  cluster.run(first);
  await wait(first, 'a healthy quorum', (status) => status.quorum.healthy && votes(status) === 1);
  for (const host of others) {
    say(`${host}: join and run`);
    await joinHost(cluster, first, host, memberArgs);
  }
  const voters = votersOf(members.length);
  await wait(
    first,
    `a healthy quorum of ${voters}`,
    (status) => status.quorum.healthy && votes(status) === voters,
  );
  say(`quorum healthy with ${voters} ${voters === 1 ? 'vote' : 'votes'}`);
  const config =
    options.config === undefined
      ? labConfig(servers.slice(0, 2), outage, options.records ?? false)
      : options.config;
  if (config === null) return { ...cluster, configFile: null };
  // A source never makes its folder: one that is missing may be a disk that is not mounted.
  if (options.config === undefined) await lab.host(first).exec(['mkdir', '-p', labRoot]);
  const configFile = join(lab.dir, 'cluster.yaml');
  writeFileSync(configFile, config);
  await must(first, 'apply', '-f', configFile);
  say(`applied ${configFile}`);
  if (options.config === undefined) {
    await wait(first, `an active ${labGroup}`, (status) => status.groups[labGroup]?.phase === 'active');
    say(`${labGroup} is active`);
    await wait(first, `a complete copy of ${labGroup}`, isCopied);
    say(`${labGroup} has a copy to take over to`);
  }
  return { ...cluster, configFile };
}

/** Whether the default group could be taken over, and it is known what would be lost. */
export function isCopied({ groups }: StatusView): boolean {
  const group = groups[labGroup];
  if (group === undefined || group.objectives.lossMs === null) return false;
  return Object.values(group.mirrors).every(({ targets }) =>
    Object.values(targets).every(({ state, consistent }) => state === 'replicating' && consistent),
  );
}

/** Two members alone have no more than one vote that counts; the cluster never has an even number of them. */
const votersOf = (members: number): number => Math.min(7, members % 2 === 0 ? members - 1 : members);

async function joinHost(
  { lab, must, run }: LabCluster,
  seed: string,
  name: string,
  memberArgs: readonly string[],
): Promise<void> {
  const role = isWitness(name) ? 'witness' : 'server';
  const token = (await must(seed, 'token', '--role', role)).trim().split('\n').at(-1) ?? '';
  const { service, private: second } = lab.host(name).addresses;
  const where = ['--seed', lab.host(seed).addresses.service, '--address', service, '--address', second];
  await must(name, 'join', ...where, '--token', token, '--node', name, ...memberArgs);
  run(name);
}
