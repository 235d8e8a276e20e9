// Runs on a host of the lab: tells every change of the addresses that its kernel holds, and answers questions over UDP
// with the host's name, whatever address they were sent to.
//
//   kernel-watch.js NAME SAMPLE_MS
//
// One line of JSON per change: {"beforeMs": last look at the former list, "atMs": first look at this one, "addresses": [...]}
// Times are CLOCK_MONOTONIC, which all hosts of a lab share. getifaddrs(3) asks the kernel itself. Ends with its input.
import { createSocket } from 'node:dgram';
import { networkInterfaces, setPriority } from 'node:os';

const [name = '', sampleMs = '10'] = process.argv.slice(2);
try {
  // Looks that a busy host delays leave open what a move did between them.
  setPriority(-20);
} catch {
  // Without the right to that it looks as late as everybody else.
}
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;

function held() {
  const all = Object.values(networkInterfaces()).flat();
  return all
    .filter((each) => !each.internal && !each.address.startsWith('fe80:'))
    .map((each) => each.address)
    .sort();
}

let last = null;
let beforeMs = monotonicMs();
function look() {
  const addresses = held();
  const atMs = monotonicMs();
  const text = addresses.join(' ');
  if (text !== last) process.stdout.write(`${JSON.stringify({ beforeMs, atMs, addresses })}\n`);
  last = text;
  beforeMs = atMs;
}

const socket = createSocket({ type: 'udp6', ipv6Only: false });
// A client that is cut off meanwhile gets no answer: that is what is being watched.
socket.on('message', (asked, from) =>
  socket.send(JSON.stringify({ asked: asked.toString(), server: name }), from.port, from.address, () => {}),
);
socket.on('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
socket.bind(9000, '::', () => {
  look();
  setInterval(look, Number(sampleMs));
});
process.stdin.on('end', () => process.exit(0)).resume();
