import { spawn } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { compiled } from './compiled.ts';
import { type Watched, watched } from './feed-fixture.ts';

let open: Watched | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

/** A process that does something in the root while we listen. Resolves when it ended well. */
function meanwhile(cwd: string, script: string): Promise<void> {
  const program = `import { closeSync, mkdirSync, openSync, renameSync } from 'node:fs';
const make = (path) => closeSync(openSync(path, 'wx'));
${script}`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { cwd, stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`the process ended with ${String(code)}`));
    });
  });
}

function missing(here: Watched, prefix = ''): string[] {
  const absent: string[] = [];
  for (const entry of readdirSync(here.at(prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (!here.told.has(path)) absent.push(path);
    if (entry.isDirectory()) absent.push(...missing(here, path));
  }
  return absent;
}

describe('many changes at once', () => {
  it('are all told: 20,000 files, and folders that are made and filled within microseconds', async () => {
    open = await watched();
    await meanwhile(
      open.at(''),
      `for (let n = 0; n < 20_000; n += 1) {
         make('f' + n);
         if (n % 100 === 0) {
           const deep = 'd' + n + '/a/b/c/d/e/f';
           mkdirSync(deep, { recursive: true });
           for (let m = 0; m < 5; m += 1) make(deep + '/' + m);
         }
       }`,
    );
    await open.settled();
    expect(open.lost).toEqual([]);
    expect(missing(open)).toEqual([]);
    expect(open.told.size).toBe(20_000 + 200 * 12);
  }, 30_000);

  it('in folders that are moved meanwhile are told, or lie beneath one that is told as a whole', async () => {
    open = await watched();
    await meanwhile(
      open.at(''),
      `mkdirSync('a/b', { recursive: true });
       for (let n = 0; n < 2000; n += 1) {
         const from = n % 2 === 0 ? 'a' : 'z';
         make(from + '/b/' + n);
         renameSync(from, n % 2 === 0 ? 'z' : 'a');
       }`,
    );
    await open.settled();
    expect(open.lost).toEqual([]);
    const { told } = open;
    const covered = (path: string): boolean =>
      path !== '.' && (told.get(path) === true || covered(dirname(path)));
    expect(missing(open).filter((path) => !covered(path))).toEqual([]);
  }, 30_000);

  it('that overflow the queue are said to be lost, and what comes after is told', async () => {
    open = await watched((root) => {
      writeFileSync(join(root, 'file'), '');
    });
    const most = Number(readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'latin1'));
    const names = most + 5_000; // The queue may hold all of `most`.
    expect(names).toBeLessThan(60_000); // So many names a file may have.
    // Without a turn of the event loop nothing is read.
    for (let n = 0; n < names; n += 1) linkSync(open.at('file'), open.at(String(n)));
    expect(await open.feed.barrier()).toBe(false);
    expect(open.lost).toEqual([{ says: 'the queue of changes overflowed', ended: false }]);
    writeFileSync(open.at('later'), 'x');
    await open.settled();
    expect(open.told.has('later')).toBe(true);
  }, 30_000);
});

describe('a feed with a thread of its own', () => {
  // It hears all of the file system, of other tests as well: then it may say that changes were lost, or not know in time.
  it('tells the same, also while its owner is busy, or says that it does not', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'holdfast-feed-'));
    mkdirSync(join(dir, 'root'));
    try {
      await meanwhile(
        dir,
        `import assert from 'node:assert';
         import { createFeed } from '${compiled(dir, 'feed/feed', 'feed/thread')}/feed/feed.js';
         const told = new Set();
         const lost = [];
         const listener = {
           changed(paths) { for (const { path } of paths) told.add(path.toString()); },
           lost(what) { lost.push(what); },
         };
         const root = process.cwd() + '/root';
         const excluded = [Buffer.from('.markers')];
         const feed = createFeed({ root, markers: root + '/.markers', excluded, listener });
         assert.deepEqual(await feed.start(), { kind: 'watching' });
         let known = false;
         for (let round = 0; round < 5 && !known; round += 1) {
           told.clear();
           mkdirSync('root/' + round);
           for (let n = 0; n < 5000; n += 1) make('root/' + round + '/f' + n);
           known = await feed.barrier();
           if (known) assert.equal([...told].filter((path) => path.includes('/f')).length, 5000);
         }
         assert(known, 'five times it did not know: ' + JSON.stringify(lost));
         await feed.close();`,
      );
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }, 30_000);
});
