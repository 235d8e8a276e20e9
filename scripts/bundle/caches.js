/**
 * Makes the code caches of bodies (compiled.cjs) that have none which fits. Each body is run once, in a thread, so that what a
 * start compiles is in its cache. Nothing is started: a process finds no directory of a member and ends, a thread ends when
 * it is loaded, and the command asks for the status of a cluster that does not run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { compiled } from './compiled.cjs';

const limitMs = 30_000;
const warm = new URL('./warm.cjs', import.meta.url);
/** Nobody listens at port 1. */
const init = ['init', '--node', 'a', '--address', '127.0.0.1', '--port-grpc', '1'];

export async function makeCaches(bodies) {
  const missing = bodies.filter((body) => !compiled(body).cached);
  if (missing.length === 0) return;
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-caches-'));
  try {
    await Promise.all(missing.map((body) => makeCache(body, dir)));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function makeCache(body, dir) {
  const nowhere = ['--dir', join(dir, 'nowhere')];
  const name = basename(body, '.cjs');
  if (name.endsWith('-thread')) return ended(body, 'thread', true, []);
  if (name !== 'holdfast') return ended(body, 'process', true, nowhere);
  const member = ['--dir', join(dir, 'member')];
  await ended(body, 'command', false, [...member, ...init]);
  await ended(body, 'command', true, [...member, 'status']);
}

/** The end of a thread that runs a body. A failure costs a cache, and no build. */
function ended(body, kind, keeps, argv) {
  const workerData = { body, kind, keeps };
  const worker = new Worker(warm, { workerData, argv, env: {}, stdin: true, stdout: true, stderr: true });
  // A reader of its input ends with it.
  worker.stdin.end();
  const failed = (why) => process.stderr.write(`bundle: no code cache of ${basename(body)}: ${why}\n`);
  const late = setTimeout(() => {
    failed(`it did not end in ${String(limitMs)} ms`);
    void worker.terminate();
  }, limitMs);
  worker.on('error', (error) => failed(String(error)));
  return new Promise((done) => {
    worker.on('exit', () => {
      clearTimeout(late);
      done();
    });
  });
}
