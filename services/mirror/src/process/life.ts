/** The life of the mirror process, from its directory to its end. */

import {
  describeProblem,
  errorText,
  openMemberDirectory,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { createLog, type Log } from '@holdfast/wire/log';
import { listen } from '../transport/listener.ts';
import { fileSides } from './file-sides.ts';
import { openLifeline } from './lifeline.ts';
import { MirrorProcess } from './mirror-process.ts';
import { sidesByKind } from './sides.ts';
import type { SourceThreads } from './source-threads.ts';
import { volumeSides } from './volume-sides.ts';

const exitWrong = 2;
const closeMs = 9_000;

let running: MirrorProcess | null = null;
let stopping = false;

async function stop(status: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  setTimeout(() => process.exit(1), closeMs);
  await running?.close();
  process.exit(status);
}

const lifeline = openLifeline(() => void stop(0));
process.on('SIGTERM', () => void stop(0));
process.on('SIGINT', () => void stop(0));
// `run` asks agents to keep by SIGHUP; a terminal that closes means the same as SIGTERM here.
process.on('SIGHUP', () => void stop(0));

function wrong(says: string): void {
  process.stderr.write(`holdfast mirror: ${says}\n`);
  lifeline.fatal(says);
  void stop(exitWrong);
}

/** A broken invariant ends the process; the next one goes on from what is on disk. */
function fault(log: Log, error: unknown): void {
  log.error('mistake', error instanceof Error ? (error.stack ?? error.message) : errorText(error));
  process.exit(1);
}

async function run(directory: MemberDirectory, threads: SourceThreads): Promise<void> {
  const { record, credentials } = directory;
  const log = createLog({ process: 'mirror', member: record.id });
  process.on('uncaughtException', (error) => fault(log, error));
  running = new MirrorProcess({
    directory,
    log,
    listen: (absent) =>
      listen({
        credentials,
        port: record.ports.mirror,
        says: (sentence) => log.warn('port', sentence),
        absent,
      }),
    sides: (door) => {
      const ports = { directory, log, door };
      return sidesByKind({ files: fileSides(ports), volume: volumeSides(ports, threads) });
    },
    fault: (error) => fault(log, error),
  });
  await running.start();
  lifeline.ready();
}

/** `dir`: DIR. `threads`: begun already. */
export async function live(dir: string, threads: SourceThreads): Promise<void> {
  const opened = await openMemberDirectory(dir);
  if (opened.kind === 'error') wrong(describeProblem(opened.error));
  else await run(opened.value, threads);
}
