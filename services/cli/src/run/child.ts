/**
 * One supervised process, `agent`, `mirror` or `quorum`: started, started again when it crashes, stopped. What it prints goes to
 * its log and, when asked, to the terminal. It has a lifeline to us (lifeline.ts) and a session of its own, so that
 * Ctrl-C reaches us alone.
 *
 * Invariants: at most one process at a time; none is started once a stop has begun; a wrong configuration at its first
 * start is told, not retried.
 */

import { spawn, type ChildProcess } from 'node:child_process';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { afterCrash, noCrashes, type Backoff } from './backoff.ts';
import { lifelineEnv, lifelineFd, parseChildMessage, type StopMode } from './lifeline.ts';
import { LogFile } from './log-file.ts';
import { identify, removePidFile, signalProcess, waitGone, writePidFile } from './pid-file.ts';
import { TextLines } from './text-lines.ts';

/** Exit status of a child whose configuration or installation is wrong. */
export const exitWrong = 2;
const lastLinesMax = 20;
const lastWordsMax = 300;
/** How long the last words of an ended process are waited for. */
const drainMs = 300;

export interface Program {
  readonly entry: string;
  readonly args: readonly string[];
  readonly nodeFlags: readonly string[];
  /** Beside our own environment, which goes before it. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface Fatal {
  readonly name: string;
  readonly status: number | null;
  readonly says: string;
}

export interface ChildListener {
  onReady(name: string): void;
  /** It can't run and a restart can't help. It has ended. */
  onFatal(fatal: Fatal): void;
  /** Something an operator wants to know. */
  say(line: string): void;
  /** A line it printed. */
  onLine(name: string, line: string): void;
}

export type StopOutcome = 'ended' | 'failed' | 'killed' | 'not-running';

interface Life {
  readonly process: ChildProcess;
  readonly ended: Promise<void>;
}

export class Child {
  readonly name: string;
  readonly #program: Program;
  readonly #runDir: string;
  readonly #listener: ChildListener;
  readonly #log: LogFile;
  #life: Life | null = null;
  #restart: NodeJS.Timeout | null = null;
  #backoff: Backoff = noCrashes;
  #everReady = false;
  #firstLife = true;
  #stopping = false;
  #saidFatal: string | null = null;
  #lastLines: string[] = [];

  constructor(name: string, program: Program, runDir: string, listener: ChildListener) {
    this.name = name;
    this.#program = program;
    this.#runDir = runDir;
    this.#listener = listener;
    this.#log = new LogFile(join(runDir, `${name}.log`));
  }

  start(): void {
    if (this.#life !== null) throw new Error(`${this.name} runs already`);
    this.#saidFatal = null;
    this.#lastLines = [];
    const startedMs = performance.now();
    let child: ChildProcess;
    try {
      child = this.#spawn();
    } catch (error) {
      // Out of memory or of processes: it may pass.
      this.#print(`can't be started: ${String(error)}`);
      this.#startAgain('not started', 0);
      return;
    }
    if (child.pid !== undefined) this.#sayProblem(writePidFile(this.#runDir, this.name, child.pid));
    this.#listen(child);
    const ended = new Promise<void>((resolve) => {
      child.on('error', (error) => {
        this.#print(`can't be started or signalled: ${error.message}`);
        if (child.pid === undefined) this.#onEnd(child, startedMs, resolve);
      });
      child.on('exit', () => this.#onEnd(child, startedMs, resolve));
    });
    this.#life = { process: child, ended };
  }

  #spawn(): ChildProcess {
    const { entry, args, nodeFlags, env } = this.#program;
    return spawn(process.execPath, [...nodeFlags, entry, ...args], {
      detached: process.platform !== 'win32',
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...env, ...process.env, [lifelineEnv]: String(lifelineFd) },
    });
  }

  get pid(): number | null {
    return this.#life?.process.pid ?? null;
  }

  /** Asks it to end, waits, and at the deadline, or when `hurry` is aborted, kills it. No restart from here on. */
  async stop(mode: StopMode, timeoutMs: number, hurry?: AbortSignal): Promise<StopOutcome> {
    this.#stopping = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#restart = null;
    const life = this.#life;
    if (life === null) {
      await this.#log.flush();
      return 'not-running';
    }
    this.#ask(life.process, mode);
    const ended = await within(life.ended, timeoutMs, hurry);
    if (!ended) {
      await this.#kill(life);
      await this.#log.flush();
      return 'killed';
    }
    await this.#log.flush();
    return life.process.exitCode === 0 ? 'ended' : 'failed';
  }

  #ask(child: ChildProcess, mode: StopMode): void {
    if (process.platform === 'win32') {
      const lifeline = child.stdio[lifelineFd];
      if (lifeline instanceof Socket) lifeline.write(`${JSON.stringify({ type: mode })}\n`);
      return;
    }
    child.kill(mode === 'keep' ? 'SIGHUP' : 'SIGTERM');
  }

  async #kill(life: Life): Promise<void> {
    life.process.kill('SIGKILL');
    if (await within(life.ended, 2_000)) return;
    const { pid } = life.process;
    if (pid === undefined) return;
    const identity = identify(pid);
    signalProcess(identity, 'SIGKILL');
    if (!(await waitGone(identity, 2_000))) this.#listener.say(`${this.name} (pid ${pid}) can't be killed`);
  }

  #listen(child: ChildProcess): void {
    for (const stream of [child.stdout, child.stderr]) {
      const lines = new TextLines();
      stream?.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#print(line)));
      stream?.on('end', () => lines.end().forEach((line) => this.#print(line)));
    }
    const lifeline = child.stdio[lifelineFd];
    if (!(lifeline instanceof Socket)) return;
    const lines = new TextLines();
    lifeline.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#hear(line)));
    // Its process has died with something unsent; 'exit' tells the rest.
    lifeline.on('error', () => lifeline.destroy());
  }

  #hear(line: string): void {
    const message = parseChildMessage(line);
    switch (message.kind) {
      case 'ready':
        this.#everReady = true;
        this.#listener.onReady(this.name);
        return;
      case 'fatal':
        this.#saidFatal = message.says;
        return;
      case 'unknown':
        this.#print(`(not understood on its lifeline: ${line.slice(0, 200)})`);
        return;
    }
  }

  #print(line: string): void {
    this.#lastLines = [...this.#lastLines, line].slice(-lastLinesMax);
    this.#log.write(line);
    this.#listener.onLine(this.name, line);
  }

  #onEnd(child: ChildProcess, startedMs: number, ended: () => void): void {
    this.#life = null;
    this.#sayProblem(removePidFile(this.#runDir, this.name));
    const livedMs = performance.now() - startedMs;
    const firstLife = this.#firstLife;
    this.#firstLife = false;
    ended();
    const how = child.signalCode ?? `status ${String(child.exitCode)}`;
    if (firstLife && !this.#everReady && !this.#stopping) void this.#judgeFirstEnd(child, how, livedMs);
    else this.#startAgain(how, livedMs);
  }

  /** It never became ready: did it say that it never will? */
  async #judgeFirstEnd(child: ChildProcess, how: string, livedMs: number): Promise<void> {
    // Its last words may still be in the pipes.
    await within(new Promise((resolve) => child.on('close', resolve)), drainMs);
    // After a stall of this process the limit comes before what is there to read: one turn to read it.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#stopping) return;
    const hopeless = child.exitCode === exitWrong || this.#saidFatal !== null;
    if (this.#everReady || !hopeless) {
      this.#startAgain(how, livedMs);
      return;
    }
    this.#stopping = true;
    const says = this.#saidFatal ?? this.#lastLines.join('\n');
    this.#listener.onFatal({ name: this.name, status: child.exitCode, says });
  }

  #startAgain(how: string, livedMs: number): void {
    if (this.#stopping) return;
    const { backoff, delayMs } = afterCrash(this.#backoff, livedMs);
    this.#backoff = backoff;
    const when = delayMs === 0 ? 'at once' : `in ${delayMs} ms`;
    // One that ended by itself said why, as far as it is read by now; on a full disk its log does not have it.
    const last = how.startsWith('status') ? this.#lastLines.at(-1) : undefined;
    const said = last === undefined ? '' : `; it said: ${last.slice(0, lastWordsMax)}`;
    this.#listener.say(
      `${this.name} ended (${how}) after ${Math.round(livedMs)} ms${said}; started again ${when}; see ${this.#log.path}`,
    );
    this.#restart = setTimeout(() => {
      this.#restart = null;
      this.start();
    }, delayMs);
  }

  #sayProblem(problem: string | null): void {
    if (problem !== null) this.#listener.say(problem);
  }
}

/** Whether the promise settled within the time. */
async function within(promise: Promise<unknown>, timeoutMs: number, hurry?: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  let onHurry: (() => void) | undefined;
  const limit = new Promise<false>((resolve) => {
    onHurry = () => resolve(false);
    timer = setTimeout(onHurry, timeoutMs);
    if (hurry?.aborted === true) resolve(false);
    hurry?.addEventListener('abort', onHurry);
  });
  try {
    return await Promise.race([promise.then(() => true), limit]);
  } finally {
    clearTimeout(timer);
    if (onHurry !== undefined) hurry?.removeEventListener('abort', onHurry);
  }
}
