/**
 * Runs on the client: asks an address every few milliseconds over UDP and remembers who answered when.
 *
 *   node probe.js ADDRESS INTERVAL_MS
 *
 * Commands on standard input, one per line; each is answered with one line:
 *   take     all answers since the last take: {"answers":[[number, sentMs, answeredMs, server]...], "stallMs": n}
 *   every N  from now on one question every N ms
 * It ends when standard input does.
 *
 * Invariants
 * A1: answers are kept in the order in which they came, at most `answersMax`; more is an error, never a silent loss.
 * A2: a question that nobody answers costs nothing and delays nothing: there is no connection and no retry.
 * A3: stallMs is the longest pause between two rounds of sending, so that a gap of the probe's own making shows.
 */
import { createSocket } from 'node:dgram';
import { probePort, question, readAnswer } from './datagram.ts';
import { monotonicMs, onLines } from './lines.ts';

const answersMax = 500_000;
/** After a stall only this many questions are made up for, so that there is no burst. */
const arrearsMax = 5;

type Answer = readonly [number: number, sentMs: number, answeredMs: number, server: string];

const [address = '', interval = '5'] = process.argv.slice(2);
let everyMs = Number(interval);
let sent = 0;
let dueMs = monotonicMs();
let lastRoundMs = dueMs;
let stallMs = 0;
let answers: Answer[] = [];
const sentMs = new Map<number, number>();
/** Later answers than this are forgotten. */
const openMax = 20_000;

const socket = createSocket('udp4');
socket.on('message', (datagram) => {
  const at = monotonicMs();
  const answer = readAnswer(datagram);
  const asked = answer === undefined ? undefined : sentMs.get(answer.number);
  if (answer === undefined || asked === undefined) return;
  sentMs.delete(answer.number);
  if (answers.length >= answersMax) throw new Error('nobody takes the answers'); // A1
  answers.push([answer.number, asked, at, answer.server]);
});
// While nobody holds the address the kernel may say so (EHOSTUNREACH): that is no answer, and nothing else.
socket.on('error', () => undefined);

function round(): void {
  const now = monotonicMs();
  stallMs = Math.max(stallMs, now - lastRoundMs); // A3
  lastRoundMs = now;
  if (now - dueMs > arrearsMax * everyMs) dueMs = now - arrearsMax * everyMs;
  while (dueMs <= now) {
    sent = (sent + 1) >>> 0;
    sentMs.set(sent, now);
    sentMs.delete((sent - openMax) >>> 0);
    socket.send(question(sent), probePort, address, () => undefined); // A2
    dueMs += everyMs;
  }
  setTimeout(round, Math.max(1, dueMs - monotonicMs()));
}

onLines(process.stdin, (line) => {
  const [word, value] = line.split(' ');
  if (word === 'every') everyMs = Number(value);
  process.stdout.write(`${JSON.stringify({ answers, stallMs })}\n`);
  answers = [];
  stallMs = 0;
});
process.stdin.on('end', () => process.exit(0));
round();
