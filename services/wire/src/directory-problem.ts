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

/** What a member does that forgot what it voted for or promised: its vote can't be given back to it, only a new one. */
export const joinAnew =
  'apply a configuration without this member, stop holdfast here, run `holdfast remove` for it on another member, ' +
  'and join again with a new token and an empty --dir';

/** One file that never changes, or little. An older copy of the whole directory is one that forgot. */
export const putBack = `put this one file back, never the whole directory from a backup; or ${joinAnew}`;

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

/** No start finds it another time, until a person did something. */
export const isLost = ({ kind }: DirectoryProblem): boolean => kind === 'missing' || kind === 'invalid';

/** A failed read or write of a file, by what the system said. */
export function systemProblem(
  doing: 'read' | 'write',
  file: string,
  error: unknown,
): Failed<DirectoryProblem> {
  const kind = doing === 'read' ? 'unreadable' : 'unwritable';
  switch (errorCode(error)) {
    case 'ENOENT':
      return doing === 'read'
        ? problem('missing', file, 'is missing', putBack)
        : problem(
            'missing',
            file,
            "can't be written: its folder is missing",
            'look whether its disk is mounted',
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
