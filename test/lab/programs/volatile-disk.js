// A disk with a cache that loses what was not flushed: an NBD server whose power can be cut.
//
//   volatile-disk.js SOCKET IMAGE MIB SEED
//
// It serves IMAGE as an export of MIB mebibytes. "hold" on standard input: from the next flush on that finds a few writes in
// the cache ("held") nothing is answered. "cut" cuts the power ("off"): each write since the last flush is kept, lost or torn
// (some of its sectors arrive), each by itself, and every client gets errors from then on. Prints "ready", and at the end of
// standard input, which ends it, {"kept": n, "lost": n, "torn": n, "late": n}: writes in the cache by their fate, and those
// that somebody still had in memory and that came too late.
// Protocol: NBD, doc/proto.md, fixed newstyle, simple replies.
import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const [socketPath, image, mib, seed] = process.argv.slice(2);
const size = Number(mib) * 2 ** 20;
const sectorBytes = 512;
// A cache is finite: what is older has been written out by itself.
const cacheBytesMax = 64 * 2 ** 20;
const [cmdRead, cmdWrite, cmdDisconnect, cmdFlush] = [0, 1, 2, 3];
const fua = 1;
// As a disk that turns.
const flushMs = 8;
const holdsAtMax = 6;
const [eIo, eInvalid] = [5, 22];
// Has flags, flush, FUA.
const flags = 1 | 4 | 8;

const fd = openSync(image, 'a+');
closeSync(fd);
const disk = openSync(image, 'r+');
ftruncateSync(disk, size);

// What is in the cache only: where, what came, and what lies below it on the platter.
let pending = [];
let pendingBytes = 0;
let off = false;
// So many writes in the cache; 0: it does not hold.
let holdsAt = 0;
let held = false;
let powerless = () => undefined;
const untilOff = new Promise((resolve) => (powerless = resolve));
const fates = { kept: 0, lost: 0, torn: 0, late: 0 };

// Knuth's, as the upper half of a 32-bit product.
let state = Number(seed) >>> 0;
function below(count) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * count);
}

function readAt(offset, length) {
  const bytes = Buffer.allocUnsafe(length);
  readSync(disk, bytes, 0, length, offset);
  return bytes;
}

async function flush() {
  const covered = new Set(pending);
  if (holdsAt > 0 && covered.size >= holdsAt && !held) {
    held = true;
    process.stdout.write('held\n');
    await untilOff;
  }
  await sleep(flushMs);
  if (off) return;
  pending = pending.filter((one) => !covered.has(one));
  pendingBytes = pending.reduce((sum, { bytes }) => sum + bytes.length, 0);
}

function write(offset, bytes) {
  pending.push({ offset, bytes, before: readAt(offset, bytes.length) });
  pendingBytes += bytes.length;
  writeSync(disk, bytes, 0, bytes.length, offset);
  while (pendingBytes > cacheBytesMax) pendingBytes -= pending.shift().bytes.length;
}

function cut() {
  off = true;
  powerless();
  for (const { offset, before } of pending.toReversed()) writeSync(disk, before, 0, before.length, offset);
  for (const { offset, bytes } of pending) {
    const fate = ['kept', 'lost', 'torn'][below(3)];
    fates[fate] += 1;
    for (let at = 0; at < bytes.length; at += sectorBytes)
      if (fate === 'kept' || (fate === 'torn' && below(2) === 0))
        writeSync(disk, bytes, at, Math.min(sectorBytes, bytes.length - at), offset + at);
  }
  pending = [];
}

// Parts of a stream, by their length.
class Incoming {
  #chunks = [];
  #length = 0;
  #wanted = null;

  push(chunk) {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    this.#serve();
  }

  take(length) {
    return new Promise((resolve) => {
      this.#wanted = { length, resolve };
      this.#serve();
    });
  }

  #serve() {
    if (this.#wanted === null || this.#length < this.#wanted.length) return;
    const { length, resolve } = this.#wanted;
    this.#wanted = null;
    const all = Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(length)];
    this.#length -= length;
    resolve(all.subarray(0, length));
  }
}

const optionMagic = 0x0003e889045565a9n;
const [optExportName, optAbort, optInfo, optGo] = [1, 2, 6, 7];
const [repAck, repInfo, repUnknown] = [1, 3, 2 ** 31 + 1];

function exported() {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64BE(BigInt(size), 0);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

// True: requests follow.
async function handshake(socket, incoming) {
  socket.write(Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT'), Buffer.from([0, 3])]));
  const noZeroes = ((await incoming.take(4)).readUInt32BE(0) & 2) !== 0;
  for (;;) {
    const header = await incoming.take(16);
    const option = header.readUInt32BE(8);
    await incoming.take(header.readUInt32BE(12));
    const reply = (kind, data = Buffer.alloc(0)) => {
      const head = Buffer.alloc(20);
      head.writeBigUInt64BE(optionMagic, 0);
      head.writeUInt32BE(option, 8);
      head.writeUInt32BE(kind, 12);
      head.writeUInt32BE(data.length, 16);
      socket.write(Buffer.concat([head, data]));
    };
    if (option === optExportName) {
      socket.write(Buffer.concat([exported(), Buffer.alloc(noZeroes ? 0 : 124)]));
      return true;
    }
    if (option === optInfo || option === optGo) {
      reply(repInfo, Buffer.concat([Buffer.from([0, 0]), exported()]));
      reply(repAck);
      if (option === optGo) return true;
    } else if (option === optAbort) {
      reply(repAck);
      return false;
    } else reply(repUnknown);
  }
}

async function answer(type, command, offset, length, contents) {
  if (held) await untilOff;
  if (off && type === cmdWrite) fates.late += 1;
  if (off) return [eIo];
  if (offset + length > size) return [eInvalid];
  if (type === cmdRead) return [0, readAt(offset, length)];
  if (type === cmdWrite) write(offset, Buffer.from(contents));
  else if (type !== cmdFlush) return [eInvalid];
  // All of the cache: more than has to be.
  if (type === cmdFlush || (command & fua) !== 0) await flush();
  return [off ? eIo : 0];
}

async function carryOut(socket, header, contents) {
  const [command, type] = [header.readUInt16BE(4), header.readUInt16BE(6)];
  const [offset, length] = [Number(header.readBigUInt64BE(16)), header.readUInt32BE(24)];
  const [error, data = Buffer.alloc(0)] = await answer(type, command, offset, length, contents);
  const head = Buffer.alloc(16);
  head.writeUInt32BE(0x67446698, 0);
  head.writeUInt32BE(error, 4);
  header.copy(head, 8, 8, 16);
  socket.write(Buffer.concat([head, data]));
}

async function serve(socket) {
  const incoming = new Incoming();
  socket.on('data', (chunk) => incoming.push(chunk));
  socket.on('error', () => socket.destroy());
  if (!(await handshake(socket, incoming))) return socket.end();
  for (;;) {
    const header = Buffer.from(await incoming.take(28));
    const type = header.readUInt16BE(6);
    if (type === cmdDisconnect) return socket.end();
    const contents = type === cmdWrite ? await incoming.take(header.readUInt32BE(24)) : null;
    void carryOut(socket, header, contents);
  }
}

const server = createServer((socket) => void serve(socket));
server.listen(socketPath, () => process.stdout.write('ready\n'));
process.stdin.on('data', (said) => {
  if (said.toString().includes('hold')) holdsAt = 1 + below(holdsAtMax);
  if (!said.toString().includes('cut') || off) return;
  cut();
  process.stdout.write('off\n');
});
process.stdin.on('end', () => process.stdout.write(`${JSON.stringify(fates)}\n`, () => process.exit(0)));
