#!/usr/bin/env node
// The service that `holdfast lab up` protects: answers every HTTP request with the server it runs on and the epoch under
// which it was started. Used as the commands of a resource:
//
//   lab-service.js start|stop --state FOLDER [--port 8080] [--data FOLDER]
//
// With --data it writes numbered records into that folder all the time, and each answer also names the last record that it
// wrote and the last that it found when it started (lab-journal.js).
// start returns when the port is open, stop when the process has ended; both may be repeated. Whether it runs is told by
// lab-service-status.sh.
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, get } from 'node:http';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startJournal } from './lab-journal.js';

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: 'string', default: '/run/holdfast-lab' },
    port: { type: 'string', default: '8080' },
    data: { type: 'string' },
  },
});
const port = Number(values.port);
const pidFile = join(values.state, `service-${port}.json`);
const limitMs = 4000;

// A pid alone may meanwhile be another's: its start time (field 22 of /proc/PID/stat) tells.
function startOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? null : fields[19];
  } catch {
    return null; // no such process
  }
}

function running() {
  try {
    const { pid, start } = JSON.parse(readFileSync(pidFile, 'utf8'));
    return startOf(pid) === start ? pid : null;
  } catch {
    return null; // never started, or half-written by a start that was killed
  }
}

/** True when that very process answers: another program may have the port. */
const answers = (pid) =>
  new Promise((tell) => {
    const request = get({ host: '127.0.0.1', port, timeout: 500 }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk)).on('end', () => tell(text.includes(`"pid":${pid}}`)));
    });
    request.on('error', () => tell(false)).on('timeout', () => request.destroy());
  });

async function until(condition, what) {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`${what} within ${limitMs} ms`);
    await new Promise((next) => setTimeout(next, 20));
  }
}

function serve() {
  const epoch = process.env['HOLDFAST_EPOCH'] ?? null;
  const journal = values.data === undefined ? undefined : startJournal(values.data, hostname(), epoch);
  const body = () => {
    const records = journal === undefined ? {} : { found: journal.found, last: journal.last };
    return `${JSON.stringify({ server: hostname(), epoch, ...records, pid: process.pid })}\n`;
  };
  const server = createServer((_request, response) => {
    // One answer per connection: a client that keeps one open would not notice that the service has moved.
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body());
  });
  process.on('SIGTERM', () => process.exit(0));
  // '::' takes IPv4 as well; a kernel without IPv6 has no '::'.
  server.on('error', (error) => {
    if (error.code === 'EAFNOSUPPORT') server.listen(port, '0.0.0.0');
    else throw error;
  });
  server.listen(port, '::');
}

async function start() {
  if (running() === null) {
    mkdirSync(values.state, { recursive: true });
    const script = fileURLToPath(import.meta.url);
    const args = [script, 'serve', '--state', values.state, '--port', values.port];
    if (values.data !== undefined) args.push('--data', values.data);
    const child = spawn(process.execPath, args, { detached: true, stdio: 'ignore' });
    child.unref();
    writeFileSync(pidFile, JSON.stringify({ pid: child.pid, start: startOf(child.pid) }));
  }
  await until(async () => {
    const pid = running();
    if (pid === null) throw new Error(`the service ended; is port ${port} in use?`);
    return answers(pid);
  }, `the service did not answer on port ${port}`);
}

async function stop() {
  const pid = running();
  if (pid !== null) {
    process.kill(pid, 'SIGTERM');
    await until(() => running() === null, `process ${pid} did not end`);
  }
  rmSync(pidFile, { force: true });
}

switch (positionals[0]) {
  case 'serve':
    serve();
    break;
  case 'start':
    await start();
    break;
  case 'stop':
    await stop();
    break;
  default:
    process.stderr.write('usage: lab-service.js start|stop --state FOLDER [--port PORT] [--data FOLDER]\n');
    process.exitCode = 2;
}
