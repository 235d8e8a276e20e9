/** The responder on a server, as the benchmark handles it. It dies with its host's power and is started again by hand. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { holdings, type Change, type Holding } from './holdings.ts';
import { onLines } from './lines.ts';
import { until } from './until.ts';

const sampleMs = 10;

export interface WatchedServer {
  readonly name: string;
  /** The pid of the responder, or undefined while it does not run. */
  pid(): number | undefined;
  /** When its kernel held the address, since the responder was last started. */
  holdings(): Holding[];
  holdsNow(): boolean;
  /** Idempotent; resolves when it answers. */
  start(): Promise<void>;
  /** Resolves when it is gone. */
  stop(): Promise<void>;
}

export function watchedServer(host: Host, address: string): WatchedServer {
  let child: ChildProcess | undefined;
  let changes: Change[] = [];
  const running = (): boolean => child?.exitCode === null && child.signalCode === null;
  return {
    name: host.name,
    pid: () => (running() ? child?.pid : undefined),
    holdings: () => holdings(changes),
    holdsNow: () => running() && (changes.at(-1)?.held ?? false),
    start: async () => {
      if (running()) return;
      const fresh: Change[] = [];
      const script = join(import.meta.dirname, 'responder.js');
      const spawned = host.spawn([process.execPath, script, host.name, address, `${sampleMs}`], {
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      spawned.on('error', (error) => process.stderr.write(`${error.message}\n`));
      spawned.stdin?.on('error', () => undefined); // it goes with the host's power
      if (spawned.stdout !== null) onLines(spawned.stdout, (line) => fresh.push(JSON.parse(line) as Change));
      child = spawned;
      changes = fresh;
      await until(`the responder on ${host.name} looks at its addresses`, () => fresh.length > 0, {
        limitMs: 10_000,
      });
    },
    stop: async () => {
      child?.kill('SIGKILL');
      await until(`the responder on ${host.name} ends`, () => !running(), { limitMs: 10_000 });
    },
  };
}
