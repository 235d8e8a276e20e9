/** What a script learns from the exit status. */
export const exitStatus = {
  done: 0,
  /** The operation failed or was rolled back. */
  failed: 1,
  /** The command or the file is wrong. */
  wrong: 2,
  /** No member could be reached. */
  unreachable: 3,
  /** A safety rule says no. */
  refused: 4,
  /** Still running when --wait ended. */
  running: 5,
} as const;

/** A program that `lab exec` ran has a status of its own, hence any number. */
export type ExitStatus = number;

export const exitStatusHelp = `Exit status: 0 done, 1 the operation failed, 2 the command or the file is wrong, 3 no member reachable,
4 refused by a safety rule, 5 still running when --wait ended.`;
