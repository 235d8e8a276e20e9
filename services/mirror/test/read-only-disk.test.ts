/** A source whose disk went read-only: nothing can be marked there any more, and everything is brought away all the same. */

import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { Feed, FeedOptions } from '../src/feed/types.ts';
import { compiled } from './compiled.ts';
import { MirrorPair } from './mirror-pair.ts';
import { watched } from './feed-fixture.ts';

jest.setTimeout(30_000);

const withMounts = process.getuid?.() === 0 ? describe : describe.skip;
let base: string;
let built: string;
let threaded: { readonly createFeed: (options: FeedOptions) => Feed };
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), 'holdfast-feed-js-'));
  compiled(built, 'feed/feed', 'feed/thread');
  threaded = (await import(pathToFileURL(join(built, 'feed/feed.js')).href)) as typeof threaded;
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'holdfast-read-only-'));
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(base, { recursive: true, force: true });
});

/** As a file system does it that found an error. */
function readOnly(folder: string): void {
  execFileSync('mount', ['--bind', folder, folder]);
  ends.push(() => execFileSync('umount', ['--lazy', folder]));
  execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
}

const makers = {
  here: undefined,
  worker: (options: FeedOptions): Feed => threaded.createFeed(options),
};

withMounts('a read-only disk', () => {
  test.each(['here', 'worker'] as const)('a barrier is answered when all is told (%s)', async (where) => {
    const feed = await watched(() => undefined, [], makers[where]);
    ends.push(() => feed.close());
    expect(feed.started).toEqual({ kind: 'watching' });
    const fd = openSync(feed.at('file'), 'w');
    ends.push(() => {
      closeSync(fd);
    });
    await feed.settled();
    feed.told.clear();
    readOnly(feed.dir);
    expect(() => {
      writeFileSync(feed.at('other'), '');
    }).toThrow('EROFS');
    writeSync(fd, 'one');
    await feed.settled();
    expect([...feed.told.keys()]).toContain('file');
    await feed.settled();
    expect(feed.lost).toEqual([]);
  });

  test('a drain brings everything away, also after a restart of the source', async () => {
    const pair = new MirrorPair({ folder: base });
    ends.push(() => pair.close());
    await pair.start();
    writeFileSync(pair.at('before'), 'before');
    const fd = openSync(pair.at('open'), 'w');
    await pair.settle();
    readOnly(pair.sourceRoot);
    readOnly(join(base, 'anna', 'state', 'markers'));
    writeSync(fd, 'the last word');
    closeSync(fd);
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    await pair.restartSource({ clean: false });
    await pair.settle();
    expect(pair.source.state().targets).toMatchObject([{ state: 'replicating', consistent: true }]);
    expect(pair.said.join('\n')).not.toMatch(/failed|looking at everything/);
  });

  test('where no marker folder can be made, everything is looked at', async () => {
    const pair = new MirrorPair({ folder: base });
    ends.push(() => pair.close());
    mkdirSync(join(base, 'disk'));
    readOnly(join(base, 'disk'));
    pair.markersIn(join(base, 'disk'));
    await pair.start();
    writeFileSync(pair.at('one'), 'one');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
    expect(pair.said.join('\n')).toMatch(/changes are found by looking at everything/);
  });
});
