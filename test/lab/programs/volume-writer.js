// Runs on the owner's host: writes to an export as a database would that connects again by itself, and tells every answer.
//
//   volume-writer.js SOCKET NAME BLOCKS [EVERY_MS]
//
// Block n mod BLOCKS gets the number n, one write of 4 KiB after the other, each with FUA; with EVERY_MS one in that many
// milliseconds, without. A line of JSON for each answer:
// {"number": n, "at": ms, "tookMs": ms}; times are CLOCK_MONOTONIC. What was not answered is written again after a loss of
// the connection. An error that the server answers with ends it: {"error": code}.
import { connect } from 'node:net';

const [socketPath = '', name = '', blocks = '0', everyMs = ''] = process.argv.slice(2);
const blockBytes = 4_096;
const againMs = 20;
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
const tell = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

let number = 0;
let sentAt = monotonicMs();

function request(n) {
  const message = Buffer.alloc(28 + blockBytes, n % 251);
  message.writeUInt32BE(0x25609513, 0);
  message.writeUInt16BE(everyMs === '' ? 1 : 0, 4); // FUA
  message.writeUInt16BE(1, 6); // write
  message.writeBigUInt64BE(BigInt(n), 8);
  message.writeBigUInt64BE(BigInt((n % Number(blocks)) * blockBytes), 16);
  message.writeUInt32BE(blockBytes, 24);
  message.writeBigUInt64BE(BigInt(n), 28);
  return message;
}

/** Fixed newstyle, with EXPORT_NAME: 18 bytes of greeting, then 10 of size and flags. */
function run() {
  const socket = connect(socketPath);
  let bytes = Buffer.alloc(0);
  let phase = 'greeting';
  const take = (count) => {
    const taken = bytes.subarray(0, count);
    bytes = bytes.subarray(count);
    return taken;
  };
  socket.on('data', (chunk) => {
    bytes = Buffer.concat([bytes, chunk]);
    if (phase === 'greeting' && bytes.length >= 18) {
      take(18);
      phase = 'size';
      const hello = Buffer.alloc(4 + 16 + name.length);
      hello.writeUInt32BE(3, 0);
      hello.write('IHAVEOPT', 4);
      hello.writeUInt32BE(1, 12);
      hello.writeUInt32BE(name.length, 16);
      hello.write(name, 20);
      socket.write(hello);
    }
    if (phase === 'size' && bytes.length >= 10) {
      take(10);
      phase = 'writing';
      socket.write(request(number));
    }
    while (phase === 'writing' && bytes.length >= 16) answered(socket, take(16));
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => setTimeout(run, againMs));
}

function answered(socket, reply) {
  const error = reply.readUInt32BE(4);
  if (error !== 0) {
    tell({ error });
    process.exit(0);
  }
  const at = monotonicMs();
  tell({ number, at, tookMs: at - sentAt });
  number += 1;
  const next = () => {
    sentAt = monotonicMs();
    socket.write(request(number));
  };
  if (everyMs === '') next();
  else setTimeout(next, Number(everyMs));
}

run();
