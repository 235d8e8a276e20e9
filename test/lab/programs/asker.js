// Runs on the client's host: asks each target on a period and tells every answer.
//
//   asker.js EVERY_MS TARGET...      a TARGET is udp:ADDRESS (kernel-watch.js answers) or http:ADDRESS (the lab's service)
//
// Lines of JSON, at most one per 50 ms: {"answers": [[target, sentMs, answeredMs, server, epoch or null, found, last]...]}, in
// the order in which the answers came. found and last are numbers of records, where the service keeps any (else 0). Times are CLOCK_MONOTONIC. A question without an answer costs nothing and delays nothing.
import { createSocket } from 'node:dgram';
import { get } from 'node:http';

const [everyMs = '25', ...targets] = process.argv.slice(2);
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
const httpLimitMs = 400;
const openMax = 2_000;

let answers = [];
let number = 0;
const sent = new Map();
const heard = (target, sentMs, server, epoch, found = 0, last = 0) =>
  answers.push([target, sentMs, monotonicMs(), server, epoch, found, last]);

const sockets = { 4: createSocket('udp4'), 6: createSocket('udp6') };
for (const socket of Object.values(sockets)) {
  socket.on('message', (text) => {
    const { asked, server } = JSON.parse(text.toString());
    const question = sent.get(Number(asked));
    if (question === undefined) return;
    sent.delete(Number(asked));
    heard(question.target, question.sentMs, server, null);
  });
  // Nobody holds the address now: no answer, and nothing else.
  socket.on('error', () => {});
}

function ask(target) {
  const colon = target.indexOf(':');
  const [kind, address] = [target.slice(0, colon), target.slice(colon + 1)];
  const sentMs = monotonicMs();
  if (kind === 'udp') {
    number += 1;
    sent.set(number, { target, sentMs });
    sent.delete(number - openMax);
    sockets[address.includes(':') ? 6 : 4].send(String(number), 9000, address, () => {});
    return;
  }
  const host = address.includes(':') ? `[${address}]` : address;
  const request = get(`http://${host}:8080/`, { agent: false }, (response) => {
    let text = '';
    response.on('error', () => {});
    response.on('data', (chunk) => (text += chunk));
    response.on('end', () => {
      try {
        const { server, epoch, found, last } = JSON.parse(text);
        heard(target, sentMs, server, epoch, found?.number, last?.number);
      } catch {
        // cut off in the middle: no answer
      }
    });
  });
  request.on('error', () => {});
  // A limit for the whole exchange: a frozen server may have taken the connection.
  const limit = setTimeout(() => request.destroy(), httpLimitMs);
  request.on('close', () => clearTimeout(limit));
}

setInterval(() => targets.forEach(ask), Number(everyMs));
setInterval(() => {
  if (answers.length === 0) return;
  process.stdout.write(`${JSON.stringify({ answers })}\n`);
  answers = [];
}, 50);
process.stdin.on('end', () => process.exit(0)).resume();
