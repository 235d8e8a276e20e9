/** Where `run` speaks: one line when all is ready to standard output, everything else to standard error. */

export interface RunOutput {
  readonly isTerminal: boolean;
  say(line: string): void;
  warn(line: string): void;
}

export function terminalOutput(): RunOutput {
  // A terminal that went away, or a full disk beneath a log, must not end the member, as it ends other commands (terminal.ts).
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.on('error', () => undefined);
  }
  return {
    isTerminal: process.stderr.isTTY,
    say: (line) => process.stdout.write(`${line}\n`),
    warn: (line) => process.stderr.write(`${line}\n`),
  };
}
