/**
 * Runs on a server, whatever owns the address: answers every question with the host's name, and watches which addresses
 * the kernel holds.
 *
 *   node responder.js NAME WATCHED_ADDRESS SAMPLE_MS
 *
 * One line of JSON on standard output whenever the address came or went:
 *   {"held":true,"beforeMs":the last look without it,"atMs":the first look with it}
 * Times are CLOCK_MONOTONIC. It asks the kernel itself (getifaddrs(3), as `ip addr` does), so it sees what really is.
 */
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { answerTo, probePort } from './datagram.ts';
import { monotonicMs } from './lines.ts';

const [name = '', watched = '', sampleMs = '10'] = process.argv.slice(2);
const label = Buffer.from(name);

const socket = createSocket('udp4');
socket.on('message', (asked, from) => {
  const answer = answerTo(asked, label);
  // A client that is cut off meanwhile gets no answer: that is what is measured.
  if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
});
socket.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});

const isHeld = (): boolean =>
  Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === watched));

let held: boolean | null = null;
let beforeMs = monotonicMs();

function look(): void {
  const now = isHeld();
  const atMs = monotonicMs();
  if (now !== held) process.stdout.write(`${JSON.stringify({ held: now, beforeMs, atMs })}\n`);
  held = now;
  beforeMs = atMs;
}

socket.bind(probePort, '0.0.0.0', () => {
  look();
  setInterval(look, Number(sampleMs));
});
process.stdin.on('end', () => process.exit(0)).resume();
