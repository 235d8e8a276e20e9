/** What can be wrong with a member's directory: which file, what is wrong, and what a person can do about it. */
import { errorCode, errorText, failed, type Failed } from './outcome.ts';

export type DirectoryProblemKind =
  | 'not-a-member'
  | 'already-a-member'
  | 'not-empty'
  | 'missing'
  | 'unreadable'
  | 'permissions'
  | 'invalid'
  | 'mismatch'
  | 'unwritable'
  | 'locked';

export interface DirectoryProblem {
  readonly kind: DirectoryProblemKind;
  readonly file: string;
  readonly says: string;
  readonly fix: string;
}

export function problem(
  kind: DirectoryProblemKind,
  file: string,
  says: string,
  fix: string,
): Failed<DirectoryProblem> {
  return failed({ kind, file, says, fix });
}

export function describeProblem(found: DirectoryProblem): string {
  return `${found.file}: ${found.says}; ${found.fix}`;
}

/** A failed read or write of a file, by what the system said. */
export function systemProblem(
  doing: 'read' | 'write',
  file: string,
  error: unknown,
): Failed<DirectoryProblem> {
  const kind = doing === 'read' ? 'unreadable' : 'unwritable';
  switch (errorCode(error)) {
    case 'ENOENT':
      return problem(
        'missing',
        file,
        'is missing',
        'restore the directory from a backup, or remove it and join again',
      );
    case 'EACCES':
    case 'EPERM':
      return problem(
        kind,
        file,
        `may not be ${doing === 'read' ? 'read' : 'written'}`,
        'run as the user who owns it',
      );
    case 'ENOSPC':
    case 'EDQUOT':
      return problem(kind, file, 'no space is left on the disk', 'make space and try again');
    case 'EROFS':
      return problem(kind, file, 'is on a read-only file system', 'mount it for writing and try again');
    case 'ENOTDIR':
    case 'EISDIR':
      return problem(
        kind,
        file,
        'is not what it should be: a file where a folder belongs, or the reverse',
        'check --dir',
      );
    default:
      return problem(kind, file, errorText(error), 'mend what the system reports and try again');
  }
}
