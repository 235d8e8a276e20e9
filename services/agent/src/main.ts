/**
 * The agent's process: `main.js --dir DIR`.
 *
 * SIGTERM gives up every group in order and exits; SIGHUP, and the death of the parent, exit at once and touch nothing.
 * Exit status: 0 ended in order; 1 a failure that a restart may mend; 2 the directory or the installation is wrong.
 */

import { parseArgs } from 'node:util';
import type { AgentState } from '@holdfast/core';
import {
  describeProblem,
  errorText,
  isLost,
  nextIncarnation,
  openMemberDirectory,
  withArticle,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { goFirst, optimiseLate } from '@holdfast/wire/process';
import { openJournal, type Journal } from '@holdfast/wire/journal';
import { createLog, type Log } from '@holdfast/wire/log';
import { version } from '@holdfast/wire/version';
import { guardSocketOf, mirrorSocketOf, type Agent } from './agent.ts';
import { createAgent } from './create-agent.ts';
import { readHostAddresses } from './host-addresses.ts';
import { openLifeline, type Lifeline } from './lifeline.ts';
import { choosePlatform } from './platform/index.ts';
import { killTree } from './platform/linux/process-tree.ts';

const flushMs = 200;
const exitWrong = 2;

interface Wishes {
  release: boolean;
  agent: Agent | null;
  journal: Journal | null;
}

async function main(): Promise<void> {
  goFirst('agent');
  optimiseLate();
  const wishes: Wishes = { release: false, agent: null, journal: null };
  const release = (): void => {
    wishes.release = true;
    const self = wishes.agent?.self;
    if (self !== undefined) wishes.agent?.release(`${self} is shutting down`);
  };
  const keep = (): void => {
    void wishes.agent?.keep();
    void leave(wishes.journal, 0);
  };
  const lifeline = openLifeline({
    parentGone: keep,
    asked: (mode) => (mode === 'release' ? release() : keep()),
  });
  process.on('SIGTERM', release);
  process.on('SIGINT', release);
  process.on('SIGHUP', keep);
  const dir = directoryArgument();
  if (dir === null) return wrong(lifeline, 'usage: main.js --dir DIR');
  const opened = await openMemberDirectory(dir);
  if (opened.kind === 'error') return wrong(lifeline, describeProblem(opened.error));
  const directory = opened.value;
  const log = createLog({ process: 'agent', member: directory.record.id });
  const journal = openJournal({
    directory: directory.path,
    process: 'agent',
    onFailure: (error) => log.error('journal', errorText(error)),
  });
  wishes.journal = journal;
  exitOnMistakes(log, journal);
  await run(directory, lifeline, log, journal, wishes);
}

async function run(
  directory: MemberDirectory,
  lifeline: Lifeline,
  log: Log,
  journal: Journal,
  wishes: Wishes,
): Promise<void> {
  const { role } = directory.record;
  if (role !== 'server' && role !== 'witness')
    return wrong(
      lifeline,
      `${directory.path} is of ${withArticle(role)}, and only servers and witnesses run an agent`,
    );
  let state: (() => AgentState) | null = null;
  const warn = (says: string): void => log.warn('platform', says);
  const chosen = choosePlatform({ warn, needs: needsOf(() => state?.() ?? null) });
  if (chosen.kind === 'unsupported') return wrong(lifeline, chosen.says);
  const incarnation = await nextIncarnation(directory.path);
  if (incarnation.kind === 'error') {
    const says = describeProblem(incarnation.error);
    if (isLost(incarnation.error)) return wrong(lifeline, says);
    log.error('state', says);
    return leave(journal, 1);
  }
  const created = await createAgent({
    directory,
    incarnation: incarnation.value,
    version,
    platform: chosen.platform,
    journal,
    log,
    // No process has the id -1: only the mark counts.
    killMarked: (mark) => killTree(-1, mark),
    hostAddresses: readHostAddresses(),
    guardSocket: guardSocketOf(directory),
    mirrorSocket: mirrorSocketOf(directory),
  });
  if (created.kind === 'failed') {
    log.error('start', created.says);
    return leave(journal, 1);
  }
  const { agent } = created;
  state = () => agent.state();
  wishes.agent = agent;
  const lack = await agent.start();
  if (lack !== null) return wrong(lifeline, lack);
  lifeline.ready();
  if (wishes.release) agent.release(`${agent.self} is shutting down`);
  await agent.released;
  await leave(journal, 0);
}

/** What the configuration asks of this host, read each time that the platform looks. */
function needsOf(state: () => AgentState | null) {
  const groups = () => {
    const now = state();
    return [...(now?.config?.groups.values() ?? [])].filter(
      (g) => now !== null && g.servers.includes(now.self),
    );
  };
  return {
    get dns(): boolean {
      return groups().some((g) => g.identity.dns !== null);
    },
    get units(): boolean {
      return groups().some((g) => g.resources.some((r) => r.runs.kind === 'systemd'));
    },
    get hostname(): boolean {
      return groups().some((g) => g.identity.mode === 'replace' && g.identity.hostname !== null);
    },
  };
}

function directoryArgument(): string | null {
  try {
    return parseArgs({ options: { dir: { type: 'string' } } }).values.dir ?? null;
  } catch (error) {
    process.stderr.write(`agent: ${errorText(error)}\n`);
    return null;
  }
}

/** A broken invariant ends the process: the next agent re-attaches, and the guard keeps the deadline meanwhile. */
function exitOnMistakes(log: Log, journal: Journal): void {
  process.on('uncaughtException', (error) => {
    log.error('mistake', error.stack ?? error.message);
    journal.write('mistake', { says: error.stack ?? error.message });
    void leave(journal, 1);
  });
}

async function wrong(lifeline: Lifeline, says: string): Promise<void> {
  process.stderr.write(`agent: ${says}\n`);
  await lifeline.fatal(says);
  process.exit(exitWrong);
}

async function leave(journal: Journal | null, status: number): Promise<void> {
  setTimeout(() => process.exit(status), flushMs);
  await journal?.flush();
  process.exit(status);
}

void main();
