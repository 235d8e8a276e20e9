/** Says what accept(2) answers while no descriptor is left, and after one was given back. Started with few of them. */
import { closeSync, openSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { acceptUnix, listenUnix } from '../src/os/unix-socket.ts';

const path = process.argv[2] ?? '';
const listening = listenUnix(path);
const client = connect(path);
await new Promise((resolve) => client.once('connect', resolve));
const open: number[] = [];
try {
  for (;;) open.push(openSync('/dev/null', 'r'));
} catch {
  // That was the last one.
}
const full = acceptUnix(listening);
for (const fd of open) closeSync(fd);
await delay(0);
const then = acceptUnix(listening);
process.stdout.write(`${String(full)}, then ${typeof then}`);
process.exit(0);
