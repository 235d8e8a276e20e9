/**
 * Makes the code caches of bodies (compiled.cjs) that have none which fits. Each body is run once, in a thread, so that what a
 * start compiles is in its cache. Nothing is started: a process finds no directory of a member and ends, a thread ends when
 * it is loaded, and the command asks a member that is made for it (member.js).
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { compiled } from './compiled.cjs';

const limitMs = 30_000;
const warm = new URL('./warm.cjs', import.meta.url);
const init = ['init', '--node', 'a', '--address', '127.0.0.1'];
/** What is asked most, and what compiles what. */
const commands = [
  ['status'],
  ['get', 'groups'],
  ['explain', 'd3'],
  ['events', '--limit', '20'],
  ['switchover', 'd3', '--dry-run'],
];

/** `member` is member.js, bundled. */
export async function makeCaches(bodies, member) {
  const missing = bodies.filter((body) => !compiled(body).cached);
  if (missing.length === 0) return;
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-caches-'));
  try {
    await Promise.all(missing.map((body) => makeCache(body, member, dir)));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function makeCache(body, member, dir) {
  const name = basename(body, '.cjs');
  if (name === 'holdfast') return makeCommandCache(body, member, dir);
  if (name === 'holdfast-seldom') return ended(body, 'parts', true, []);
  if (name.endsWith('-thread')) return ended(body, 'thread', true, []);
  return ended(body, 'process', true, [['--dir', join(dir, 'nowhere')]]);
}

async function makeCommandCache(body, member, dir) {
  const place = join(dir, 'member');
  const words = (command) => ['--dir', place, ...command];
  await ended(body, 'command', false, [words(init)]);
  const program = join(dir, 'member.cjs');
  writeFileSync(program, member);
  let answering;
  try {
    answering = await createRequire(program)(program).answer(place);
    const record = join(place, 'member.json');
    const { ports, ...rest } = JSON.parse(readFileSync(record, 'utf8'));
    writeFileSync(record, JSON.stringify({ ...rest, ports: { ...ports, grpc: answering.port } }));
    await ended(body, 'command', true, commands.map(words));
  } catch (error) {
    failed(body, error);
  } finally {
    await answering?.end();
  }
}

/** The end of a thread that runs a body, with each of the command lines. A failure costs a cache, and no build. */
function ended(body, kind, keeps, lines) {
  const workerData = { body, kind, keeps, lines };
  const options = { argv: lines[0], env: {}, stdin: true, stdout: true, stderr: true };
  const worker = new Worker(warm, { workerData, ...options });
  // A reader of its input ends with it.
  worker.stdin.end();
  const late = setTimeout(() => {
    failed(body, `it did not end in ${String(limitMs)} ms`);
    void worker.terminate();
  }, limitMs);
  worker.on('error', (error) => failed(body, error));
  return new Promise((done) => {
    worker.on('exit', () => {
      clearTimeout(late);
      done();
    });
  });
}

const failed = (body, why) =>
  process.stderr.write(`bundle: no code cache of ${basename(body)}: ${String(why)}\n`);
