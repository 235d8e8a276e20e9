/** A disk that does not answer whoever writes: nobody but a thread of its own waits for it. */

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { Feed, FeedOptions } from '../src/feed/types.ts';
import { DiskProbe } from '../src/files/disk-probe.ts';
import { compiled } from './compiled.ts';
import { watched } from './feed-fixture.ts';
import { until } from './transport-cluster.ts';

jest.setTimeout(30_000);

const withMounts = process.getuid?.() === 0 ? describe : describe.skip;
let built: string;
let threaded: { readonly createFeed: (options: FeedOptions) => Feed };
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), 'holdfast-feed-js-'));
  compiled(built, 'feed/feed', 'feed/thread');
  threaded = (await import(pathToFileURL(join(built, 'feed/feed.js')).href)) as typeof threaded;
});
afterAll(() => rmSync(built, { recursive: true, force: true }));
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A file system of its own, with a root in it. */
function onOwnDisk(root: string): void {
  const folder = dirname(root);
  const image = `${folder}.image`;
  const run = (program: string, ...argv: string[]): unknown =>
    execFileSync(program, argv, { env: { PATH: `${process.env['PATH'] ?? ''}:/sbin:/usr/sbin` } });
  run('truncate', '-s', '16M', image);
  run('mkfs.ext4', '-q', image);
  run('mount', '-o', 'loop', image, folder);
  ends.push(
    () => rmSync(folder, { recursive: true }),
    () => rmSync(image),
    () => run('umount', '--lazy', folder),
  );
  mkdirSync(root);
}

/** Until it is thawed; by itself after a while, or a mistake here would hang for ever. */
function freeze(folder: string): () => void {
  const thaw = spawn('sh', ['-c', 'sleep 8; exec fsfreeze --unfreeze "$0"', folder], { stdio: 'ignore' });
  execFileSync('fsfreeze', ['--freeze', folder]);
  let frozen = true;
  const thawed = (): void => {
    if (!frozen) return;
    frozen = false;
    thaw.kill('SIGKILL');
    execFileSync('sh', ['-c', 'fsfreeze --unfreeze "$0" || true', folder], { stdio: 'ignore' });
  };
  ends.push(thawed);
  return thawed;
}

const makers = {
  here: undefined,
  worker: (options: FeedOptions): Feed => threaded.createFeed(options),
};

withMounts('a disk that does not answer', () => {
  test.each(['here', 'worker'] as const)('holds no barrier up, and nothing else (%s)', async (where) => {
    const feed = await watched(onOwnDisk, [], makers[where]);
    ends.push(() => feed.feed.close());
    await feed.settled();
    const thaw = freeze(feed.dir);
    let turns = 0;
    const turning = setInterval(() => (turns += 1), 20);
    ends.push(() => clearInterval(turning));
    await feed.settled();
    expect(turns).toBeGreaterThan(3);
    await feed.settled();
    thaw();
    writeFileSync(feed.at('file'), '');
    await feed.settled();
    expect([...feed.told.keys()]).toContain('file');
    await until('the late marker is gone', () => readdirSync(join(feed.dir, 'markers')).length === 0);
  });
});

describe('a probe of a disk', () => {
  test('says that it does not answer, asks it no second time meanwhile, and asks anew afterwards', async () => {
    let answer: (says: string) => void = () => undefined;
    let asked = 0;
    const probe = new DiskProbe(10, () => {
      asked += 1;
      return new Promise((resolve) => (answer = resolve));
    });
    expect(await probe.answers('/srv/d3')).toBe(false);
    expect(await probe.answers('/srv/d3')).toBe(false);
    expect(asked).toBe(1);
    answer('no space left on device');
    expect(await probe.answers('/srv/d3')).toBe(true);
    const anew = probe.answers('/srv/d3');
    answer('');
    expect([await anew, asked]).toEqual([true, 2]);
  });
});
