/** Where a command speaks. Answers go to `out`, explanations and errors to `err`. */

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

export function processTerminal(): Terminal {
  const { stdout, stderr, env } = process;
  for (const stream of [stdout, stderr]) {
    // The reader went away (holdfast events | head): there is nobody left to tell.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
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
