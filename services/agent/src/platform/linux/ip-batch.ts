/**
 * A long-lived `ip -batch`: a command costs 0.1 ms instead of the 3 ms of starting `ip` each time.
 *
 * `ip` in batch mode reports no status per command. So the commands of a question are followed by a word that is no
 * command; `ip` complains about it, in order, and what came before that complaint is the answer. Its two outputs
 * share one pipe, so that this order holds.
 *
 * B1. Everything of a question is written before `ask` returns: what it decides is not carried out later.
 * B2. A question has a deadline. When it passes, the process is killed by its id, and every open question is `lost`; the
 *     caller asks again with `once`, which starts a fresh `ip` per command.
 * B3. At most QUESTIONS_MAX questions are open.
 * B4. One process is asked about links or about addresses, never both: after `link show`, `addr show dev` prints links
 *     (iproute2 6.1 does not forget that it was asked for links).
 */
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { explainResult, runProgram } from './commands.ts';

const QUESTIONS_MAX = 64;
const LINE_MAX = 64 * 1024;
/** After a death, how long to do without, so that a broken `ip` is not started in a circle. */
const REST_MS = 1000;
const ONCE_MS = 2000;
/** Some 1,500 addresses. */
const ONCE_MAX_BYTES = 256 * 1024;

export type IpCommand = readonly string[];

export type IpAnswer =
  /** What was printed. `refused` holds the complaints of the commands that failed; empty when all went well. */
  | { readonly kind: 'answered'; readonly lines: readonly string[]; readonly refused: readonly string[] }
  /** Whether the commands were carried out is not known. */
  | { readonly kind: 'lost'; readonly says: string };

export interface IpBatch {
  ask(commands: readonly IpCommand[], timeoutMs: number): Promise<IpAnswer>;
  /** The same with fresh processes, one after the other. Never `lost` but at its own deadline (2 s each). */
  once(commands: readonly IpCommand[]): Promise<IpAnswer>;
  /** Gives up the process; the next question starts another. */
  renew(says: string): void;
}

interface Question {
  readonly mark: string;
  readonly lines: string[];
  readonly answer: (answer: IpAnswer) => void;
}

type Worker = ChildProcessByStdio<Writable, Readable, null>;

/** `ip` is the absolute path of the program. The process is started at once, and ends with ours. */
export function createIpBatch(ip: string): IpBatch {
  let worker: Worker | null = null;
  let restUntil = 0;
  let serial = 0;
  let open: Question[] = [];

  const renew = (says: string): void => {
    const old = worker;
    worker = null;
    old?.kill('SIGKILL');
    const lost = open;
    open = [];
    for (const question of lost) question.answer({ kind: 'lost', says });
  };

  const start = (): Worker | null => {
    if (worker !== null) return worker;
    if (performance.now() < restUntil) return null;
    const mine = spawn('/bin/sh', ['-c', 'exec "$0" -o -force -batch - 2>&1', ip], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const gone = (says: string): void => {
      if (worker !== mine) return;
      restUntil = performance.now() + REST_MS;
      renew(says);
    };
    mine.on('error', (error) => gone(`${ip} could not be started: ${error.message}`));
    mine.on('exit', (status, signal) => gone(`${ip} -batch ended with ${signal ?? String(status)}`));
    mine.stdin.on('error', (error) => gone(`${ip} -batch takes no commands: ${error.message}`));
    readLines(mine.stdout, (line) => {
      if (worker === mine) take(line);
    });
    mine.unref();
    for (const stream of [mine.stdin, mine.stdout]) {
      if (stream instanceof Socket) stream.unref();
    }
    worker = mine;
    return mine;
  };

  const take = (line: string): void => {
    const question = open[0];
    if (question === undefined) return; // the second line of the last complaint
    if (!line.startsWith(`Object "${question.mark}" is unknown`)) {
      question.lines.push(line);
      return;
    }
    open.shift();
    question.answer(sorted(question.lines));
  };

  start();
  return {
    ask: (commands, timeoutMs) =>
      new Promise((resolve) => {
        const running = start();
        if (running === null || open.length >= QUESTIONS_MAX) {
          resolve({
            kind: 'lost',
            says: `${ip} -batch ${running === null ? 'has just died' : 'is too busy'}`,
          });
          return;
        }
        serial += 1;
        const mark = `mark-${serial}`;
        const timer = setTimeout(() => renew(`${ip} -batch did not answer in ${timeoutMs} ms`), timeoutMs);
        const answer = (given: IpAnswer): void => {
          clearTimeout(timer);
          resolve(given);
        };
        open.push({ mark, lines: [], answer });
        running.stdin.write([...commands.map((words) => words.join(' ')), mark, ''].join('\n'));
      }),
    once: (commands) => askOnce(ip, commands),
    renew,
  };
}

async function askOnce(ip: string, commands: readonly IpCommand[]): Promise<IpAnswer> {
  const lines: string[] = [];
  const refused: string[] = [];
  for (const command of commands) {
    const argv = [ip, '-o', ...command];
    const result = await runProgram(argv, { timeoutMs: ONCE_MS, outputMaxBytes: ONCE_MAX_BYTES });
    if (result.kind === 'timed-out') return { kind: 'lost', says: explainResult(argv, result) };
    if (result.status === 0) lines.push(...result.output.split('\n').filter((line) => line !== ''));
    else refused.push(explainResult(argv, result));
  }
  return { kind: 'answered', lines, refused };
}

/** Splits what `ip` printed into answers and complaints; the latter come just before a `Command failed` line. */
function sorted(printed: readonly string[]): IpAnswer {
  const lines: string[] = [];
  const refused: string[] = [];
  printed.forEach((line, index) => {
    if (line.startsWith('Command failed -:')) return;
    if (line.startsWith('Object "mark-')) return;
    if (printed[index + 1]?.startsWith('Command failed -:') === true) refused.push(line);
    else lines.push(line);
  });
  return { kind: 'answered', lines, refused };
}

function readLines(stream: Readable, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = (parts.pop() ?? '').slice(-LINE_MAX);
    for (const line of parts) take(line);
  });
}
