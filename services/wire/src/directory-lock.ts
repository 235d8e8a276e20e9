/**
 * One `run` per directory.
 *
 * L1. The lock never outlives its process: it is an abstract Unix socket named after the folder's inode, which the
 *     kernel drops with the process, however that ends (unix(7), "abstract").
 * L2. Abstract names are per network namespace, so that the holder's pid and start time are also written down
 *     (proc(5), stat field 22); a holder in another namespace is found by them. A pid that was reused has another start.
 */
import { readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import * as z from 'zod/mini';
import { problem, systemProblem, type DirectoryProblem } from './directory-problem.ts';
import { writeDurably } from './durable-file.ts';
import { pathIn } from './member-directory.ts';
import { errorCode, ok, type Outcome } from './outcome.ts';

export interface DirectoryLock {
  release(): Promise<void>;
}

const holderSchema = z.strictObject({
  pid: z.int().check(z.positive()),
  start: z.string(),
  boot: z.string(),
});
type Holder = z.infer<typeof holderSchema>;

async function readOr(path: string, otherwise: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    // ESRCH: the process went away between open and read.
    if (['ENOENT', 'ESRCH', 'EACCES'].includes(errorCode(error))) return otherwise;
    throw error;
  }
}

/** Clock ticks from boot to the start of a process; empty when there is no such process. */
async function startOf(pid: number): Promise<string> {
  const text = await readOr(`/proc/${pid}/stat`, '');
  // The second field is the name in parentheses and may itself have spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  // A zombie holds nothing any more.
  return fields[0] === 'Z' ? '' : (fields[19] ?? '');
}

const bootId = async (): Promise<string> => (await readOr('/proc/sys/kernel/random/boot_id', '')).trim();

function parseHolder(text: string): Holder | null {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch (error) {
    // A half-written note is no evidence of a living holder.
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function livingHolder(file: string): Promise<Holder | null> {
  const holder = parseHolder(await readOr(file, ''));
  if (holder === null || holder.boot !== (await bootId())) return null;
  return (await startOf(holder.pid)) === holder.start ? holder : null;
}

function bind(name: string): Promise<Server | 'taken'> {
  return new Promise((fulfil, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => {
      if (errorCode(error) === 'EADDRINUSE') fulfil('taken');
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      fulfil(server);
    });
  });
}

const unbind = (server: Server): Promise<void> =>
  new Promise((done) => {
    server.close(() => {
      done();
    });
  });

/** Takes the directory for this process, or says who has it. `what` names the lock: one per kind of process. */
export async function lockDirectory(
  directory: string,
  what = 'run',
): Promise<Outcome<DirectoryLock, DirectoryProblem>> {
  const path = pathIn(directory);
  const file = pathIn(directory, 'run', `${what}.lock`);
  const taken = (by: string): ReturnType<typeof problem> =>
    problem(
      'locked',
      path,
      `another \`holdfast ${what}\` uses it${by}`,
      'stop that one first, or choose another --dir',
    );
  let server: Server | 'taken';
  try {
    const { dev, ino } = await stat(path);
    const name = process.platform === 'win32' ? '\\\\.\\pipe\\' : '\0';
    server = await bind(`${name}holdfast-${what}-${dev.toString(16)}-${ino.toString(16)}`);
  } catch (error) {
    return systemProblem('read', path, error);
  }
  const holder = await livingHolder(file);
  if (server === 'taken') return taken(holder === null ? '' : ` (process ${holder.pid})`);
  if (holder !== null && holder.pid !== process.pid) {
    await unbind(server);
    return taken(` (process ${holder.pid})`);
  }
  try {
    const own: Holder = { pid: process.pid, start: await startOf(process.pid), boot: await bootId() };
    await writeDurably(file, `${JSON.stringify(own)}\n`);
  } catch (error) {
    await unbind(server);
    return systemProblem('write', file, error);
  }
  const held = server;
  let released: Promise<void> | null = null;
  const release = async (): Promise<void> => {
    await rm(file, { force: true });
    await unbind(held);
  };
  return ok({ release: () => (released ??= release()) });
}
