/**
 * Runs on the client: asks the service over HTTP again and again, each time on a new connection, as a new visitor would,
 * and tells who answered.
 *
 *   node visitor.js ADDRESS PORT INTERVAL_MS
 *
 * One line of JSON per answer: {"atMs":CLOCK_MONOTONIC,"server":"a","epoch":"1","found":RECORD,"last":RECORD}, with
 * the record that the service found when it started and the last that it wrote, {"number":7,"atMs":WALL-MS}. No answer,
 * no line.
 *
 * Invariants: a question without an answer is given up after `patienceMs`, so at most patienceMs / INTERVAL_MS are open.
 */
import { get } from 'node:http';
import { monotonicMs } from '../bench/lines.ts';

const patienceMs = 400;
const bodyLengthMax = 4096;

const [host = '', port = '', interval = '25'] = process.argv.slice(2);

interface Answer {
  readonly server: string;
  readonly epoch: string | null;
  readonly found: object;
  readonly last: object;
}

function isAnswer(value: unknown): value is Answer {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['server', 'epoch', 'found', 'last'].every((field) => field in value)
  );
}

function tell(body: string): void {
  const answer: unknown = JSON.parse(body);
  if (!isAnswer(answer)) throw new Error(`the service answered ${body}`);
  const { server, epoch, found, last } = answer;
  process.stdout.write(`${JSON.stringify({ atMs: monotonicMs(), server, epoch, found, last })}\n`);
}

function ask(): void {
  const request = get({ host, port, agent: false, timeout: patienceMs }, (response) => {
    let body = '';
    response.setEncoding('utf8');
    response.on('data', (text: string) => {
      body += text;
      if (body.length > bodyLengthMax) request.destroy();
    });
    response.on('error', () => undefined); // cut off in the middle: no answer
    response.on('end', () => {
      if (response.complete) tell(body);
    });
  });
  const limit = setTimeout(() => request.destroy(), patienceMs);
  request.on('timeout', () => request.destroy());
  // Refused, unreachable, cut off: no answer, which is what is shown.
  request.on('error', () => undefined);
  request.on('close', () => clearTimeout(limit));
}

setInterval(ask, Number(interval));
process.stdin.on('end', () => process.exit(0)).resume();
