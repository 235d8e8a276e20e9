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
      return stdout.isTTY ? stdout.columns : 120;
    },
    get rows() {
      return stdout.isTTY ? stdout.rows : 50;
    },
    out: (text) => stdout.write(text),
    err: (text) => stderr.write(text),
  };
}
