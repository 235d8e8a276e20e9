/**
 * From the words of a command line to an exit status. Whatever goes wrong is one message on standard error: what, where,
 * what to do. Only HOLDFAST_DEBUG shows stack traces.
 */
import { CommanderError, type Command } from 'commander';
import { connectAdmin } from './member-connection.ts';
import type { Surroundings } from './context.ts';
import { exitStatus, type ExitStatus } from './exit-status.ts';
import { program } from './program.ts';
import { processTerminal } from './terminal.ts';
import { troubleText } from './trouble.ts';

/** The real surroundings. */
export function processSurroundings(): Surroundings {
  const stop = new AbortController();
  let listens = false;
  return {
    // Whoever watches ends, as with Ctrl-C.
    terminal: processTerminal(() => stop.abort()),
    env: process.env,
    connect: connectAdmin,
    now: () => Date.now(),
    interruption: () => {
      if (!listens) stopOnSignals(stop);
      listens = true;
      return stop.signal;
    },
    readInput: async () => {
      const { buffer } = await import('node:stream/consumers');
      return buffer(process.stdin);
    },
  };
}

/** The first Ctrl-C asks; a second one ends the process as usual. */
function stopOnSignals(stop: AbortController): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
}

/** Runs one command line. Never throws for what a person or the network did. */
export async function runCommandLine(
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<ExitStatus> {
  const { terminal, env } = surroundings;
  const { root, ended } = program(surroundings);
  try {
    if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
      await root.parseAsync(['version'], { from: 'user' });
    } else await root.parseAsync([...withoutHelpOnNothing(argv, root)], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return usageStatus(error);
    const { unexpected } = await import('./unexpected.ts');
    return unexpected(error, terminal, env);
  }
  const end = ended();
  if (end === null) return exitStatus.wrong;
  if (end.kind === 'ok') return end.value;
  terminal.err(troubleText(end.error));
  return end.error.status;
}

/** `help NAME` of a command that is none is refused as NAME itself: in words, and with the nearest that there is. */
function withoutHelpOnNothing(argv: readonly string[], root: Command): readonly string[] {
  const at = argv.indexOf('help');
  const name = argv[at + 1];
  if (at < 0 || at > 1 || name === undefined || name === 'help' || name.startsWith('-')) return argv;
  const commands =
    at === 0 ? root.commands : (root.commands.find((c) => c.name() === argv[0])?.commands ?? []);
  if (commands.length === 0 || commands.some((command) => command.name() === name)) return argv;
  return [...argv.slice(0, at), name];
}

/** Help that was asked for ends with 0, help because nothing was asked with another status. */
const usageStatus = ({ exitCode }: CommanderError): ExitStatus =>
  exitCode === 0 ? exitStatus.done : exitStatus.wrong;

export async function main(argv: readonly string[]): Promise<void> {
  const status = await runCommandLine(argv, processSurroundings());
  process.exitCode = status;
  // What is written to a pipe on Windows is written later: end only when it is out.
  await Promise.all(
    [process.stdout, process.stderr].map((stream) => new Promise((done) => stream.write('', done))),
  );
  process.exit(status);
}
