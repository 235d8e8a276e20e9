/** A folder is swapped for a symbolic link, and a file for another name of a file outside, again and again while batches are applied. */

import { linkSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Attributes, FileOperation, OfferedEntry } from '../src/transport/types.ts';
import type { Contents, Stage } from './target-fixture.ts';
import { bytes, fileOf, folder, folderOf, hardLink, move, openStage, patch } from './target-fixture.ts';
import { placed, put, removal, set } from './target-fixture.ts';

const forMs = 1_500;
const limitMs = 30_000;
let stage: Stage;
let outside: string;
let stop: Int32Array;
let swapping: Promise<void> = Promise.resolve();

beforeEach(async () => {
  stage = await openStage();
  outside = join(stage.dir, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  writeFileSync(join(outside, 'file'), 'outside');
  stop = new Int32Array(new SharedArrayBuffer(4));
});

afterEach(async () => {
  Atomics.store(stop, 0, 1);
  await swapping;
  await stage.close();
});

/** Runs `once`, a body of code with `fs`, `root`, `outside` and `aside`, until the test ends; what fails is tried again. */
function keepSwapping(once: string): void {
  const code = `
    const fs = require('node:fs');
    const { workerData: { stop, root, outside, aside } } = require('node:worker_threads');
    const tried = (what) => { try { what(); } catch {} };
    while (Atomics.load(stop, 0) === 0) { ${once} }`;
  const workerData = { stop, root: stage.root, outside, aside: join(stage.dir, 'aside') };
  const worker = new Worker(code, { eval: true, workerData });
  swapping = new Promise((resolve) => {
    worker.on('exit', () => {
      resolve();
    });
  });
}

/** Sends these operations in one batch after the other, on a new connection whenever the target has enough. */
async function keepApplying(
  operations: readonly FileOperation[],
  contents: readonly Contents[],
): Promise<number> {
  const until = performance.now() + forMs;
  let sequence = stage.target.state().position?.sequence ?? 0;
  let batches = 0;
  while (performance.now() < until) {
    try {
      const { source } = await stage.dial(7n, sequence);
      for (const one of operations) {
        sequence += 1;
        const own = contents.filter(({ stream }) => one.kind === 'patch' && one.stream === stream);
        await source.batch(sequence, one.kind === 'move' ? [one, placed(one.slot, 'moved')] : [one], {
          contents: own,
        });
        batches += 1;
      }
      source.connection.close('once more');
    } catch (error) {
      // Whatever it refuses or finds changed: the next connection begins anew.
      expect(String(error)).toMatch(/refused|ended/);
    }
    sequence = Math.max(sequence, stage.target.state().position?.sequence ?? 0);
  }
  return batches;
}

function expectOutsideUntouched(): void {
  expect(readdirSync(outside).sort()).toEqual(['file', 'secret']);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('outside');
  for (const name of ['file', 'secret']) expect(statSync(join(outside, name)).mode & 0o7777).toBe(0o644);
  expect(statSync(outside).mode & 0o7777).toBe(0o755);
}

const piece = [{ stream: 1, pieces: [{ offset: 0, contents: bytes('pwned') }], bytes: 5 }];

test(
  'a folder that is a link every other moment leads nowhere',
  async () => {
    const { source } = await stage.dial();
    await source.batch(1, [folder('a'), put('a/file', 'inside'), put('a/secret', 'inside')]);
    source.connection.close('ready');
    keepSwapping(`
      tried(() => fs.renameSync(root + '/a', aside));
      tried(() => fs.symlinkSync(outside, root + '/a'));
      tried(() => fs.unlinkSync(root + '/a'));
      tried(() => fs.renameSync(aside, root + '/a'));`);
    const batches = await keepApplying(
      [
        put('a/file', 'pwned'),
        patch('a/file', 5, 1),
        set('a/file', fileOf(5, { mode: 0o4777 })),
        hardLink('a/new', 'a/secret'),
        set('a', folderOf({ mode: 0o777 })),
        removal('a/secret'),
        put('a/secret', 'pwned'),
        move('a/secret', 1),
      ],
      piece,
    );
    expect(batches).toBeGreaterThan(0);
    expectOutsideUntouched();
  },
  limitMs,
);

test(
  'a file that is another name of one outside every other moment is not written in place',
  async () => {
    const { source } = await stage.dial();
    await source.batch(1, [put('file', 'x'.repeat(100))]);
    source.connection.close('ready');
    linkSync(join(outside, 'file'), join(stage.dir, 'aside'));
    keepSwapping(`
      tried(() => fs.renameSync(aside, root + '/file'));
      tried(() => fs.linkSync(outside + '/file', aside));
      tried(() => fs.writeFileSync(root + '/own', 'own'));
      tried(() => fs.renameSync(root + '/own', root + '/file'));`);
    await keepApplying([patch('file', 100, 1), set('file', fileOf(100, { mode: 0o4777 }))], piece);
    expectOutsideUntouched();
  },
  limitMs,
);

test(
  'what others make and remove while everything is compared holds nothing up for long',
  async () => {
    keepSwapping(`
      for (const name of ['come', 'go', 'stay']) {
        const folder = root + '/' + name;
        tried(() => fs.mkdirSync(folder + '/deep', { recursive: true }));
        tried(() => fs.writeFileSync(folder + '/file', 'theirs'));
        tried(() => fs.symlinkSync('nowhere', folder + '/link'));
      }
      for (const name of ['come', 'go']) tried(() => fs.rmSync(root + '/' + name, { recursive: true }));`);
    const until = performance.now() + forMs;
    let offers = 0;
    while (performance.now() < until) {
      const { source } = await stage.dial(7n, null);
      source.plan(0, 'compare');
      for (let last = false; !last;) ({ last } = await source.next('candidates'));
      for (let i = 0; i < 20; i += 1) {
        offers += 1;
        const entries = ['come', 'go', 'stay'].flatMap((name) => [
          offered(name, null),
          offered(`${name}/file`, fileOf(4_096)),
          offered(`${name}/link`, fileOf(7, { kind: 'link', link: bytes('nowhere') })),
        ]);
        source.connection.send({ kind: 'offer', number: i + 1, entries });
        await source.next('wants');
      }
      source.connection.close('once more');
    }
    // At least one comparison came to its end, however slow the machine is.
    expect(offers).toBeGreaterThanOrEqual(20);
    expectOutsideUntouched();
  },
  limitMs,
);

function offered(path: string, attributes: Attributes | null): OfferedEntry {
  const isFile = attributes?.kind === 'file';
  return { path: bytes(path), attributes, blockBytes: 4_096, hashes: Buffer.alloc(isFile ? 16 : 0) };
}
