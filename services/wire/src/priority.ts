/**
 * What keeps time goes before what works: a host that is busy with its services, or with a copy, is no host that failed. A renewal
 * or a commit that waits for a core makes a healthy owner fence.
 */
import { setPriority } from 'node:os';

/** Before ordinary programs (0), and behind the guard (-14). */
const niceness = -10;
const usualNiceness = 0;

/**
 * Called first of all: threads and processes that are begun later inherit it. `name` is that of the process; where the system
 * does not allow it (an ordinary user), that is said on standard error, and all stays as it is.
 */
export function goFirst(name: string): void {
  try {
    setPriority(niceness);
  } catch (error) {
    process.stderr.write(`holdfast ${name}: its priority stays as it is: ${String(error)}\n`);
  }
}

/** For a program of other people's, or one that moves data. Called as soon as it was started, so that what it starts inherits it. */
export function goAsUsual(pid: number | undefined): void {
  if (pid === undefined) return; // it could not be started
  try {
    setPriority(pid, usualNiceness);
  } catch {
    return; // it is over already
  }
}
