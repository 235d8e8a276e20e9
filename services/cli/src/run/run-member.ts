/**
 * `holdfast run`: supervises the processes of one member until it is asked to stop.
 *
 * Invariants: one run per directory (the lock); what an earlier run left is gone before anything is started, except a
 * guard that answers; the crash of one process doesn't touch the others; stopping takes the agent first (its last steps
 * need the mirrors), then the mirrors, the quorum service and the guard, each with a deadline. With --keep the mirrors
 * rest until the next run: they go on from their position.
 *
 * Under systemd the unit needs KillMode=process: with --keep the guard stays when run ends.
 */

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, exitWrong, type ChildListener, type Fatal } from './child.ts';
import { GuardProcess } from './guard-process.ts';
import type { StopMode } from './lifeline.ts';
import { endLeftover, leftoverMs, leftoverNames, removePidFile, writePidFile } from './pid-file.ts';
import { installedPrograms, type Programs } from './programs.ts';
import { stopSignals, type StopRequests } from './stop-requests.ts';
import { terminalOutput, type RunOutput } from './run-output.ts';

export type LockResult =
  | { readonly kind: 'locked'; readonly release: () => Promise<void> }
  | { readonly kind: 'busy'; readonly says: string };

export interface RunLimits {
  /** How long the agent may take to release its groups. */
  readonly releaseMs: number;
  /** How long the agent may take to exit keeping everything. */
  readonly keepMs: number;
  /** How long the mirrors may take to write down where they stand. */
  readonly mirrorMs: number;
  readonly quorumMs: number;
  /** How long the guard may take to fence what is still armed. */
  readonly guardMs: number;
  /** How long what an earlier run left may take to end by itself. */
  readonly leftoverMs: number;
  /** How often the guard is asked whether it answers; after three silences it is replaced. */
  readonly guardHealthMs: number;
  /** How long one that can't run waits before it ends: a service manager starts the next one at once. */
  readonly inVainMs: number;
}

export const usualLimits: RunLimits = {
  releaseMs: 60_000,
  keepMs: 10_000,
  mirrorMs: 10_000,
  quorumMs: 10_000,
  guardMs: 20_000,
  leftoverMs,
  guardHealthMs: 5_000,
  inVainMs: 5_000,
};

export interface RunOptions {
  /** The member's directory. */
  readonly dir: string;
  /** A witness has neither guard nor mirrors: it holds nothing. Its agent only speaks and listens. */
  readonly role: 'server' | 'witness';
  /** SIGTERM leaves the services running; the next run re-attaches. */
  readonly keep: boolean;
  /** Takes the directory for this process. */
  readonly lock: (dir: string) => Promise<LockResult>;
  readonly programs?: Programs;
  readonly limits?: Partial<RunLimits>;
  readonly output?: RunOutput;
  /** Show what the processes print; by default only on a terminal. */
  readonly echo?: boolean;
  readonly requests?: StopRequests;
}

interface Ended {
  readonly status: number;
  /** It could not run, and nobody asked it to stop. */
  readonly inVain: boolean;
}

const inVain: Ended = { status: 1, inVain: true };

/** What ended the run. */
type End =
  { readonly kind: 'asked'; readonly mode: StopMode } | { readonly kind: 'fatal'; readonly fatal: Fatal };

interface Member {
  readonly guard: GuardProcess | null;
  readonly quorum: Child;
  readonly mirror: Child | null;
  readonly agent: Child;
}

/**
 * Runs the member. Resolves to the exit status: 0 stopped in order; 1 something had to be killed, was left armed, or
 * can't run; 2 the configuration or the installation is wrong.
 */
export async function runMember(options: RunOptions): Promise<number> {
  const dir = resolve(options.dir);
  const output = options.output ?? terminalOutput();
  const ended = await runLocked({ ...options, dir, output, echo: options.echo ?? output.isTerminal });
  // A person is not kept waiting.
  if (ended.inVain && !output.isTerminal) await sleep({ ...usualLimits, ...options.limits }.inVainMs);
  return ended.status;
}

async function runLocked(
  options: RunOptions & { readonly output: RunOutput; readonly echo: boolean },
): Promise<Ended> {
  const lock = await options.lock(options.dir);
  if (lock.kind === 'busy') {
    options.output.warn(`holdfast: ${lock.says}`);
    return inVain;
  }
  try {
    return await superviseMember(options);
  } finally {
    await lock.release();
  }
}

async function superviseMember(
  options: RunOptions & { readonly output: RunOutput; readonly echo: boolean },
): Promise<Ended> {
  const { dir, output } = options;
  const limits = { ...usualLimits, ...options.limits };
  const runDir = join(dir, 'run');
  const lack = createFolders(dir);
  if (lack !== null) {
    output.warn(`holdfast: ${lack}`);
    return inVain;
  }
  if (!(await clearLeftovers(runDir, limits.leftoverMs, output))) return inVain;
  const problem = writePidFile(runDir, 'run', process.pid);
  if (problem !== null) output.warn(`holdfast: ${problem}`);
  const hurry = new AbortController();
  let member: Member | null = null;
  let unlisten: () => void = () => undefined;
  const end = await new Promise<End>((settle) => {
    let asked = false;
    unlisten = (options.requests ?? stopSignals).listen((mode) => {
      if (asked && mode === 'usual') hurry.abort();
      asked = true;
      settle({ kind: 'asked', mode: mode === 'usual' ? (options.keep ? 'keep' : 'release') : mode });
    });
    member = createMember(options, runDir, limits, (fatal) => settle({ kind: 'fatal', fatal }));
    member.guard?.start();
    member.quorum.start();
    member.mirror?.start();
    member.agent.start();
  });
  const status = await finish(member, end, limits, { output, hurry: hurry.signal });
  unlisten();
  const left = removePidFile(runDir, 'run');
  if (left !== null) output.warn(`holdfast: ${left}`);
  return { status, inVain: end.kind === 'fatal' && status === inVain.status };
}

/** Null when they are there. */
function createFolders(dir: string): string | null {
  try {
    for (const folder of ['run', 'journal']) mkdirSync(join(dir, folder), { recursive: true, mode: 0o700 });
    return null;
  } catch (error) {
    return `can't create folders in ${dir}: ${String(error)}; check its permissions and its disk`;
  }
}

async function clearLeftovers(runDir: string, waitMs: number, output: RunOutput): Promise<boolean> {
  const results = await Promise.all(leftoverNames.map((name) => endLeftover(runDir, name, waitMs)));
  for (const [index, name] of leftoverNames.entries()) {
    if (results[index] === 'killed') output.warn(`holdfast: the ${name} of an earlier run was killed`);
    if (results[index] === 'stuck') {
      output.warn(
        `holdfast: the ${name} of an earlier run can't be killed; see ${join(runDir, `${name}.pid`)}`,
      );
    }
  }
  return !results.includes('stuck');
}

function createMember(
  options: RunOptions & { readonly output: RunOutput; readonly echo: boolean },
  runDir: string,
  limits: RunLimits,
  onFatal: (fatal: Fatal) => void,
): Member {
  const { dir, output } = options;
  const programs = options.programs ?? installedPrograms(dir, join(dir, 'journal', 'guard.jsonl'));
  const server = options.role === 'server';
  const awaited = new Set(server ? ['guard', 'quorum', 'mirror', 'agent'] : ['quorum', 'agent']);
  const names = [...awaited].join(', ');
  const listener: ChildListener = {
    onReady(name) {
      if (awaited.delete(name) && awaited.size === 0) output.say(`holdfast: ready (${names}) in ${dir}`);
    },
    onFatal,
    say: (line) => output.warn(`holdfast: ${line}`),
    onLine(name, line) {
      if (options.echo) output.warn(`${name} | ${line}`);
    },
  };
  return {
    guard: server ? new GuardProcess(programs.guard, runDir, listener, limits.guardHealthMs) : null,
    quorum: new Child('quorum', programs.quorum, runDir, listener),
    mirror: server ? new Child('mirror', programs.mirror, runDir, listener) : null,
    agent: new Child('agent', programs.agent, runDir, listener),
  };
}

async function finish(
  member: Member | null,
  end: End,
  limits: RunLimits,
  ports: { readonly output: RunOutput; readonly hurry: AbortSignal },
): Promise<number> {
  if (member === null) throw new Error('a run ended before it began');
  switch (end.kind) {
    case 'asked':
      return (await stopMember(member, end.mode, limits, ports)) ? 0 : 1;
    case 'fatal': {
      const { name, status, says } = end.fatal;
      // Nothing that an earlier run kept is touched because this one can't start.
      await stopMember(member, 'keep', limits, ports);
      ports.output.warn(`holdfast: ${name} can't run, and starting it again would not help:\n${says}`);
      return status === exitWrong ? 2 : 1;
    }
  }
}

/** Agent, mirror, quorum, guard, in this order. False when something didn't end as it should. */
async function stopMember(
  member: Member,
  mode: StopMode,
  limits: RunLimits,
  { output, hurry }: { readonly output: RunOutput; readonly hurry: AbortSignal },
): Promise<boolean> {
  const agentMs = mode === 'release' ? limits.releaseMs : limits.keepMs;
  const agent = await member.agent.stop(mode, agentMs, hurry);
  if (agent === 'killed') output.warn('holdfast: the agent did not end in time and was killed');
  if (agent === 'failed') output.warn('holdfast: the agent ended with an error');
  const mirror = (await member.mirror?.stop('release', limits.mirrorMs)) ?? 'not-running';
  if (mirror === 'killed') output.warn('holdfast: the mirror process did not end in time and was killed');
  const quorum = await member.quorum.stop('release', limits.quorumMs);
  if (quorum === 'killed') output.warn('holdfast: the quorum service did not end in time and was killed');
  const orderly = agent !== 'failed' && ![agent, mirror, quorum].includes('killed');
  if (member.guard === null) return orderly;
  if (mode === 'keep') {
    await member.guard.leave();
    return orderly;
  }
  const guard = await member.guard.stop(limits.guardMs);
  if (guard.kind === 'left-armed') output.warn('holdfast: the guard is still armed and is left to fence');
  if (guard.kind === 'killed') output.warn('holdfast: the guard did not answer and was killed');
  return orderly && guard.failures.length === 0 && (guard.kind === 'ended' || guard.kind === 'not-running');
}
