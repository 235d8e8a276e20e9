import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Tree } from '../src/os/tree.ts';
import { type Place, code, path, place } from './os-fixture.ts';

let here: Place;
beforeEach(() => {
  here = place();
});
afterEach(() => {
  here.close();
});

const write = (name: Buffer, text = 'contents'): void => {
  const fd = here.tree.createFile(name, 0o644);
  writeSync(fd, text);
  closeSync(fd);
};
const names = (folder = ''): string[] =>
  here.tree.readFolder(path(folder)).map(({ name }) => name.toString('latin1'));

describe('a name for what was made elsewhere', () => {
  const give = (): { kind: string | undefined; leavesFolder: boolean } => {
    const { stat, leavesFolder } = here.tree.give(path('made'), path('folder/name'));
    return { kind: stat?.kind, leavesFolder };
  };

  beforeEach(() => {
    here.tree.makeFolder(path('folder'), 0o755);
    write(path('made'), 'new');
  });

  it('is new', () => {
    expect(give()).toEqual({ kind: 'file', leavesFolder: false });
    expect([names(), readFileSync(here.at('folder/name'), 'utf8')]).toEqual([['folder'], 'new']);
  });

  it('is that of a file, which is gone', () => {
    write(path('folder/name'), 'old');
    expect(give()).toEqual({ kind: 'file', leavesFolder: false });
    expect([names(), readFileSync(here.at('folder/name'), 'utf8')]).toEqual([['folder'], 'new']);
  });

  it('is that of a folder, which is kept with all that is in it', () => {
    here.tree.makeFolder(path('folder/name'), 0o755);
    write(path('folder/name/inside'));
    expect(give()).toEqual({ kind: 'file', leavesFolder: true });
    expect([names('made'), readFileSync(here.at('folder/name'), 'utf8')]).toEqual([['inside'], 'new']);
  });
});

describe('looks at one path after another', () => {
  it('tell what they tell alone', () => {
    const { tree } = here;
    tree.makeFolder(path('folder'), 0o755);
    for (const name of ['file', 'folder/one', 'folder/two']) write(path(name));
    const all = ['', 'file', 'folder/one', 'folder/two', 'folder/none', 'none/one', 'file/one', 'folder'];
    const alone = all.map((name) => tree.stat(path(name)));
    expect(tree.near(() => all.map((name) => tree.stat(path(name))))).toEqual(alone);
    expect(() => tree.near(() => tree.stat(path('folder/../file')))).toThrow('EINVAL');
  });

  it('see another folder of that name the next time', () => {
    const { tree } = here;
    tree.makeFolder(path('folder'), 0o755);
    write(path('folder/one'));
    expect(tree.near(() => tree.stat(path('folder/one')))?.kind).toBe('file');
    tree.rename(path('folder'), path('before'));
    tree.makeFolder(path('folder'), 0o755);
    expect(tree.near(() => tree.stat(path('folder/one')))).toBeNull();
  });
});

describe('what an entry is', () => {
  it('tells of each kind what Node tells', () => {
    const { tree } = here;
    write(path('file'));
    tree.makeFolder(path('folder'), 0o1751);
    tree.makeLink(path('link'), path('no/where'));
    tree.makeFifo(path('fifo'), 0o600);
    expect(
      code(() => {
        tree.makeDevice(path('char'), 'char', 0o600, 1, 259);
      }),
    ).toBe('done');
    expect(
      code(() => {
        tree.makeDevice(path('block'), 'block', 0o600, 259, 70_000);
      }),
    ).toBe('done');
    const kinds = new Map(tree.readFolder(path('')).map((entry) => [entry.name.toString(), entry.kind]));
    for (const name of ['file', 'folder', 'link', 'fifo', 'char', 'block']) {
      const stat = tree.stat(path(name));
      const node = lstatSync(here.at(name), { bigint: true });
      expect(stat).toMatchObject({
        kind: name,
        mode: Number(node.mode & 0o7777n),
        uid: Number(node.uid),
        size: Number(node.size),
        inode: Number(node.ino),
        nlink: Number(node.nlink),
        blocks: Number(node.blocks),
        mtimeS: Number(node.mtimeNs / 1_000_000_000n),
        mtimeNs: Number(node.mtimeNs % 1_000_000_000n),
        ctimeS: Number(node.ctimeNs / 1_000_000_000n),
        ctimeNs: Number(node.ctimeNs % 1_000_000_000n),
      });
      expect(kinds.get(name)).toBe(name);
    }
    expect(tree.stat(path('char'))).toMatchObject({ deviceMajor: 1, deviceMinor: 259 });
    expect(tree.stat(path('block'))).toMatchObject({ deviceMajor: 259, deviceMinor: 70_000 });
    expect(tree.readLink(path('link')).toString()).toBe('no/where');
    expect(code(() => tree.readLink(path('file')))).toBe('EINVAL');
  });

  it('tells nothing of what is not there', () => {
    write(path('file'));
    expect(here.tree.stat(path('missing'))).toBeNull();
    expect(here.tree.stat(path('missing/too'))).toBeNull();
    expect(here.tree.stat(path('file/inside'))).toBeNull();
    expect(here.tree.stat(path(''))?.kind).toBe('folder');
  });

  it('tells of all children in one call what it tells of each', () => {
    for (let n = 0; n < 3000; n += 1) write(path(`a name that takes some room ${String(n)}`));
    const children = here.tree.statChildren(path(''));
    expect(children).toHaveLength(3000);
    for (const { name, stat } of children.slice(0, 50)) expect(here.tree.stat(name)).toEqual(stat);
  });
});

describe('names', () => {
  it('may hold any byte but slash and NUL', () => {
    const odd = Buffer.from(
      Array.from({ length: 255 }, (_, byte) => byte + 1).filter((byte) => byte !== 0x2f),
    );
    write(odd);
    expect(here.tree.readFolder(path('')).map(({ name }) => name)).toEqual([odd]);
    expect(here.tree.stat(odd)?.kind).toBe('file');
    here.tree.rename(odd, Buffer.from([0xff, 0x0a]));
    expect(readdirSync(here.root, { encoding: 'buffer' })).toEqual([Buffer.from([0xff, 0x0a])]);
  });

  it('have up to 255 bytes', () => {
    const longest = Buffer.alloc(255, 0xe4);
    write(longest);
    expect(here.tree.stat(longest)?.size).toBe(8);
    const longer = Buffer.alloc(256, 0xe4);
    expect(code(() => here.tree.createFile(longer, 0o644))).toBe('ENAMETOOLONG');
    expect(here.tree.stat(longer)).toBeNull();
    expect(
      code(() => {
        here.tree.rename(longest, longer);
      }),
    ).toBe('ENAMETOOLONG');
  });

  it('are beneath the root, or refused', () => {
    writeFileSync(join(here.dir, 'outside'), 'outside');
    const bad = [
      '..',
      '.',
      '../outside',
      'a/../../outside',
      '/etc/passwd',
      'a//b',
      'a/',
      '/',
      './a',
      'a\0b',
      'a/..',
    ];
    here.tree.makeFolder(path('a'), 0o755);
    write(path('file'));
    for (const text of bad) {
      const to = path(text);
      const calls = [
        () => here.tree.stat(to),
        () => here.tree.readFolder(to),
        () => here.tree.openRead(to),
        () => here.tree.openWrite(to),
        () => here.tree.createFile(to, 0o644),
        () => {
          here.tree.makeFolder(to, 0o755);
        },
        () => {
          here.tree.makeLink(to, path('x'));
        },
        () => {
          here.tree.makeFifo(to, 0o600);
        },
        () => {
          here.tree.hardLink(path('file'), to);
        },
        () => {
          here.tree.hardLink(to, path('new'));
        },
        () => {
          here.tree.rename(path('file'), to);
        },
        () => {
          here.tree.rename(to, path('new'));
        },
        () => {
          here.tree.remove(to);
        },
        () => here.tree.removeAll(to),
        () => {
          here.tree.setAttributes(to, { mode: 0 });
        },
        () => here.tree.setExtended(to, []),
      ];
      expect([text, ...calls.map(code)]).toEqual([text, ...calls.map(() => 'EINVAL')]);
    }
    expect(names().sort()).toEqual(['a', 'file']);
    expect(readdirSync(here.dir).sort()).toEqual(['outside', 'root']);
  });

  it('make paths deeper than the kernel takes at once', () => {
    const parts = Array.from({ length: 60 }, (_, depth) => `${String(depth)}-${'x'.repeat(120)}`);
    let folder = '';
    for (const part of parts) {
      folder = folder === '' ? part : `${folder}/${part}`;
      here.tree.makeFolder(path(folder), 0o755);
    }
    expect(folder.length).toBeGreaterThan(7000);
    write(path(`${folder}/file`));
    expect(here.tree.stat(path(`${folder}/file`))?.size).toBe(8);
    here.tree.rename(path(`${folder}/file`), path(`${folder}/moved`));
    expect(names(folder)).toEqual(['moved']);
    expect(here.tree.removeAll(path(parts[0] ?? ''))).toBe(true);
    expect(names()).toEqual([]);
  });
});

describe('opening', () => {
  it('never waits for a fifo, and touches no device', () => {
    here.tree.makeFifo(path('fifo'), 0o600);
    here.tree.makeDevice(path('null'), 'char', 0o666, 1, 3);
    here.tree.makeFolder(path('folder'), 0o755);
    for (const open of [here.tree.openRead.bind(here.tree), here.tree.openWrite.bind(here.tree)]) {
      expect(code(() => open(path('fifo')))).toBe('ENXIO');
      expect(code(() => open(path('null')))).toBe('ENXIO');
      expect(code(() => open(path('folder')))).toBe('EISDIR');
      expect(code(() => open(path('missing')))).toBe('ENOENT');
    }
    expect(here.tree.extended(path('fifo'))).toEqual([]);
    here.tree.setAttributes(path('fifo'), { mode: 0o640, mtimeS: 1, mtimeNs: 2 });
    expect(here.tree.stat(path('fifo'))).toMatchObject({ mode: 0o640, mtimeS: 1, mtimeNs: 2 });
  });

  it('to write changes what is there', () => {
    write(path('file'), 'before');
    const fd = here.tree.openWrite(path('file'));
    writeSync(fd, 'X', 2);
    closeSync(fd);
    const read = here.tree.openRead(path('file'));
    expect(readFileSync(read, 'utf8')).toBe('beXore');
    closeSync(read);
    expect(code(() => here.tree.createFile(path('file'), 0o644))).toBe('EEXIST');
  });

  it('is over when the tree is closed', () => {
    const tree = Tree.open(here.root);
    tree.close();
    tree.close();
    expect(code(() => tree.stat(path('')))).toBe('EBADF');
    expect(code(() => Tree.open(here.at('missing')))).toBe('ENOENT');
  });
});

describe('names that move', () => {
  it('replace, are kept, or change places', () => {
    write(path('one'), '1');
    write(path('two'), '22');
    expect(
      code(() => {
        here.tree.rename(path('one'), path('two'), { existing: 'keep' });
      }),
    ).toBe('EEXIST');
    here.tree.rename(path('one'), path('two'), { existing: 'exchange' });
    expect(here.tree.stat(path('one'))?.size).toBe(2);
    here.tree.rename(path('one'), path('two'));
    expect(names()).toEqual(['two']);
    expect(here.tree.stat(path('two'))?.size).toBe(2);
  });

  it('go to another tree', () => {
    const dir = mkdtempSync(join(here.dir, 'staging-'));
    const staging = Tree.open(dir);
    write(path('file'));
    here.tree.makeFolder(path('folder'), 0o755);
    here.tree.hardLink(path('file'), path('kept'), { toTree: staging });
    here.tree.rename(path('file'), path('moved'), { toTree: staging });
    staging.rename(path('kept'), path('folder/back'), { toTree: here.tree });
    expect(readdirSync(dir)).toEqual(['moved']);
    expect(here.tree.stat(path('folder/back'))?.nlink).toBe(2);
    staging.close();
    rmSync(dir, { recursive: true });
  });
});

describe('removing', () => {
  it('takes one entry, and no folder that holds something', () => {
    here.tree.makeFolder(path('a'), 0o755);
    write(path('a/file'));
    expect(
      code(() => {
        here.tree.remove(path('a'));
      }),
    ).toBe('ENOTEMPTY');
    here.tree.remove(path('a/file'));
    here.tree.remove(path('a'));
    expect(
      code(() => {
        here.tree.remove(path('a'));
      }),
    ).toBe('ENOENT');
    expect(
      code(() => {
        here.tree.remove(path(''));
      }),
    ).toBe('EBUSY');
    expect(code(() => here.tree.removeAll(path('')))).toBe('EBUSY');
  });

  it('takes everything beneath, in slices', () => {
    for (let n = 0; n < 20; n += 1) {
      mkdirSync(here.at(`all/${String(n)}/inner`), { recursive: true });
      for (let m = 0; m < 20; m += 1) writeFileSync(here.at(`all/${String(n)}/inner/${String(m)}`), '');
    }
    symlinkSync('/etc', here.at('all/link'));
    let slices = 0;
    while (!here.tree.removeAll(path('all'), performance.now() + 1)) slices += 1;
    expect(slices).toBeGreaterThan(0);
    expect(names()).toEqual([]);
    expect(here.tree.removeAll(path('all'))).toBe(true);
    expect(existsSync('/etc/passwd')).toBe(true);
  });
});

describe('attributes', () => {
  it('are set to the nanosecond, by name and by open file', () => {
    write(path('file'));
    for (const [mtimeS, mtimeNs] of [
      [1_700_000_000, 123_456_789],
      [-5, 999_999_999],
      [8_589_934_592, 1],
    ] as const) {
      here.tree.setAttributes(path('file'), { mtimeS, mtimeNs });
      expect(here.tree.stat(path('file'))).toMatchObject({ mtimeS, mtimeNs });
    }
    const fd = here.tree.openWrite(path('file'));
    here.tree.setAttributes(fd, { uid: 12, gid: 34, mode: 0o6755, mtimeS: 99, mtimeNs: 1 });
    closeSync(fd);
    const set = { uid: 12, gid: 34, mode: 0o6755, mtimeS: 99, mtimeNs: 1 };
    expect(here.tree.stat(path('file'))).toMatchObject(set);
    here.tree.setAttributes(path('file'), { gid: 35, mode: 0o6755 });
    expect(here.tree.stat(path('file'))).toMatchObject({ ...set, gid: 35 });
    here.tree.setAttributes(path(''), { mode: 0o2770 });
    expect(here.tree.stat(path(''))?.mode).toBe(0o2770);
  });

  it('of what is not there are errors with a code', () => {
    expect(
      code(() => {
        here.tree.setAttributes(path('missing'), { mode: 0 });
      }),
    ).toBe('ENOENT');
  });
});
