/**
 * Runs the etcd process of a voting member, and restarts it when it dies.
 *
 * V1: etcd outlives a quorum service that dies (a crash, SIGKILL): it is in a session of its own and writes its log itself,
 *     so that costs no leader. The next start takes the running etcd over, or replaces it when it runs with other
 *     arguments; it is found by its data directory, so no pid file can be stale. An orderly end takes etcd with it (stop).
 * V2: never two etcd processes on one data directory, and never a new cluster on a lost one (preflight.ts, begun.ts).
 * V3: data is never deleted.
 * V4: restarts go on for ever, 0.5 to 30 s apart, each with its reason; a member that was removed from the cluster is
 *     not started again.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { joinAnew } from '@holdfast/wire/directory';
import { errorCode, errorText, failureFromLog, type EtcdFailure } from './failure.ts';
import { etcdArguments, etcdEnvironment, lastingArguments, type EtcdOptions } from './flags.ts';
import { boundLog, logEnd, logTail } from './log-file.ts';
import type { EtcdTls } from './endpoints.ts';
import { statusOf } from './members.ts';
import { checkData, checkPorts, cutLogs, mayHaveLog, notInstalled } from './preflight.ts';
import { endProcess, etcdsOn, isAlive, processOf, type ProcessId } from './process.ts';

export interface EtcdEvents {
  /** It died or could not be started again; `restartInMs` null: it is not started again. */
  died(failure: EtcdFailure, restartInMs: number | null): void;
  started(pid: number, how: 'adopted' | 'started'): void;
  /** Something that a person should know, while it runs on. */
  warned(says: string): void;
}

export interface RunningEtcd {
  /** Null while it is between two lives. */
  pid(): number | null;
  /** Ends etcd and the supervision. Idempotent. */
  stop(deadlineMs: number): Promise<'stopped' | 'killed' | 'still-there'>;
  /** Ends the supervision as the death of this process would, and leaves etcd running: for tests. */
  release(): void;
}

export type StartEtcdAnswer =
  { readonly kind: 'started'; readonly adopted: boolean; readonly etcd: RunningEtcd } | EtcdFailure;

const restartMsMin = 500;
const restartMsMax = 30_000;
/** A life this long was a good one: the next restart is quick again. */
const goodLifeMs = 60_000;
/** How long a start is watched for an early death. Founding members serve only once a quorum of them runs. */
const settleMs = 3_000;
const replaceMs = 5_000;
const boundLogEveryMs = 10_000;
const logBytesMax = 4 * 1024 * 1024;

/** From a process that runs to the sentence of how it ended. */
interface Life {
  readonly id: ProcessId;
  readonly adopted: boolean;
  readonly startedAtMs: number;
  readonly logFrom: number;
  readonly ended: Promise<string>;
  /** Lets our process end while etcd runs on. */
  forget(): void;
}

/**
 * Resolves when etcd serves, or has lived for 3 s without serving yet (it may wait for its peers), or could not be
 * started. After 'started' it is restarted when it dies.
 */
export async function startEtcd(given: EtcdOptions, on: EtcdEvents): Promise<StartEtcdAnswer> {
  const options = { ...given, dataDir: resolve(given.dataDir), logFile: resolve(given.logFile) };
  const first = await begin(options, on);
  if ('kind' in first) return first;
  const state: Supervision = { life: first, over: new AbortController() };
  const supervision = supervise(state, options, on);
  return {
    kind: 'started',
    adopted: first.adopted,
    etcd: {
      pid: () => state.life?.id.pid ?? null,
      async stop(deadlineMs) {
        state.over.abort();
        // A start that is under way ends first; it takes a few seconds at most.
        if (state.life === null) await supervision;
        if (state.life === null) return 'stopped';
        const outcome = await endProcess(state.life.id, deadlineMs);
        return outcome === 'ended' ? 'stopped' : outcome;
      },
      release() {
        state.over.abort();
        state.life?.forget();
      },
    },
  };
}

interface Supervision {
  /** Null between two lives. */
  life: Life | null;
  readonly over: AbortController;
}

async function supervise(state: Supervision, given: EtcdOptions, on: EtcdEvents): Promise<void> {
  let options = given;
  let restartMs = restartMsMin;
  const over = state.over.signal;
  const isOver = (): boolean => over.aborted;
  const logTimer = setInterval(() => bound(options, on), boundLogEveryMs);
  logTimer.unref();
  over.addEventListener('abort', () => clearInterval(logTimer), { once: true });
  while (!isOver()) {
    let failure: EtcdFailure;
    if (state.life === null) {
      const next = await begin(options, on);
      if (!('kind' in next)) {
        state.life = next;
        continue;
      }
      failure = next;
    } else {
      const life = state.life;
      // V2: once there is data, no start may found a cluster again.
      if (mayHaveLog(options.dataDir)) options = { ...options, initialCluster: null, alone: false };
      const how = await life.ended;
      if (performance.now() - life.startedAtMs >= goodLifeMs) restartMs = restartMsMin;
      failure = failureFromLog(logTail(options.logFile, life.logFrom), how, options.dataDir);
      state.life = null;
    }
    if (isOver()) return;
    // V4
    const final = failure.kind === 'removed';
    on.died(failure, final ? null : restartMs);
    if (final) return;
    await pause(restartMs, over);
    restartMs = Math.min(restartMs * 2, restartMsMax);
  }
}

/** One life: taken over, or started after all checks. */
async function begin(options: EtcdOptions, on: EtcdEvents): Promise<Life | EtcdFailure> {
  const leftover = await takeOver(options);
  if (leftover !== null && 'kind' in leftover) return leftover;
  if (leftover !== null) {
    on.started(leftover.id.pid, 'adopted');
    return leftover;
  }
  const refused = checkData(options) ?? (await checkPorts(options));
  if (refused !== null) return refused;
  const cutBefore = cutLogs(options.dataDir);
  const tls = readTls(options);
  if ('kind' in tls) return tls;
  const life = await launch(options);
  if ('kind' in life) return life;
  const died = await settle(life, options, tls);
  if (died !== null) return failureFromLog(logTail(options.logFile, life.logFrom), died, options.dataDir);
  for (const cut of cutLogs(options.dataDir)) {
    if (!cutBefore.has(cut)) on.warned(cutSentence(cut));
  }
  on.started(life.id.pid, 'started');
  return life;
}

/** V1, V2: an etcd that runs on our data is ours if it runs as we would start it; otherwise it is ended first. */
async function takeOver(options: EtcdOptions): Promise<Life | EtcdFailure | null> {
  const leftovers = etcdsOn(options.dataDir, options.binary ?? 'etcd');
  const wanted = lastingArguments(options);
  const [only] = leftovers;
  if (only !== undefined && leftovers.length === 1 && only.sameNetwork && options.alone !== true) {
    if (wanted.every((argument) => only.args.includes(argument))) return adopt(only.id, options);
  }
  for (const { id } of leftovers) {
    const outcome = await endProcess(id, replaceMs);
    if (outcome !== 'still-there') continue;
    const says = `an older etcd, process ${id.pid}, runs on ${options.dataDir} and does not end, not even by SIGKILL. Its disk may hang`;
    return { kind: 'exited', says };
  }
  return null;
}

function adopt(id: ProcessId, options: EtcdOptions): Life {
  let watching: NodeJS.Timeout | null = null;
  const ended = new Promise<string>((resolveEnded) => {
    watching = setInterval(() => {
      if (isAlive(id)) return;
      if (watching !== null) clearInterval(watching);
      resolveEnded(`(process ${id.pid}) ended`);
    }, 250);
  });
  const forget = (): void => {
    if (watching !== null) clearInterval(watching);
  };
  return {
    id,
    adopted: true,
    startedAtMs: performance.now(),
    logFrom: logEnd(options.logFile),
    ended,
    forget,
  };
}

async function launch(options: EtcdOptions): Promise<Life | EtcdFailure> {
  const binary = options.binary ?? 'etcd';
  let fd: number;
  try {
    mkdirSync(options.dataDir, { recursive: true, mode: 0o700 });
    mkdirSync(dirname(options.logFile), { recursive: true });
    boundLog(options.logFile, logBytesMax);
    fd = openSync(options.logFile, 'a', 0o640);
  } catch (error) {
    return { kind: 'exited', says: `can't prepare etcd's data and log: ${errorText(error)}` };
  }
  const logFrom = logEnd(options.logFile);
  const child = spawn(binary, etcdArguments(options), {
    cwd: '/',
    env: etcdEnvironment(),
    detached: true,
    stdio: ['ignore', fd, fd],
  });
  closeSync(fd);
  const failed = await spawned(child);
  if (failed !== null) return notStarted(binary, failed);
  const pid = child.pid ?? 0;
  const ended = new Promise<string>((resolveEnded) => {
    const tell = (): void =>
      resolveEnded(
        `(process ${pid}) ended ${child.signalCode === null ? `with code ${child.exitCode ?? -1}` : `by ${child.signalCode}`}`,
      );
    if (child.exitCode !== null || child.signalCode !== null) tell();
    else child.once('exit', tell);
  });
  const id = processOf(pid) ?? { pid, startTicks: '' };
  return { id, adopted: false, startedAtMs: performance.now(), logFrom, ended, forget: () => child.unref() };
}

function spawned(child: ChildProcess): Promise<Error | null> {
  return new Promise((resolveSpawned) => {
    child.once('spawn', () => resolveSpawned(null));
    child.once('error', (error) => resolveSpawned(error));
  });
}

function notStarted(binary: string, error: Error): EtcdFailure {
  if (errorCode(error) !== 'ENOENT')
    return { kind: 'exited', says: `can't start ${binary}: ${errorText(error)}` };
  return notInstalled(binary);
}

/** Waits until etcd serves or has lived long enough; how it ended when it died first. */
async function settle(life: Life, options: EtcdOptions, tls: EtcdTls): Promise<string | null> {
  const endpoint = ownEndpoint(options);
  const until = performance.now() + settleMs;
  while (performance.now() < until && options.hurry?.aborted !== true) {
    const status = await Promise.race([statusOf(endpoint, tls, 400), life.ended]);
    if (typeof status === 'string') return status;
    if (status.kind === 'ok') return null;
    const ended = await Promise.race([sleep(50, null), life.ended]);
    if (ended !== null) return ended;
  }
  return null;
}

function readTls(options: EtcdOptions): EtcdTls | EtcdFailure {
  const { caFile, certFile, keyFile } = options.tls;
  try {
    const [ca, cert, key] = [readFileSync(caFile), readFileSync(certFile), readFileSync(keyFile)];
    return { ca, cert, key, serverName: 'localhost' };
  } catch (error) {
    return { kind: 'exited', says: `etcd was not started: can't read its certificates: ${errorText(error)}` };
  }
}

function ownEndpoint(options: EtcdOptions): string {
  const address = options.listenAddresses[0] ?? '127.0.0.1';
  const reachable = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return `${reachable.includes(':') ? `[${reachable}]` : reachable}:${options.clientPort}`;
}

function bound(options: EtcdOptions, on: EtcdEvents): void {
  const says = boundLog(options.logFile, logBytesMax);
  if (says !== null) on.warned(says);
}

function cutSentence(cut: string): string {
  return `etcd found its log damaged, cut it there and kept a copy (${cut}). Unless this host just lost power, confirmed changes may be gone here: ${joinAnew}`;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
