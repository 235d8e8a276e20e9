/**
 * The guard, as `run` sees it: a process that may be older than `run` and may outlive it. It is started detached, in a
 * session of its own, without a pipe to us. We stay connected to its socket: the end of that connection is how its
 * death is noticed, whoever started it.
 *
 * Invariants: a guard that answers is never replaced, and never killed while it is armed.
 */

import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { guardExit, type EventMessage } from '@holdfast/guard';
import { afterCrash, noCrashes, type Backoff } from './backoff.ts';
import { exitWrong, type ChildListener, type Program } from './child.ts';
import { connectGuard, type GuardLink } from './guard-link.ts';
import { rotateLog } from './log-file.ts';
import {
  endLeftover,
  readPidFile,
  removePidFile,
  signalProcess,
  waitGone,
  writePidFile,
} from './pid-file.ts';

const answerMs = 1_000;
const startMs = 5_000;
const pollMs = 50;
/** How often in a row a guard may stay silent when asked whether it is there. */
const silencesMax = 3;

export interface GuardStopped {
  readonly kind: 'ended' | 'killed' | 'left-armed' | 'not-running';
  readonly failures: readonly string[];
}

export class GuardProcess {
  readonly name = 'guard';
  readonly socket: string;
  readonly #program: Program;
  readonly #runDir: string;
  readonly #listener: ChildListener;
  /** How often it is asked whether it still answers, and how long it may take. */
  readonly #healthMs: number;
  #link: GuardLink | null = null;
  #starting: Promise<void> | null = null;
  #restart: NodeJS.Timeout | null = null;
  #health: NodeJS.Timeout | null = null;
  #backoff: Backoff = noCrashes;
  #attachedMs = 0;
  #everReady = false;
  #stopping = false;

  constructor(program: Program, runDir: string, listener: ChildListener, healthMs: number) {
    this.socket = join(runDir, 'guard.sock');
    this.#program = program;
    this.#runDir = runDir;
    this.#listener = listener;
    this.#healthMs = healthMs;
  }

  /** Attaches to the guard that answers, or starts one; and again whenever it ends. */
  start(): void {
    this.#starting = this.#ensure()
      .catch((error: unknown) => this.#again(String(error)))
      .finally(() => {
        this.#starting = null;
      });
  }

  /** Stops watching the guard and leaves it as it is; one that has nothing armed ends. */
  async leave(): Promise<void> {
    const link = await this.#settle();
    await link?.request({ type: 'quit' }, answerMs);
    link?.close();
  }

  /** Has what is still armed fenced, waits for that, and ends the guard. */
  async stop(timeoutMs: number): Promise<GuardStopped> {
    const link = await this.#settle();
    const identity = readPidFile(this.#runDir, this.name);
    if (link === null) return { kind: 'not-running', failures: [] };
    const failures: string[] = [];
    link.onEvent = (event) => {
      this.#report(event);
      if (event.type === 'fenced' && !event.ok) failures.push(`${event.group}: ${event.failures.join('; ')}`);
    };
    const endMs = performance.now() + timeoutMs;
    const quit = await quitWhenIdle(link, endMs);
    if (quit === 'armed') {
      link.close();
      return { kind: 'left-armed', failures };
    }
    const goneMs = quit === 'quitting' ? answerMs + 1_000 : 0;
    const gone = identity === null || (await waitGone(identity, goneMs));
    link.close();
    if (gone) {
      this.#sayProblem(removePidFile(this.#runDir, this.name));
      return { kind: 'ended', failures };
    }
    signalProcess(identity, 'SIGKILL');
    this.#sayProblem(removePidFile(this.#runDir, this.name));
    return { kind: 'killed', failures };
  }

  /** Ends all restarting; the connection as it is then. */
  async #settle(): Promise<GuardLink | null> {
    this.#stopping = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    if (this.#health !== null) clearTimeout(this.#health);
    await this.#starting;
    const link = this.#link;
    if (link !== null) link.onClose = () => undefined;
    return link;
  }

  async #ensure(): Promise<void> {
    const existing = await connectGuard(this.socket, answerMs);
    if (existing !== null && (await this.#attach(existing, 'found running'))) return;
    existing?.close();
    const leftover = await endLeftover(this.#runDir, this.name, 0);
    if (leftover === 'killed') this.#listener.say('guard: an earlier one that did not answer was killed');
    if (this.#stopping) return;
    const failure = await this.#launch();
    if (failure === null) return;
    if (!this.#everReady && failure.status === exitWrong) {
      this.#listener.onFatal({ name: this.name, ...failure });
      return;
    }
    this.#again(failure.says);
  }

  /** Null when it runs and answers. */
  async #launch(): Promise<{ status: number | null; says: string } | null> {
    const { entry, args, nodeFlags } = this.#program;
    const log = join(this.#runDir, 'guard.log');
    const fd = await this.#openLog(log);
    const child = spawn(process.execPath, [...nodeFlags, entry, '--socket', this.socket, ...args], {
      detached: true,
      windowsHide: true,
      stdio: ['ignore', fd ?? 'ignore', fd ?? 'ignore'],
    });
    if (fd !== null) closeSync(fd);
    child.unref();
    const end: { says: string | null } = { says: null };
    child.on('error', (error) => (end.says = error.message));
    child.on('exit', (status, signal) => (end.says = signal ?? `status ${String(status)}`));
    if (child.pid !== undefined) this.#sayProblem(writePidFile(this.#runDir, this.name, child.pid));
    const endMs = performance.now() + startMs;
    while (performance.now() < endMs && end.says === null) {
      const link = await connectGuard(this.socket, answerMs);
      if (link !== null && (await this.#attach(link, 'started'))) return null;
      link?.close();
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
    if (child.exitCode === guardExit.wrong) return { status: exitWrong, says: lastLines(log) };
    child.kill('SIGKILL');
    return { status: child.exitCode, says: end.says ?? `no answer at ${this.socket} within ${startMs} ms` };
  }

  /** A log that can't be opened must not keep the guard from starting. */
  async #openLog(path: string): Promise<number | null> {
    try {
      await rotateLog(path);
      return openSync(path, 'a', 0o600);
    } catch (error) {
      this.#sayProblem(`can't open ${path}: ${String(error)}`);
      return null;
    }
  }

  #sayProblem(problem: string | null): void {
    if (problem !== null) this.#listener.say(problem);
  }

  async #attach(link: GuardLink, how: string): Promise<boolean> {
    const state = await link.state(answerMs);
    if (state === null) return false;
    this.#sayProblem(writePidFile(this.#runDir, this.name, state.pid));
    this.#link = link;
    this.#attachedMs = performance.now();
    this.#everReady = true;
    link.onEvent = (event) => this.#report(event);
    link.onClose = () => {
      this.#link = null;
      if (this.#health !== null) clearTimeout(this.#health);
      this.#again('its connection ended');
    };
    const armed = state.armed.length === 0 ? '' : `, armed for ${state.armed.map((g) => g.group).join(', ')}`;
    this.#listener.say(`guard ${how} (pid ${state.pid})${armed}`);
    if (!this.#stopping) this.#watchHealth(link, 0);
    this.#listener.onReady(this.name);
    return true;
  }

  /** A guard that is frozen guards nothing: after some silence it is replaced. */
  #watchHealth(link: GuardLink, silences: number): void {
    this.#health = setTimeout(() => {
      void link.state(this.#healthMs).then((state) => {
        if (this.#stopping || this.#link !== link) return;
        const silent = state === null ? silences + 1 : 0;
        if (silent < silencesMax) {
          this.#watchHealth(link, silent);
          return;
        }
        this.#listener.say('guard has stopped answering; it is replaced');
        const identity = readPidFile(this.#runDir, this.name);
        if (identity !== null) signalProcess(identity, 'SIGKILL');
      });
    }, this.#healthMs);
  }

  #again(why: string): void {
    if (this.#stopping) return;
    const livedMs = this.#attachedMs === 0 ? 0 : performance.now() - this.#attachedMs;
    const { backoff, delayMs } = afterCrash(this.#backoff, livedMs);
    this.#attachedMs = 0;
    this.#backoff = backoff;
    this.#listener.say(`guard: ${why}; started again ${delayMs === 0 ? 'at once' : `in ${delayMs} ms`}`);
    this.#restart = setTimeout(() => {
      this.#restart = null;
      this.start();
    }, delayMs);
  }

  #report(event: EventMessage): void {
    switch (event.type) {
      case 'fencing':
        this.#listener.say(`guard: ${event.reason}`);
        return;
      case 'fenced': {
        const how = event.ok ? 'is fenced' : `could not be fenced: ${event.failures.join('; ')}`;
        this.#listener.say(`guard: group ${event.group} at epoch ${event.epoch} ${how}`);
        return;
      }
      case 'watchdog':
        this.#listener.say(`guard: ${event.says}`);
        return;
    }
  }
}

/** Fences whatever is armed until the guard agrees to end. */
async function quitWhenIdle(link: GuardLink, endMs: number): Promise<'quitting' | 'armed' | 'silent'> {
  for (;;) {
    const reply = await link.request({ type: 'quit' }, answerMs);
    if (reply === null) return 'silent';
    if (reply.type === 'quitting') return 'quitting';
    if (performance.now() >= endMs) return 'armed';
    const state = await link.state(answerMs);
    for (const { group } of state?.armed ?? []) await link.request({ type: 'fence', group }, answerMs);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
}

function lastLines(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-20).join('\n');
  } catch (error) {
    return String(error);
  }
}
