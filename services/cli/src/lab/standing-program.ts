/**
 * Runs on a host of a lab for as long as its input is open: command lines that only read, each a line of JSON {id, args},
 * answered by {id, status, stdout, stderr}. They are the real ones, without the start of a process for each.
 */
import { createInterface } from 'node:readline';
import { connectAdmin } from '../member-connection.ts';
import { runCommandLine } from '../main.ts';
import type { Asked, Told } from './standing.ts';

async function answer({ id, args }: Asked): Promise<Told> {
  let stdout = '';
  let stderr = '';
  const status = await runCommandLine(args, {
    terminal: {
      isTty: false,
      colours: false,
      columns: 120,
      rows: 50,
      out: (text) => (stdout += text),
      err: (text) => (stderr += text),
    },
    env: process.env,
    connect: connectAdmin,
    now: () => Date.now(),
    interruption: () => new AbortController().signal,
    readInput: () => Promise.resolve(new Uint8Array()),
  });
  return { id, status, stdout, stderr };
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    void answer(JSON.parse(line) as Asked).then((told) => process.stdout.write(`${JSON.stringify(told)}\n`));
  })
  .on('close', () => process.exit(0));
