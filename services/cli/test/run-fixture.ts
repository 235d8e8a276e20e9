/** `runMember` in a process of its own, with a real guard and fake agent, mirror and quorum processes, for tests. */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { connectTo, exited, until, type TestClient } from '../../guard/test/client.ts';
import { compileSources } from '../../guard/test/compiled.ts';
import { identify } from '../src/run/pid-file.ts';

/** How a fake process behaves. `deaf` ignores signals and the end of its lifeline. */
export type Behaviour = 'usual' | 'wrong' | 'fatal' | 'broken' | 'deaf' | 'slow';

const fakeChild = `
import { appendFileSync, readFileSync } from 'node:fs';
import { Socket } from 'node:net';
const [name, dir] = process.argv.slice(2);
const note = (what) => appendFileSync(dir + '/events', name + ' ' + what + '\\n');
const read = () => { try { return readFileSync(dir + '/' + name + '.behaves', 'utf8'); } catch { return 'usual'; } };
const behaves = read();
const lifeline = new Socket({ fd: Number(process.env.HOLDFAST_LIFELINE) });
const end = (what) => { if (behaves === 'deaf') return; note(what); process.exit(0); };
process.on('SIGTERM', () => { note('asked'); if (behaves === 'slow') setTimeout(() => end('released'), 700); else end('released'); });
process.on('SIGHUP', () => end('kept'));
lifeline.on('end', () => end('orphaned'));
lifeline.on('error', () => end('orphaned'));
lifeline.resume();
setInterval(() => {}, 1000);
note('started');
console.log('hello from ' + name);
if (behaves === 'wrong') { console.error('member.json: no such file\\nrun holdfast init'); process.exit(2); }
if (behaves === 'broken') { console.error('no space left on the disk'); process.exit(1); }
if (behaves === 'fatal') { lifeline.write('{"type":"fatal","says":"no etcd here"}\\n', () => process.exit(1)); }
else lifeline.write('{"type":"ready"}\\n');
`;

const driver = `
import { appendFileSync } from 'node:fs';
const { modules, options } = JSON.parse(process.argv[2]);
const { runMember } = await import(modules);
const lock = async () =>
  options.busy ? { kind: 'busy', says: 'another run has it' } : { kind: 'locked', release: async () => appendFileSync(options.dir + '/events', 'lock released\\n') };
process.exit(await runMember({ ...options, lock }));
`;

/** Compiled once for all tests of a file. */
export interface Compiled {
  readonly run: string;
  readonly guard: string;
}

export function compileRun(): Compiled {
  const guard = compileSources(join(import.meta.dirname, '../../guard/src'));
  const run = compileSources(join(import.meta.dirname, '../src/run'), {
    '@holdfast/guard': pathToFileURL(join(guard, 'index.js')).href,
  });
  writeFileSync(join(run, 'fake-child.js'), fakeChild);
  writeFileSync(join(run, 'driver.js'), driver);
  return { run, guard };
}

export function removeCompiled({ run, guard }: Compiled): void {
  for (const dir of [run, guard]) rmSync(dir, { recursive: true, force: true });
}

export interface Run {
  readonly process: ChildProcess;
  out(): string;
  err(): string;
  ready(): Promise<void>;
  ended(): Promise<number | string>;
}

export interface RunOptions {
  readonly role?: 'server' | 'witness';
  readonly keep?: boolean;
  readonly echo?: boolean;
  readonly busy?: boolean;
  readonly limits?: Record<string, number>;
}

export class Member {
  readonly dir = mkdtempSync(join(tmpdir(), 'holdfast-run-'));
  readonly #compiled: Compiled;
  readonly #runs: ChildProcess[] = [];
  readonly #clients: TestClient[] = [];

  constructor(compiled: Compiled) {
    this.#compiled = compiled;
  }

  behaves(name: 'agent' | 'mirror' | 'quorum', behaviour: Behaviour): void {
    writeFileSync(join(this.dir, `${name}.behaves`), behaviour);
  }

  run(options: RunOptions = {}): Run {
    const { run, guard } = this.#compiled;
    const fake = (name: string): object => ({
      entry: join(run, 'fake-child.js'),
      args: [name, this.dir],
      nodeFlags: [],
    });
    const programs = {
      guard: { entry: join(guard, 'main.js'), args: [], nodeFlags: [] },
      agent: fake('agent'),
      quorum: fake('quorum'),
      mirror: fake('mirror'),
    };
    const limits = { inVainMs: 0, ...options.limits };
    const given = { role: 'server', keep: false, ...options, limits, dir: this.dir, programs };
    const modules = pathToFileURL(join(run, 'run-member.js')).href;
    const child = spawn(process.execPath, [
      join(run, 'driver.js'),
      JSON.stringify({ modules, options: given }),
    ]);
    this.#runs.push(child);
    let out = '';
    let err = '';
    let closed = false;
    child.on('close', () => (closed = true));
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    return {
      process: child,
      out: () => out,
      err: () => err,
      ready: async () => {
        await until('the run to be ready', () => out.includes('ready'));
      },
      // 'exit' may come before its last words are read.
      ended: async () => {
        const how = await exited(child);
        await until('the last words of the run', () => closed);
        return how;
      },
    };
  }

  pid(name: string): number | null {
    const path = join(this.dir, 'run', `${name}.pid`);
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : null;
  }

  runs(name: string): boolean {
    const pid = this.pid(name);
    return pid !== null && runsNow(pid);
  }

  events(): string[] {
    const path = join(this.dir, 'events');
    return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
  }

  log(name: string): string {
    const path = join(this.dir, 'run', `${name}.log`);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  async guard(): Promise<TestClient> {
    const client = await connectTo(join(this.dir, 'run', 'guard.sock'));
    this.#clients.push(client);
    return client;
  }

  /** Leaves no process and no file behind, whatever the test did. */
  async remove(): Promise<void> {
    for (const client of this.#clients) client.socket.destroy();
    for (const run of this.#runs) if (run.exitCode === null) run.kill('SIGKILL');
    await Promise.all(this.#runs.map(exited));
    const left = (): number[] => processesOf(this.dir);
    await until('everything to be gone', () => {
      for (const pid of left()) killIfThere(pid);
      return left().length === 0;
    });
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export function runsNow(pid: number): boolean {
  return identify(pid).start !== null;
}

/** Processes that name the directory on their command line. */
function processesOf(dir: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => commandLine(name).includes(dir))
    .map(Number)
    .filter(runsNow);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It went away by itself; the caller looks again.
    return;
  }
}
