/** Files that change while a source reads them, where nobody tells of it afterwards, or they are again what they were. */

import { closeSync, openSync, readFileSync, rmSync, utimesSync, writeFileSync, writeSync } from 'node:fs';
import { afterEach, expect, jest, test } from '@jest/globals';
import type { Feed, FeedListener } from '../src/feed/types.ts';
import { Tree } from '../src/os/tree.ts';
import type { Segment } from '../src/os/types.ts';
import { makePair, MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;
let listener: FeedListener;
/** Once, after a batch was read. */
let onBarrier = (): void => undefined;

afterEach(async () => {
  jest.restoreAllMocks();
  await pair.close();
});

/** Tells what the test tells, and says that this is everything. */
const makeFeed = (one: FeedListener): Feed => {
  listener = one;
  return {
    start: () => Promise.resolve({ kind: 'watching' }),
    barrier: () => {
      onBarrier();
      onBarrier = () => undefined;
      return Promise.resolve(true);
    },
    close: () => Promise.resolve(),
  };
};

const tell = (name: string): void => {
  listener.changed([{ path: Buffer.from(name), whole: false }]);
};

/** `change` at the moment in which the source opens the file the `nth` time from now on; answers whether that came. */
function whileRead(name: string, nth: number, change: () => void): () => boolean {
  let left = nth;
  const open: (this: Tree, path: Buffer) => number = Reflect.get(Tree.prototype, 'openRead');
  jest.spyOn(Tree.prototype, 'openRead').mockImplementation(function (this: Tree, path) {
    if (path.toString() === name && this.root.toString() === pair.sourceRoot) {
      left -= 1;
      if (left === 0) change();
    }
    return open.call(this, path);
  });
  return () => left <= 0;
}

const text = (letter: string): string => letter.repeat(5_000);

/** Another time of modification would tell of it. */
function write(path: string, contents: string | Buffer): void {
  writeFileSync(path, contents);
  utimesSync(path, 1_000_000, 1_000_000);
}

test('a file that changed while it was read, and is again what it was before, is sent again', async () => {
  // So many contents are not kept from the one reading to the other.
  const others = Array.from({ length: 140 }, (_, n) => String(n));
  const writeOthers = (root: string, letter: string): void => {
    for (const name of others) write(`${root}/${name}`, Buffer.alloc(64_000, letter));
  };
  pair = await makePair({
    makeFeed,
    settleMs: 0,
    prepare: (root) => {
      writeOthers(root, 'a');
      write(`${root}/state`, text('a'));
    },
  });
  await pair.settle();
  writeOthers(pair.sourceRoot, 'b');
  listener.changed(others.map((name) => ({ path: Buffer.from(name), whole: false })));
  // First it is read to find out whether it changed at all, then to be sent.
  const came = whileRead('state', 2, () => {
    write(pair.at('state'), text('c'));
    process.nextTick(() => {
      write(pair.at('state'), text('b'));
    });
  });
  write(pair.at('state'), text('b'));
  tell('state');
  await pair.until(came, 'it was read');
  await pair.settle();
  tell('state');
  await pair.settle();
  expect(readFileSync(`${pair.targetRoot}/state`, 'utf8').slice(0, 5)).toBe('bbbbb');
  expect(pair.differences()).toEqual([]);
});

const mebibyte = 1 << 20;

/** Writes a block in the middle of a large file; its time of change is a new one. */
function writeBlock(root: string, letter: string): void {
  const fd = openSync(`${root}/large`, 'r+');
  writeSync(fd, Buffer.alloc(4_096, letter), 0, 4_096, mebibyte);
  closeSync(fd);
}

test('a block that changed after it was noted, and is again what it was, is sent again', async () => {
  pair = await makePair({
    makeFeed,
    settleMs: 0,
    prepare: (root) => {
      writeFileSync(`${root}/large`, Buffer.alloc(2 * mebibyte, 'a'));
    },
  });
  await pair.settle();
  // As it is cut into pieces to be read, after its blocks were noted.
  let changed = false;
  let cameBack = false;
  const segments: (this: Tree, fd: number, from: number, most: number) => Segment[] = Reflect.get(
    Tree.prototype,
    'dataSegments',
  );
  jest.spyOn(Tree.prototype, 'dataSegments').mockImplementation(function (
    this: Tree,
    fd,
    from = 0,
    most = 0,
  ) {
    if (most === 1_024 && !changed) {
      changed = true;
      writeBlock(pair.sourceRoot, 'c');
      onBarrier = () => {
        writeBlock(pair.sourceRoot, 'b');
        cameBack = true;
      };
    }
    return segments.call(this, fd, from, most);
  });
  writeBlock(pair.sourceRoot, 'b');
  tell('large');
  await pair.until(() => cameBack, 'it was read');
  await pair.settle();
  tell('large');
  await pair.settle();
  expect(readFileSync(`${pair.targetRoot}/large`, 'latin1').slice(mebibyte, mebibyte + 5)).toBe('bbbbb');
  expect(pair.differences()).toEqual([]);
});

test('what changed while a first copy read it is looked at again, though the feed does not tell', async () => {
  pair = new MirrorPair({
    makeFeed,
    prepare: (root) => {
      writeFileSync(`${root}/state`, text('a'));
    },
  });
  const came = whileRead('state', 1, () => {
    writeFileSync(pair.at('state'), text('b'));
  });
  await pair.start();
  await pair.until(came, 'it was read');
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});

test('what is gone since a copy began, and is not remembered any more, does not stay at the target', async () => {
  pair = new MirrorPair({
    makeFeed,
    prepare: (root) => {
      for (const name of ['gone', 'stays']) writeFileSync(`${root}/${name}`, name);
    },
  });
  const { sourceCatalog: catalog } = pair;
  const changes = catalog.changesSince.bind(catalog);
  let copied = false;
  // As when so much else was removed that it had to be forgotten.
  jest.spyOn(catalog, 'changesSince').mockImplementation((sequence, limit, afterId) => {
    if (catalog.byPath(Buffer.from('gone')) === null && !copied) {
      copied = true;
      catalog.collect(catalog.lastSequence);
    }
    return changes(sequence, limit, afterId);
  });
  whileRead('gone', 1, () => {
    process.nextTick(() => {
      rmSync(pair.at('gone'));
      tell('gone');
    });
  });
  await pair.start();
  await pair.until(() => copied, 'it was forgotten');
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});
