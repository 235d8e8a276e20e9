/** What a source gets over: a session that failed, and a feed that lost changes, or ended. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, expect, jest, test } from '@jest/globals';
import type { Feed, FeedListener } from '../src/feed/types.ts';
import { Dirty, type Told } from '../src/files/source/dirty.ts';
import { Tree } from '../src/os/tree.ts';
import { OsError, type ChildStat, type ListedEntry, type Stat } from '../src/os/types.ts';
import { makePair, MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;

afterEach(async () => {
  await pair.close();
});

/** Tells nothing by itself, and says that it told everything. */
class DeafFeed implements Feed {
  readonly listener: FeedListener;
  closed = false;

  constructor(listener: FeedListener) {
    this.listener = listener;
  }

  start(): ReturnType<Feed['start']> {
    return Promise.resolve({ kind: 'watching' });
  }

  barrier(): Promise<boolean> {
    return Promise.resolve(true);
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }
}

/** With one file, which has another text at the source than at the target, one that is only here, and one only there. */
async function withUntold(): Promise<DeafFeed[]> {
  const feeds: DeafFeed[] = [];
  pair = await makePair({
    prepare: (root) => {
      for (const name of ['changed', 'removed']) writeFileSync(`${root}/${name}`, 'before');
    },
    makeFeed: (listener) => {
      const feed = new DeafFeed(listener);
      feeds.push(feed);
      return feed;
    },
  });
  await pair.settle();
  writeFileSync(pair.at('changed'), 'and after');
  writeFileSync(pair.at('new'), 'new');
  rmSync(pair.at('removed'));
  await pair.settle();
  expect(pair.differences()).not.toEqual([]);
  return feeds;
}

test('what is being looked at counts as missing, before it is known to differ', async () => {
  const [feed] = await withUntold();
  const stat: (this: Tree, path: Buffer) => Stat | null = Reflect.get(Tree.prototype, 'stat');
  const behind: number[] = [];
  const looking = jest.spyOn(Tree.prototype, 'stat').mockImplementation(function (this: Tree, path) {
    behind.push(pair.source.state().targets[0]?.behindMs ?? 0);
    return stat.call(this, path);
  });
  try {
    feed?.listener.changed([{ path: Buffer.from('new'), whole: false }]);
    await pair.until(() => behind.length > 0, 'it is looked at');
    expect(behind[0]).toBeGreaterThan(0);
  } finally {
    looking.mockRestore();
  }
});

test('a feed that lost changes and goes on: everything is looked at', async () => {
  const [feed, ...more] = await withUntold();
  feed?.listener.lost({ says: 'the queue of changes overflowed', ended: false });
  await pair.until(() => pair.differences().length === 0, 'the copy is equal');
  expect(more).toEqual([]);
  expect(pair.said.join('\n')).toMatch(/overflowed; everything is looked at/);
  await pair.until(() => pair.source.state().targets[0]?.behindMs === 0, 'nothing is unseen');
});

test('a feed that ended: everything is looked at, and again when there is a new one', async () => {
  const feeds = await withUntold();
  feeds[0]?.listener.lost({ says: 'the change feed ended', ended: true });
  await pair.until(() => pair.differences().length === 0, 'the copy is equal');
  expect(feeds).toHaveLength(1);
  await pair.until(() => feeds.length === 2, 'there is a new feed');
  expect(feeds[0]?.closed).toBe(true);
  await pair.until(() => pair.source.state().targets[0]?.behindMs === 0, 'nothing is unseen');
  writeFileSync(pair.at('told'), 'told');
  feeds[1]?.listener.changed([{ path: Buffer.from('told'), whole: false }]);
  await pair.until(() => pair.differences().length === 0, 'the new one is heard');
});

test('a failure of one session is told until the target has caught up again', async () => {
  pair = await makePair();
  await pair.settle();
  const open = jest.spyOn(Tree.prototype, 'openRead').mockImplementationOnce(() => {
    throw new OsError('EMFILE', 'openRead', null);
  });
  writeFileSync(pair.at('large'), Buffer.alloc(100_000, 1));
  await pair.until(() => pair.said.some((says) => says.includes('the source failed')), 'it failed');
  open.mockRestore();
  await pair.settle();
  expect(pair.source.state()).toMatchObject({ says: '', targets: [{ state: 'replicating' }] });
  expect(pair.differences()).toEqual([]);
});

/** Of 4,840 bytes. */
function makeLongPath(root: string): void {
  const tree = Tree.open(root);
  let path = 'd'.repeat(120);
  for (let i = 0; i < 40; i += 1) {
    tree.makeFolder(Buffer.from(path), 0o755);
    path = `${path}/${'d'.repeat(120)}`;
  }
  tree.close();
}

/** Node's own rm refuses what is so long. */
function removeAll(): void {
  for (const root of [pair.sourceRoot, pair.targetRoot]) execFileSync('rm', ['-rf', dirname(root)]);
}

test('a path that is too long to travel stays here, and the rest goes on', async () => {
  pair = await makePair({ closed: removeAll });
  await pair.settle();
  makeLongPath(pair.sourceRoot);
  writeFileSync(pair.at('other'), 'other');
  await pair.settle();
  expect(existsSync(`${pair.targetRoot}/other`)).toBe(true);
  expect(existsSync(`${pair.targetRoot}/${'d'.repeat(120)}`)).toBe(true);
});

test('nor does one in a target’s folder end its comparison', async () => {
  pair = await makePair({
    closed: removeAll,
    prepare: (_, targetRoot) => {
      makeLongPath(targetRoot);
    },
  });
  writeFileSync(pair.at('other'), 'other');
  await pair.settle();
  expect(existsSync(`${pair.targetRoot}/other`)).toBe(true);
});

/** A walk takes longer than one slice of it. */
function slowWalks(): jest.Spied<Tree['statChildren']> {
  const list: (this: Tree, path: Buffer) => ChildStat[] = Reflect.get(Tree.prototype, 'statChildren');
  return jest.spyOn(Tree.prototype, 'statChildren').mockImplementation(function (this: Tree, path) {
    const end = performance.now() + 15;
    while (performance.now() < end);
    return list.call(this, path);
  });
}

/** The number at which the target is said to be in step, once it is equal. */
async function drained(): Promise<number> {
  const [one] = await pair.source.drain(null, 15_000);
  if (one?.kind !== 'in-step') throw new Error(pair.story(JSON.stringify(one)));
  await pair.until(() => pair.differences().length === 0, 'the copy is equal');
  return one.sequence;
}

test('a drain after changes were lost waits until everything was looked at', async () => {
  const [feed] = await withUntold();
  const slow = slowWalks();
  feed?.listener.lost({ says: 'the queue of changes overflowed', ended: false });
  expect(await drained()).toBe(pair.sourceCatalog.lastSequence);
  slow.mockRestore();
});

const toldOf = (names: readonly string[]): { path: Buffer; whole: boolean }[] =>
  names.map((name) => ({ path: Buffer.from(name), whole: false }));

test('so does one after more was told than is remembered', async () => {
  const [feed] = await withUntold();
  // Nothing is there; to find that out for each takes too long.
  const take: (this: Dirty) => ReadonlyMap<string, Told> = Reflect.get(Dirty.prototype, 'take');
  const taken = jest.spyOn(Dirty.prototype, 'take').mockImplementation(function (this: Dirty) {
    const told = take.call(this);
    return told.size > 1_000 ? new Map() : told;
  });
  const slow = slowWalks();
  const many = Array.from({ length: 200_000 }, (_, i) => `none-${String(i)}`);
  feed?.listener.changed(toldOf([...many, 'changed', 'new', 'removed']));
  expect(pair.source.state().targets[0]?.behindMs).toBeGreaterThan(0);
  expect(await drained()).toBe(pair.sourceCatalog.lastSequence);
  taken.mockRestore();
  slow.mockRestore();
});

test('so does one after a path was told that could not be looked at', async () => {
  const [feed] = await withUntold();
  const stat = jest.spyOn(Tree.prototype, 'stat').mockImplementationOnce(() => {
    throw new OsError('EIO', 'statx', null);
  });
  feed?.listener.changed(toldOf(['changed', 'new', 'removed']));
  await pair.until(() => stat.mock.calls.length > 0, 'it was looked at');
  await pair.settle();
  stat.mockRestore();
  expect(pair.differences()).toEqual([]);
});

test('a folder that can not be looked at is a reason, and is looked at again soon', async () => {
  pair = await makePair({ prepare: (root) => mkdirSync(`${root}/folder`) });
  await pair.settle();
  const stat: (this: Tree, path: Buffer) => Stat | null = Reflect.get(Tree.prototype, 'stat');
  const refused = jest.spyOn(Tree.prototype, 'stat').mockImplementation(function (this: Tree, path) {
    if (path.toString() === 'folder' && this.root.toString() === pair.sourceRoot)
      throw new OsError('EIO', 'statx', path);
    return stat.call(this, path);
  });
  const walk = jest.spyOn(Tree.prototype, 'statChildren').mockImplementation(() => {
    throw new OsError('EIO', 'statChildren', null);
  });
  writeFileSync(pair.at('folder/new'), 'new');
  await pair.until(() => /"folder" can't be read: .*EIO/.test(pair.source.state().says), 'it is told');
  // What can be looked at meanwhile is no reason to be silent.
  writeFileSync(pair.at('other'), 'other');
  await pair.until(() => existsSync(`${pair.targetRoot}/other`), 'the rest goes on');
  expect(pair.source.state().says).toMatch(/EIO/);
  refused.mockRestore();
  walk.mockRestore();
  await pair.until(() => pair.source.state().says === '', 'everything was looked at');
  await pair.until(() => pair.source.state().targets[0]?.behindMs === 0, 'nothing is unseen');
  expect(pair.differences()).toEqual([]);
});

/** The root can't be listed in any way. */
function unlistedRoot(): () => void {
  const refuse = (): never => {
    throw new OsError('EIO', 'readFolder', null);
  };
  const spies = [
    jest.spyOn(Tree.prototype, 'statChildren').mockImplementation(refuse),
    jest.spyOn(Tree.prototype, 'readFolder').mockImplementation(refuse),
  ];
  return () => {
    for (const spy of spies) spy.mockRestore();
  };
}

test('and what can not be looked at is not in step, whatever the feed says', async () => {
  const [feed] = await withUntold();
  const restore = unlistedRoot();
  feed?.listener.lost({ says: 'the queue of changes overflowed', ended: false });
  const [told] = await pair.source.drain(null, 5_000);
  expect(told).toMatchObject({ kind: 'behind' });
  expect(JSON.stringify(told)).toMatch(/the last changes can't all be found: .*EIO/);
  restore();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});

/** The source refuses this path, and to list it, until the answer is called. */
function refusing(name: string, code: string): () => void {
  type Looks = 'stat' | 'statChildren' | 'readFolder';
  const refuse = <Found>(tree: Tree, path: Buffer, call: Looks, look: () => Found): Found => {
    const isOurs = tree.root.toString() === pair.sourceRoot;
    // Who lists its folder meets it there.
    const meets = path.toString() === name || (call === 'statChildren' && path.length === 0);
    if (isOurs && meets) throw new OsError(code, call, path);
    return look();
  };
  const stat: (this: Tree, path: Buffer) => Stat | null = Reflect.get(Tree.prototype, 'stat');
  const list: (this: Tree, path: Buffer) => ChildStat[] = Reflect.get(Tree.prototype, 'statChildren');
  const read: (this: Tree, path: Buffer) => ListedEntry[] = Reflect.get(Tree.prototype, 'readFolder');
  const spies = [
    jest.spyOn(Tree.prototype, 'stat').mockImplementation(function (this: Tree, path) {
      return refuse(this, path, 'stat', () => stat.call(this, path));
    }),
    jest.spyOn(Tree.prototype, 'statChildren').mockImplementation(function (this: Tree, path) {
      return refuse(this, path, 'statChildren', () => list.call(this, path));
    }),
    jest.spyOn(Tree.prototype, 'readFolder').mockImplementation(function (this: Tree, path) {
      return refuse(this, path, 'readFolder', () => read.call(this, path));
    }),
  ];
  return () => {
    for (const spy of spies) spy.mockRestore();
  };
}

test.each(['EACCES', 'EIO'])('a folder that answers %s is not in step, and the rest is', async (code) => {
  const [feed] = await withUntold();
  mkdirSync(pair.at('folder'));
  writeFileSync(pair.at('folder/in'), 'in');
  const restore = refusing('folder', code);
  feed?.listener.lost({ says: 'the queue of changes overflowed', ended: false });
  await pair.until(() => existsSync(`${pair.targetRoot}/new`), 'the rest goes on');
  const [told] = await pair.source.drain(null, 5_000);
  expect(told).toMatchObject({ kind: 'behind' });
  expect(JSON.stringify(told)).toContain(code);
  expect(existsSync(`${pair.targetRoot}/removed`)).toBe(false);
  restore();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
  expect(pair.source.state().says).toBe('');
});

test('a first copy waits for no folder that can not be looked at, and is not in step without it', async () => {
  pair = new MirrorPair({
    prepare: (root) => {
      mkdirSync(`${root}/folder`);
      writeFileSync(`${root}/folder/in`, 'in');
      writeFileSync(`${root}/other`, 'other');
    },
  });
  const restore = refusing('folder', 'EACCES');
  await pair.start();
  await pair.until(() => existsSync(`${pair.targetRoot}/other`), 'the rest is copied');
  const [told] = await pair.source.drain(null, 5_000);
  expect(told).toMatchObject({ kind: 'behind' });
  restore();
  await pair.settle();
  expect(pair.differences()).toEqual([]);
});
