/** What nobody expected: the lab's own errors, a full disk, a bug. One message, and a trace only on request. */
import { LabError } from '@holdfast/lab';
import { exitStatus, type ExitStatus } from './exit-status.ts';
import type { Surroundings } from './context.ts';
import type { Terminal } from './terminal.ts';
import { troubleText } from './trouble.ts';

export function unexpected(error: unknown, terminal: Terminal, env: Surroundings['env']): ExitStatus {
  if (error instanceof LabError) {
    terminal.err(
      troubleText({ status: exitStatus.failed, says: `${error.what}: ${error.says}`, fix: error.fix }),
    );
    return exitStatus.failed;
  }
  const says = error instanceof Error ? error.message : String(error);
  const debugging = (env['HOLDFAST_DEBUG'] ?? '') !== '';
  const fix = debugging ? '' : 'This should not happen; HOLDFAST_DEBUG=1 shows where, for a report.';
  terminal.err(troubleText({ status: exitStatus.failed, says: `unexpected: ${says}`, fix }));
  if (debugging && error instanceof Error) terminal.err(`${error.stack ?? ''}\n`);
  return exitStatus.failed;
}
