/** Programs start from V8's code cache (ADR 32): a build makes one that is taken for each, and none is ever needed. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const built = join(root, 'services/cli/dist/bundle');
const buildMs = 180_000;

/** In a process of its own: one that has compiled a text before does not look at a cache for it. */
const node = (...args: readonly string[]) => nodeWith({ HOLDFAST_DEBUG: '' }, ...args);

function nodeWith(env: NodeJS.ProcessEnv, ...args: readonly string[]) {
  const options = { encoding: 'utf8', timeout: buildMs, env: { ...process.env, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
  return { status, stdout, stderr };
}

/** Of these bodies the ones whose cache V8 takes. */
function taken(bodies: readonly string[], ...flags: readonly string[]): readonly string[] {
  const ask = `const { compiled } = require(${JSON.stringify(join(root, 'scripts/bundle/compiled.cjs'))});
    console.log(JSON.stringify(process.argv.slice(1).filter((body) => compiled(body).cached)));`;
  return JSON.parse(node(...flags, '-e', ask, ...bodies).stdout) as string[];
}

beforeAll(() => {
  expect(node(join(root, 'scripts/bundle.js'))).toEqual({ status: 0, stdout: '', stderr: '' });
}, buildMs);

it('a build makes a cache for each body, and V8 takes it', () => {
  const bodies = readdirSync(built).filter((name) => name.endsWith('.cjs'));
  expect(bodies).toEqual(expect.arrayContaining(['agent.cjs', 'holdfast.cjs', 'mirror.cjs', 'quorum.cjs']));
  const paths = bodies.map((name) => join(built, name));
  expect(taken(paths)).toEqual(paths);
});

describe('a program whose cache can not be used', () => {
  // Where native packages are found.
  const dir = mkdtempSync(join(root, 'services/cli/dist/bundle-'));
  const body = join(dir, 'quorum.cjs');
  const cache = join(dir, 'quorum.cache');
  const start = (...flags: readonly string[]) => node(...flags, join(dir, 'quorum.js'), '--dir', dir);
  let expected: ReturnType<typeof start>;

  beforeAll(() => {
    for (const name of ['package.json', 'quorum.js', 'quorum.cjs', 'quorum.cache'])
      copyFileSync(join(built, name), join(dir, name));
    expect(taken([body])).toEqual([body]);
    expected = start();
    expect(expected.status).toBe(2);
    expect(expected.stderr).toContain('is not the directory of a member');
  });

  beforeEach(() => copyFileSync(join(built, 'quorum.cache'), cache));

  afterAll(() => rmSync(dir, { recursive: true }));

  it.each<[string, (whole: Buffer) => Buffer]>([
    ['shorter than its seal', (whole) => whole.subarray(0, 20)],
    ['truncated', (whole) => whole.subarray(0, whole.length / 2)],
    // V8 itself would end the process.
    ['garbled in V8’s header', (whole) => Buffer.from(whole).fill(0xff, 32 + 20, 32 + 40)],
    ['garbled in one bit', (whole) => flipped(whole, whole.length / 2)],
    ['of another body', () => readFileSync(join(built, 'agent.cache'))],
  ])('runs the same when it is %s', (_, changed) => {
    writeFileSync(cache, changed(readFileSync(cache)));
    expect(taken([body])).toEqual([]);
    expect(start()).toEqual(expected);
  });

  it('runs the same when there is none', () => {
    rmSync(cache);
    expect(start()).toEqual(expected);
  });

  it('runs the same when V8 rejects it', () => {
    expect(taken([body], '--stack-trace-limit=9')).toEqual([]);
    expect(start('--stack-trace-limit=9')).toEqual(expected);
  });

  it('does not run what was compiled of a body of the same length', () => {
    const other = readFileSync(body, 'latin1').replace(/^\/\*./, (mark) => (mark === '/*0' ? '/*1' : '/*0'));
    writeFileSync(body, other);
    expect(taken([body])).toEqual([]);
    expect(start()).toEqual(expected);
  });
});

it('a command that runs from its cache loads what is Node’s own late, too: what reads standard input', () => {
  const command = [join(root, 'services/cli/bin/holdfast.js'), 'apply', '-f', '-'];
  const env = { ...process.env, HOLDFAST_DEBUG: '' };
  const options = { encoding: 'utf8', timeout: buildMs, env, input: 'groups: [' } as const;
  const { status, stderr } = spawnSync(process.execPath, command, options);
  expect(stderr).toMatch(/^holdfast: standard input: line 1, column \d+: /);
  expect(status).toBe(2);
});

it('HOLDFAST_DEBUG names the sources in traces, in threads as well', () => {
  const begin = `
    const { Worker } = require('node:worker_threads');
    const worker = new Worker(process.argv[1], { execArgv: [] });
    worker.on('error', ({ stack }) => { console.log(stack); process.exit(); });
    worker.postMessage({ kind: 'open' });`;
  const traced = (HOLDFAST_DEBUG: string): string =>
    nodeWith({ HOLDFAST_DEBUG }, '-e', begin, join(built, 'source-thread.js')).stdout;
  expect(traced('1')).toContain('services/mirror/src/process/source-thread.ts:');
  expect(traced('')).toContain('bundle/source-thread.cjs:');
});

function flipped(whole: Buffer, at: number): Buffer {
  const bytes = Buffer.from(whole);
  bytes.writeUInt8(bytes.readUInt8(Math.floor(at)) ^ 1, Math.floor(at));
  return bytes;
}
