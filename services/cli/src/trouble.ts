/**
 * Why a command did not do what it was asked: one message for a person (what, where, what to do) and the exit status.
 * Expected failures are values here as everywhere; the two constructors are repeated from wire, because a command that
 * speaks with nobody must not load it.
 */
import type { DirectoryProblem, Failed, Ok, Outcome, WireError } from '@holdfast/wire/directory';
import { exitStatus, type ExitStatus } from './exit-status.ts';

export interface Trouble {
  readonly status: ExitStatus;
  readonly says: string;
  /** What to do about it; empty when the message says it already. */
  readonly fix: string;
}

export type Fallible<T> = Outcome<T, Trouble>;
/** How a command ended. */
export type Ended = Fallible<ExitStatus>;

export const ok = <T>(value: T): Ok<T> => ({ kind: 'ok', value });

export function trouble(status: ExitStatus, says: string, fix = ''): Failed<Trouble> {
  return { kind: 'error', error: { status, says, fix } };
}

export const wrong = (says: string, fix = ''): Failed<Trouble> => trouble(exitStatus.wrong, says, fix);

export function directoryTrouble(found: DirectoryProblem): Failed<Trouble> {
  return wrong(`${found.file}: ${found.says}`, `To mend it: ${sentence(found.fix)}`);
}

/** A failed call of a member as exit status and message. `doing`: "apply cluster.yaml", for unknown outcomes. */
export function callTrouble(error: WireError, doing: string): Failed<Trouble> {
  switch (error.kind) {
    case 'unreachable':
      return trouble(exitStatus.unreachable, error.message);
    case 'deadline':
      return trouble(exitStatus.unreachable, error.message, `Nobody knows whether it was done: ${doing}.`);
    case 'certificate':
      return trouble(exitStatus.unreachable, error.message, 'Check --dir and the clocks of both hosts.');
    case 'cancelled':
      return trouble(exitStatus.failed, `${doing} was interrupted`);
    case 'unsafe':
      return trouble(exitStatus.refused, `refused: ${error.message}`);
    case 'refused':
    case 'invalid':
    case 'not-found':
      return wrong(error.message);
    case 'internal':
      return trouble(exitStatus.failed, `${doing}: ${error.message}`);
  }
}

/** A clause with its full stop. Not capitalised: it may begin with the name of a server or of a program. */
export function sentence(clause: string): string {
  return clause === '' || /[.!?]$/.test(clause) ? clause : `${clause}.`;
}

export function troubleText({ says, fix }: Trouble): string {
  const text = says.split('\n').join('\n  ');
  return `holdfast: ${text}\n${fix === '' ? '' : `${fix}\n`}`;
}
