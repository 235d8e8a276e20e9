/**
 * Looks at a cluster from one host of a lab again and again: its command lines run in one process that stays, because a
 * process for each look costs more than the look.
 *
 *   L1  every question is answered within `answerMs`, or the process is ended: it may be frozen with its host. What it was
 *       asked is asked in a process of its own then
 *   L2  it ends with its host's power or with this process, and a new one begins with the next question
 */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExecResult, Host } from '@holdfast/lab';

export interface Asked {
  readonly id: number;
  readonly args: readonly string[];
}

export interface Told extends Omit<ExecResult, 'timedOut'> {
  readonly id: number;
}

const answerMs = 6_000;
/** From the sources as from the bundle. */
const program = fileURLToPath(new URL('../../dist/bundle/standing-program.js', import.meta.url));

export class StandingReader {
  readonly #host: Host;
  #child: ChildProcess | null = null;
  readonly #waiting = new Map<number, (told: Told | null) => void>();
  #last = 0;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Null when there is no answer (L1). Throws LabError when the power is off. */
  ask(args: readonly string[]): Promise<ExecResult | null> {
    const child = this.#running();
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        child.kill('SIGKILL');
        this.#gone(child);
      }, answerMs);
      this.#waiting.set(id, (told) => {
        clearTimeout(late);
        this.#waiting.delete(id);
        resolve(told === null ? null : { ...told, timedOut: false });
      });
      child.stdin?.write(`${JSON.stringify({ id, args } satisfies Asked)}\n`);
    });
  }

  #running(): ChildProcess {
    if (this.#child !== null) return this.#child;
    const child = this.#host.spawn([process.execPath, program], {
      env: { HOLDFAST_DIR: this.#host.dir },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    this.#child = child;
    for (const event of ['error', 'exit'] as const) child.on(event, () => this.#gone(child)); // L2
    child.stdin?.on('error', () => this.#gone(child));
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => {
        const told = JSON.parse(line) as Told;
        this.#waiting.get(told.id)?.(told);
      });
    child.unref();
    for (const pipe of [child.stdin, child.stdout]) (pipe as { unref?: () => void } | null)?.unref?.();
    return child;
  }

  /** Of one that was replaced nobody waits for anything. */
  #gone(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = null;
    for (const answer of [...this.#waiting.values()]) answer(null);
  }
}
