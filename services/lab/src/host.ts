// One host of a lab, as tests and commands handle it. It holds no state of its own: every call reads the lab's, so that
// several processes may act on one lab.
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process';
import { environment, run, type ExecOptions, type ExecResult } from './command.ts';
import { LabError } from './error.ts';
import { withLock } from './lock.ts';
import { intoHost } from './namespaces.ts';
import { addressesOf, networks, portOf, type HostAddresses, type Network } from './plan.ts';
import { holdfastDir, powerOff, powerOn } from './power.ts';
import {
  identityOf,
  inNetworkNamespace,
  isAlive,
  networkNamespaceOf,
  signal,
  signalUntilNone,
  view,
  type ProcessIdentity,
  type ProcessView,
} from './process.ts';
import { hostIn, needState, withHost, writeState, type HostState, type LabState } from './state.ts';
import { applyRate, setPorts } from './switch.ts';

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** As in node:child_process; default: input empty, output and errors as pipes. */
  readonly stdio?: StdioOptions;
  /** True gives it a session of its own, so that it outlives this process (not the lab). */
  readonly detached?: boolean;
}

export interface Host {
  readonly name: string;
  readonly addresses: HostAddresses;
  /** Holdfast's directory on this host. It survives power cuts. */
  readonly dir: string;
  /** Runs a program on the host to its end. Throws LabError when the power is off. */
  exec(argv: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** Starts a program on the host. The child's pid is the program's own, as every process of this machine sees it. */
  spawn(argv: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Pids of everything in the host's network, without what holds the host itself. Empty while the power is off. */
  processes(): number[];
  /** The same with command lines. */
  views(): ProcessView[];
  isOn(): boolean;
  bootId(): string;
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
  /** Stops every process of the host, as a hypervisor that pauses it. Programs started afterwards run. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** These three reject a pid that does not run on this host. They resolve when it is frozen, or runs again. */
  freezeProcess(pid: number): Promise<void>;
  thawProcess(pid: number): Promise<void>;
  /** Default SIGKILL, which resolves when the process is gone; other signals are only sent. */
  killProcess(pid: number, name?: NodeJS.Signals): Promise<void>;
  pullCable(network: Network): Promise<void>;
  plugCable(network: Network): Promise<void>;
}

/** Changes the state of a lab under its lock. What a failed change did is not recorded; every change can be repeated. */
export function changeLab(
  dir: string,
  mark: string,
  change: (state: LabState) => Promise<LabState>,
): Promise<void> {
  return withLock(mark, async () => {
    const state = needState(dir);
    const next = await change(state);
    if (next !== state) writeState(dir, next);
  });
}

export function hostHandle(dir: string, mark: string, name: string): Host {
  const now = (): { state: LabState; host: HostState } => {
    const state = needState(dir);
    return { state, host: hostIn(state, name) };
  };
  const change = (step: (state: LabState, host: HostState) => Promise<LabState>): Promise<void> =>
    changeLab(dir, mark, (state) => step(state, hostIn(state, name)));
  const entering = (
    argv: readonly string[],
    cwd?: string,
  ): { argv: [string, ...string[]]; env: Record<string, string> } => {
    const { state, host } = now();
    return {
      argv: [...intoHost(state, host, cwd), ...argv],
      env: host.bootIdBound ? {} : { HOLDFAST_BOOT_ID: host.bootId },
    };
  };
  const processes = (): number[] => {
    const { holder } = now().host;
    if (holder === null || !isAlive(holder)) return [];
    const namespace = networkNamespaceOf(holder.pid);
    if (namespace === undefined) return [];
    return inNetworkNamespace(namespace).filter((pid) => pid !== holder.pid);
  };
  const signalOne = (pid: number, what: string, signalName: NodeJS.Signals): ProcessIdentity => {
    const who = processes().includes(pid) ? identityOf(pid) : undefined;
    if (who !== undefined && signal(pid, signalName)) return who;
    throw new LabError({
      what: `cannot ${what} process ${pid}`,
      says: `it does not run on host ${name}`,
      fix: 'See holdfast lab status.',
    });
  };
  // The kernel carries out a signal a moment after it was sent.
  const signalAndWait = async (
    pid: number,
    what: string,
    signalName: NodeJS.Signals,
    isPending: (who: ProcessIdentity) => boolean,
  ): Promise<void> => {
    const who = signalOne(pid, what, signalName);
    const pending = (): number[] => (isAlive(who) && isPending(who) ? [pid] : []);
    await signalUntilNone(signalName, pending, `cannot ${what} process ${pid} of host ${name}`);
  };
  const setCable = (network: Network, plugged: boolean): Promise<void> =>
    change(async (state, host) => {
      if (host.holder !== null) await setPorts(state, [portOf(name, network)], plugged ? 'up' : 'down');
      const rest = host.pulled.filter((each) => each !== network);
      return withHost(state, { ...host, pulled: plugged ? rest : [...rest, network] });
    });
  const inState = (wanted: ProcessView['state']) => (): number[] =>
    processes().filter((pid) => {
      const seen = view(pid);
      return seen !== undefined && seen.state !== wanted;
    });

  return {
    name,
    addresses: addressesOf(now().host.number),
    dir: holdfastDir(dir, name),
    exec: async (argv, options = {}) => {
      const entered = entering(argv, options.cwd);
      return run(entered.argv, { ...options, env: { ...entered.env, ...options.env } });
    },
    spawn: (argv, options = {}) => {
      const entered = entering(argv, options.cwd);
      const [program, ...args] = entered.argv;
      return spawn(program, args, {
        env: environment({ ...entered.env, ...options.env }),
        stdio: options.stdio ?? ['ignore', 'pipe', 'pipe'],
        detached: options.detached ?? false,
      });
    },
    processes,
    views: () => processes().flatMap((pid) => view(pid) ?? []),
    isOn: () => {
      const { holder } = now().host;
      return holder !== null && isAlive(holder);
    },
    bootId: () => now().host.bootId,
    powerOff: () => change((state, host) => powerOff(mark, state, host)),
    powerOn: () => change((state, host) => powerOn(dir, mark, state, host)),
    freeze: () => signalUntilNone('SIGSTOP', inState('frozen'), `cannot freeze host ${name}`),
    thaw: () => signalUntilNone('SIGCONT', inState('running'), `cannot thaw host ${name}`),
    freezeProcess: (pid) => signalAndWait(pid, 'freeze', 'SIGSTOP', () => view(pid)?.state === 'running'),
    thawProcess: (pid) => signalAndWait(pid, 'thaw', 'SIGCONT', () => view(pid)?.state === 'frozen'),
    killProcess: (pid, signalName = 'SIGKILL') =>
      signalAndWait(pid, `signal (${signalName})`, signalName, () => signalName === 'SIGKILL'),
    pullCable: (network) => setCable(network, false),
    plugCable: (network) => setCable(network, true),
  };
}

/** Sets or takes off (null) the rate of a host's line, bits per second. */
export function setRate(
  dir: string,
  mark: string,
  name: string,
  network: Network,
  bitsPerSecond: number | null,
): Promise<void> {
  if (bitsPerSecond !== null && !(Number.isSafeInteger(bitsPerSecond) && bitsPerSecond >= 8_000))
    return Promise.reject(
      new LabError({
        what: `cannot set the rate of host ${name}`,
        says: `${bitsPerSecond} bits per second is no rate`,
        fix: 'Give a whole number from 8000 on.',
      }),
    );
  return changeLab(dir, mark, async (state) => {
    const host = hostIn(state, name);
    const others = Object.fromEntries(
      networks.flatMap((each) =>
        each === network || host.rates[each] === undefined ? [] : [[each, host.rates[each]]],
      ),
    );
    const next = {
      ...host,
      rates: bitsPerSecond === null ? others : { ...others, [network]: bitsPerSecond },
    };
    if (host.holder !== null) await applyRate(state, next, network);
    return withHost(state, next);
  });
}
