/**
 * The guard's process: `main.js --socket PATH [--journal FILE]`.
 *
 * It needs no parent and writes to no inherited stream after its start. SIGHUP is ignored; SIGTERM and SIGINT end it
 * only while nothing is armed. Exit status: 0 ended in order, 2 wrong command line or no socket, 3 another guard
 * answers at the socket.
 */

import { writeFileSync } from 'node:fs';
import { constants as priorities, setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { bootClock } from './boot-clock.ts';
import { runCommand } from './commands.ts';
import { Guard } from './guard.ts';
import { Journal } from './journal.ts';
import { listen, type GuardSocket } from './socket.ts';
import { WatchdogDevice } from './watchdog.ts';

const flushMs = 1_000;

interface Options {
  readonly socket: string;
  readonly journal: string | null;
}

function parseCommandLine(args: string[]): Options | null {
  try {
    const { values } = parseArgs({
      args,
      options: { socket: { type: 'string' }, journal: { type: 'string' } },
    });
    return values.socket === undefined ? null : { socket: values.socket, journal: values.journal ?? null };
  } catch (error) {
    process.stderr.write(`guard: ${String(error)}\n`);
    return null;
  }
}

/** Be the last to be killed for memory and among the first to run. Where that is not allowed, go on without. */
function standFirm(): string[] {
  const lacks: string[] = [];
  const attempt = (what: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      lacks.push(`${what}: ${String(error)}`);
    }
  };
  if (process.platform === 'linux') {
    attempt('oom_score_adj', () => writeFileSync('/proc/self/oom_score_adj', '-1000'));
  }
  attempt('priority', () => setPriority(0, priorities.priority.PRIORITY_HIGH));
  return lacks;
}

async function main(): Promise<void> {
  const options = parseCommandLine(process.argv.slice(2));
  if (options === null) {
    process.stderr.write('guard: usage: main.js --socket PATH [--journal FILE]\n');
    process.exitCode = 2;
    return;
  }
  // Whoever reads these may be gone, and an error nobody listens for would end the guard.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
  const bootMs = bootClock();
  const journal = new Journal(options.journal);
  let socket: GuardSocket | null = null;
  const guard = new Guard({
    bootMs,
    run: runCommand,
    send: (client, message) => socket?.send(client, message),
    sendAll: (message) => socket?.sendAll(message),
    exit: () => {
      guard.close();
      socket?.close();
      void journal.flush(flushMs).then(() => process.exit(0));
    },
    watchdog: new WatchdogDevice(),
    journal,
  });
  // Before the socket is there: a signal must not find the guard without its handlers.
  process.on('SIGHUP', () => undefined);
  for (const signal of ['SIGTERM', 'SIGINT'])
    process.on(signal, () => guard.feed({ kind: 'signal', signal }));
  const listening = await listen(options.socket, {
    onLine: (client, line) => guard.line(client, line),
    onGarbage: (lines) => guard.garbage(lines),
  });
  if (listening.kind !== 'listening') {
    guard.close();
    process.stderr.write(`guard: ${listening.says}\n`);
    process.exitCode = listening.kind === 'taken' ? 3 : 2;
    return;
  }
  socket = listening.socket;
  // A guard that dies of a mistake guards nothing. Its state is replaced only by whole decisions, so it is sound.
  process.on('uncaughtException', (error) => {
    journal.write({ bootMs: bootMs(), kind: 'error', says: error.stack ?? error.message });
  });
  const lacks = standFirm();
  journal.write({ bootMs: bootMs(), kind: 'started', says: [`pid ${process.pid}`, ...lacks].join('; ') });
}

void main();
