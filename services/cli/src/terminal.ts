/**
 * Where a command speaks. Answers go to `out`, explanations and errors to `err`.
 *
 * T1. A reader who goes away is told nothing more, and changes nothing: what was begun keeps its exit status.
 * T2. An answer that can't be written, as on a full disk, is a failure.
 */
import { exitStatus } from './exit-status.ts';

export interface Terminal {
  /** A person looks at `out`. */
  readonly isTty: boolean;
  readonly colours: boolean;
  readonly columns: number;
  readonly rows: number;
  out(text: string): void;
  err(text: string): void;
}

/** NO_COLOR: https://no-color.org. */
function wantsColour(isTty: boolean, env: NodeJS.ProcessEnv): boolean {
  return isTty && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** A terminal without a size (a serial line, script(1)) says 0; a pipe says nothing. */
const sizeOr = (size: number | undefined, otherwise: number): number =>
  size === undefined || size === 0 ? otherwise : size;

/** `unread`: called when nobody reads `out` any more (holdfast events --follow | head). */
export function processTerminal(unread: () => void): Terminal {
  const { stdout, stderr, env } = process;
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') {
      unread(); // T1
      return;
    }
    stderr.write(`holdfast: the answer can't be written: ${error.message}\n`);
    process.exit(exitStatus.failed); // T2
  });
  // There is nowhere left to say it.
  stderr.on('error', () => undefined);
  return {
    isTty: stdout.isTTY,
    colours: wantsColour(stdout.isTTY, env),
    get columns() {
      return sizeOr(stdout.columns, 120);
    },
    get rows() {
      return sizeOr(stdout.rows, 50);
    },
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
  };
}
