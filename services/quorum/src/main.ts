/**
 * `node main.js --dir DIR`: the quorum process, started by `holdfast run`. Exit status: 0 ended in order; 1 a failure that a
 * restart may mend; 2 the directory or the installation is wrong.
 */

import { parseArgs } from 'node:util';
import { describeProblem, openMemberDirectory } from '@holdfast/wire/directory';
import { goFirst, optimiseLate } from '@holdfast/wire/process';
import { openLifeline } from './lifeline.ts';
import { QuorumProcess, StartFailure } from './process.ts';

const { values } = parseArgs({ options: { dir: { type: 'string', default: '/var/lib/holdfast' } } });
const exitWrong = 2;

let running: QuorumProcess | null = null;
let stopping = false;

async function stop(status: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  const overdue = setTimeout(() => process.exit(1), 10_000);
  await running?.close();
  clearTimeout(overdue);
  process.exit(status);
}

goFirst('quorum'); // and with it etcd
optimiseLate();
const lifeline = openLifeline(() => void stop(0));
process.on('SIGTERM', () => void stop(0));
process.on('SIGINT', () => void stop(0));

function wrong(says: string): void {
  process.stderr.write(`holdfast quorum: ${says}\n`);
  lifeline.fatal(says);
  void stop(exitWrong);
}

/** It is started again. */
function failed(says: string): void {
  process.stderr.write(`holdfast quorum: ${says}\n`);
  void stop(1);
}

async function start(): Promise<void> {
  const directory = await openMemberDirectory(values.dir);
  if (directory.kind === 'error') {
    wrong(describeProblem(directory.error));
    return;
  }
  running = new QuorumProcess(directory.value);
  try {
    await running.start();
    lifeline.ready();
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    if (error.hopeless) wrong(error.message);
    else failed(error.message);
  }
}

void start();
