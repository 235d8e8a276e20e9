// The scripts, on a copy with stand-ins for what they run: they end within seconds, by the signal that came, and leave nothing behind.
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const scripts = fileURLToPath(new URL('../../scripts', import.meta.url));
const endMs = 20_000;
const programs = 'etcd ip tc bridge arping ping unshare nsenter setpriv'.split(' ');
/** One beside it, in a session of its own: as an etcd that a test started. */
const hangs = 'touch "$TMPDIR/written"; setsid sleep 600 & echo "$0" >>"$FOLDER/begun"; exec sleep 600';

let folder = '';
let children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-scripts-'));
  children = [];
  for (const name of ['children.sh', 'setup', 'test', 'demo'])
    cpSync(join(scripts, name), at('scripts', name));
  for (const place of ['tmp', 'node_modules', 'services/cli/dist/bundle'])
    mkdirSync(at(place), { recursive: true });
  writeFileSync(at('package-lock.json'), '{}');
  writeFileSync(at('services/cli/dist/bundle/holdfast.js'), '');
  writeFileSync(at('scripts/bundle.js'), '');
  mkdirSync(at('bin'));
  for (const name of programs) symlinkSync('/bin/true', at('bin', name));
  program('bin/npx', 'exit 0');
});

afterEach(() => {
  for (const child of children)
    if (child.pid !== undefined && child.exitCode === null) kill(-child.pid, 'SIGKILL');
  for (const pid of ours()) kill(pid, 'SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const at = (...parts: readonly string[]): string => join(folder, ...parts);

function program(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), `#!/bin/bash\n${text}\n`);
  chmodSync(at(path), 0o755);
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** What runs and was started by a script of this story, in whatever session: FOLDER is in its environment. */
function ours(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => environmentOf(pid).includes(`FOLDER=${folder}\0`));
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8');
  } catch {
    // It has gone, or is somebody else's.
    return '';
  }
}

interface Run {
  readonly child: ChildProcess;
  out(): string;
  /** The signal by which it ended, or its exit status. */
  ended(): Promise<number | string>;
}

/** In a session of its own, as at a terminal: its group is what Ctrl-C reaches. */
function start(script: string, ...args: readonly string[]): Run {
  let out = '';
  const child = spawn(at('scripts', script), [...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`, FOLDER: folder, TMPDIR: at('tmp') },
  });
  children.push(child);
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (some: Buffer) => (out += some.toString()));
  const end = new Promise<number | string>((resolve) =>
    child.once('close', (status, signal) => resolve(signal ?? status ?? -1)),
  );
  return {
    child,
    out: () => out,
    ended: () =>
      Promise.race([end, sleep(endMs, 0, { ref: false }).then(() => `it runs after ${endMs} ms: ${out}`)]),
  };
}

const pidOf = ({ child }: Run): number => child.pid ?? 0;

async function until(what: string, isSo: () => boolean): Promise<void> {
  const over = performance.now() + endMs;
  while (!isSo()) {
    if (performance.now() > over) throw new Error(`not within ${endMs} ms: ${what}`);
    await sleep(20);
  }
}

const begun = (): number =>
  existsSync(at('begun')) ? readFileSync(at('begun'), 'utf8').trim().split('\n').length : 0;

describe('a set-up', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('ends by %s, with what it runs', async (signal) => {
    program('bin/npm', 'sleep 600 & echo npm >>"$FOLDER/begun"; exec sleep 600');
    const run = start('setup');
    await until('npm runs', () => begun() === 1);
    kill(signal === 'SIGINT' ? -pidOf(run) : pidOf(run), signal);
    expect(await run.ended()).toBe(signal);
    expect(ours()).toEqual([]);
  });

  it('ends when the one that called it is told to', async () => {
    program('bin/npm', 'echo npm >>"$FOLDER/begun"; exec sleep 600');
    const run = start('demo');
    await until('npm runs', () => begun() === 1);
    kill(pidOf(run), 'SIGTERM');
    expect(await run.ended()).toBe('SIGTERM');
    expect(ours()).toEqual([]);
  });

  it('waits for another one, and then has nothing left to do', async () => {
    program('bin/npm', 'echo npm >>"$FOLDER/begun"; sleep 0.5');
    const [one, other] = [start('setup'), start('setup')];
    expect([await one.ended(), await other.ended()]).toEqual([0, 0]);
    expect(begun()).toBe(1);
    expect(`${one.out()}${other.out()}`).toContain('waiting for another set-up to end');
  });
});

describe('the tests', () => {
  beforeEach(() => {
    program('scripts/setup', 'exit 0');
    program('bin/chrt', 'shift 2; exec "$@"');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('end by %s, and leave no process and no folder', async (signal) => {
    for (const step of ['bin/npx', 'scripts/bench']) program(step, hangs);
    const run = start('test', 'lint', 'bench');
    await until('one step runs beside another', () => begun() === 2);
    kill(signal === 'SIGINT' ? -pidOf(run) : pidOf(run), signal);
    expect(await run.ended()).toBe(signal);
    expect(run.out().trim().split('\n').at(-1)).toBe('0 passed, 1 failed');
    expect({ running: ours(), written: readdirSync(at('tmp')) }).toEqual({ running: [], written: [] });
  });

  it('say at their end how many passed, and keep what is kept for a person', async () => {
    program('bin/npx', 'mkdir "$TMPDIR/holdfast-lab-evidence-1"; setsid sleep 600 >/dev/null 2>&1 &');
    const run = start('test', 'lint');
    expect(await run.ended()).toBe(0);
    expect(run.out().trim().split('\n').at(-1)).toBe('1 passed, 0 failed');
    expect(ours()).toEqual([]);
    const [kept = ''] = readdirSync(at('tmp'));
    expect(readdirSync(at('tmp', kept))).toEqual(['holdfast-lab-evidence-1']);
  });

  it('wait for nobody at their end when nothing is left', async () => {
    program('bin/sleep', 'echo "$*" >>"$FOLDER/begun"; exec /bin/sleep "$@"');
    const run = start('test', 'lint');
    expect(await run.ended()).toBe(0);
    expect(begun()).toBe(0);
  });

  it('break off a step at its limit', async () => {
    const text = readFileSync(at('scripts/test'), 'utf8');
    writeFileSync(at('scripts/test'), text.replace('step unit 900 ', 'step unit 1 '));
    program('bin/env', hangs);
    const run = start('test', 'unit');
    expect(await run.ended()).toBe(1);
    expect(run.out()).toContain('unit: stopped at its limit of 1 s');
    expect(run.out().trim().split('\n').at(-1)).toBe('0 passed, 1 failed');
    expect(ours()).toEqual([]);
  });
});
