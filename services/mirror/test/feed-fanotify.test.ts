import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { createFeed } from '../src/feed/feed.ts';
import { Tree } from '../src/os/tree.ts';
import { type Watched, watched } from './feed-fixture.ts';

let open: Watched | null = null;
afterEach(async () => {
  await open?.close();
  open = null;
});

async function watching(...options: Parameters<typeof watched>): Promise<Watched> {
  open = await watched(...options);
  expect(open.started).toEqual({ kind: 'watching' });
  return open;
}

it('is no feed where the root is gone, and makes nothing in its place', async () => {
  open = await watched(
    (root) => rmSync(root, { recursive: true }),
    [],
    (options) => createFeed({ ...options, markers: join(options.root, 'ours', 'markers'), where: 'here' }),
  );
  expect(open.started).toMatchObject({ kind: 'none', says: expect.stringContaining('no such file') });
  expect(existsSync(open.at(''))).toBe(false);
});

describe('what is told', () => {
  const changes: readonly [string, (at: (name: string) => string) => void, readonly string[]][] = [
    [
      'a file that is written',
      (at) => {
        appendFileSync(at('file'), 'x');
      },
      ['file'],
    ],
    [
      'a file that is made shorter',
      (at) => {
        truncateSync(at('file'), 0);
      },
      ['file'],
    ],
    [
      'a new mode',
      (at) => {
        chmodSync(at('a/deep/file'), 0o600);
      },
      ['a/deep/file'],
    ],
    [
      'new times',
      (at) => {
        utimesSync(at('file'), 1, 1);
      },
      ['file'],
    ],
    [
      'a new mode of a folder',
      (at) => {
        chmodSync(at('a/deep'), 0o700);
      },
      ['a/deep'],
    ],
    [
      'a new mode of the root',
      (at) => {
        chmodSync(at(''), 0o700);
      },
      [''],
    ],
    [
      'a new file',
      (at) => {
        writeFileSync(at('a/new'), '');
      },
      ['a/new'],
    ],
    [
      'a symbolic link',
      (at) => {
        symlinkSync('x', at('a/link'));
      },
      ['a/link'],
    ],
    [
      'a second name',
      (at) => {
        linkSync(at('file'), at('a/second'));
      },
      ['a/second'],
    ],
    [
      'a file that is gone',
      (at) => {
        unlinkSync(at('a/deep/file'));
      },
      ['a/deep/file'],
    ],
    [
      'a file with another name',
      (at) => {
        renameSync(at('file'), at('a/name'));
      },
      ['a/name', 'file'],
    ],
    [
      'a new folder',
      (at) => {
        mkdirSync(at('a/deep/folder'));
      },
      ['a/deep/folder'],
    ],
    [
      'a folder that is gone',
      (at) => {
        rmSync(at('a'), { recursive: true });
      },
      ['a'],
    ],
    [
      'odd bytes',
      (at) => {
        writeFileSync(Buffer.from(`${at('')}/\xff\n\x01`, 'latin1'), '');
      },
      ['\xff\n\x01'],
    ],
  ];
  it.each(changes)('is %s', async (_, change, expected) => {
    const here = await watching((root) => {
      mkdirSync(join(root, 'a/deep'), { recursive: true });
      writeFileSync(join(root, 'a/deep/file'), 'x');
      writeFileSync(join(root, 'file'), 'x');
    });
    change((name) => here.at(name));
    await here.settled();
    for (const path of expected) expect([...here.told.keys()]).toContain(path);
    expect(here.lost).toEqual([]);
  });

  it('is new extended attributes', async () => {
    const here = await watching((root) => {
      writeFileSync(join(root, 'file'), 'x');
    });
    const tree = Tree.open(here.at(''));
    tree.setExtended(Buffer.from('file'), [[Buffer.from('user.a'), Buffer.from('1')]]);
    tree.close();
    await here.settled();
    expect([...here.told.keys()]).toEqual(['file']);
  });

  it('is nothing of what is outside the root or excluded', async () => {
    const here = await watching(
      (root) => {
        mkdirSync(join(root, 'staging/inner'), { recursive: true });
      },
      ['staging'],
    );
    writeFileSync(join(here.dir, 'outside'), 'x');
    mkdirSync(join(here.dir, 'rootlike'));
    writeFileSync(join(here.dir, 'rootlike/file'), 'x');
    writeFileSync(here.at('staging/file'), 'x');
    writeFileSync(here.at('staging/inner/file'), 'x');
    chmodSync(here.at('staging'), 0o700);
    await here.settled();
    expect([...here.told.keys()]).toEqual([]);
    renameSync(here.at('staging/file'), here.at('applied'));
    await here.settled();
    expect([...here.told.keys()]).toEqual(['applied']);
  });
});

describe('paths that are too long for the kernel', () => {
  it('are told by a folder above them, as a whole, and outside the root not at all', async () => {
    const here = await watching();
    const parts = Array.from({ length: 40 }, (_, depth) => `${String(depth)}-${'x'.repeat(120)}`);
    for (const dir of [here.at(''), here.dir]) {
      const tree = Tree.open(dir);
      const folders = parts.map((_, depth) => Buffer.from(parts.slice(0, depth + 1).join('/')));
      for (const folder of folders) tree.makeFolder(folder, 0o755);
      await here.settled();
      here.told.clear();
      tree.makeFifo(Buffer.from(`${parts.join('/')}/fifo`), 0o600);
      await here.settled();
      const told = [...here.told];
      if (dir === here.dir) expect(told).toEqual([]);
      else expect(told).toEqual([[expect.stringMatching(/^0-x+\/.*x$/), true]]);
      tree.removeAll(Buffer.from(parts[0] ?? ''));
      tree.close();
    }
    expect(here.lost).toEqual([]);
  });
});

describe('folders that move', () => {
  it('are told by both names, and the new one as a whole', async () => {
    const here = await watching((root) => {
      mkdirSync(join(root, 'a/deep'), { recursive: true });
    });
    writeFileSync(here.at('a/deep/before'), 'x');
    await here.settled();
    renameSync(here.at('a'), here.at('b'));
    writeFileSync(here.at('b/deep/after'), 'x');
    mkdirSync(here.at('a'));
    await here.settled();
    expect(Object.fromEntries(here.told)).toMatchObject({ a: false, b: true, 'a/deep/before': false });
    expect(here.told.has('b/deep/after')).toBe(true);
    here.told.clear();
    writeFileSync(here.at('b/deep/later'), 'x');
    await here.settled();
    expect([...here.told.keys()]).toEqual(['b/deep/later']);
  });

  it('out of the root are not told any more, and into it they are', async () => {
    const here = await watching((root) => {
      mkdirSync(join(root, 'a/deep'), { recursive: true });
    });
    writeFileSync(here.at('a/deep/file'), 'x');
    await here.settled();
    const outside = join(here.dir, 'outside');
    renameSync(here.at('a'), outside);
    await here.settled();
    here.told.clear();
    writeFileSync(join(outside, 'deep/file'), 'y');
    await here.settled();
    expect([...here.told.keys()]).toEqual([]);
    renameSync(outside, here.at('back'));
    writeFileSync(here.at('back/deep/file'), 'z');
    await here.settled();
    expect(Object.fromEntries(here.told)).toEqual({ back: true, 'back/deep/file': false });
  });

  it('may be above the root', async () => {
    const here = await watching((root) => {
      mkdirSync(join(root, 'a/deep'), { recursive: true });
    });
    writeFileSync(here.at('a/file'), 'x');
    await here.settled();
    here.told.clear();
    // Renamed and back, because the markers lie beneath it: what happens meanwhile is told by the paths in the root.
    renameSync(here.dir, `${here.dir}-moved`);
    writeFileSync(join(`${here.dir}-moved`, 'root/a/deep/new'), 'x');
    renameSync(`${here.dir}-moved`, here.dir);
    writeFileSync(here.at('a/deep/newer'), 'x');
    await here.settled();
    expect([...here.told.keys()].sort()).toEqual(['a/deep/new', 'a/deep/newer']);
  });
});

describe('a barrier', () => {
  it('comes after everything that happened before', async () => {
    const here = await watching();
    for (let round = 0; round < 50; round += 1) {
      const name = `file ${String(round)}`;
      writeFileSync(here.at(name), 'x');
      await here.settled();
      expect(here.told.has(name)).toBe(true);
    }
  });

  it('is not known before the start and after the end', async () => {
    const here = await watching();
    const pending = here.feed.barrier();
    await here.feed.close();
    expect(await pending).toBe(false);
    expect(await here.feed.barrier()).toBe(false);
  });
});
