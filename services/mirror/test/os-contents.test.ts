import { closeSync, fstatSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { syncFileSystem } from '../src/os/contents.ts';
import { type Place, code, path, place } from './os-fixture.ts';

const MIB = 1024 * 1024;
let here: Place;
beforeEach(() => {
  here = place();
});
afterEach(() => {
  here.close();
});

function opened<T>(name: string, use: (fd: number) => T): T {
  const there = here.tree.stat(path(name)) !== null;
  const fd = there ? here.tree.openWrite(path(name)) : here.tree.createFile(path(name), 0o644);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

/** Data at 1 MiB and at 5 MiB of 8 MiB, holes elsewhere. */
function sparse(fd: number): void {
  writeSync(fd, Buffer.alloc(MIB, 1), 0, MIB, MIB);
  writeSync(fd, Buffer.alloc(4096, 2), 0, 4096, 5 * MIB);
  truncateSync(here.at('sparse'), 8 * MIB);
}

describe('extended attributes', () => {
  /** version 2; owner rwx, user 1000 r--, group r-x, mask rwx, others none (linux/posix_acl_xattr.h). */
  const accessList = Buffer.from(
    '02000000' +
      '0100' +
      '0700' +
      'ffffffff' +
      '0200' +
      '0400' +
      'e8030000' +
      '0400' +
      '0500' +
      'ffffffff' +
      '1000' +
      '0700' +
      'ffffffff' +
      '2000' +
      '0000' +
      'ffffffff',
    'hex',
  );
  const pair = (name: string, value: Buffer): [Buffer, Buffer] => [path(name), value];

  it('of users, access lists and capabilities come back as they were set', () => {
    opened('file', () => undefined);
    here.tree.makeFolder(path('folder'), 0o755);
    // Capability version 2: net_bind_service, permitted and effective (linux/capability.h).
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    const list = [
      pair('security.capability', capability),
      pair('system.posix_acl_access', accessList),
      pair('user.empty', Buffer.alloc(0)),
      [Buffer.from('user.\xff\xfe', 'latin1'), Buffer.from([0, 1, 255])] as [Buffer, Buffer],
    ].sort(([one], [other]) => Buffer.compare(one, other));
    expect(here.tree.setExtended(path('file'), list)).toEqual([]);
    expect(here.tree.extended(path('file'))).toEqual(list);
    expect(here.tree.stat(path('file'))?.mode).toBe(0o770);
    const defaults = [pair('system.posix_acl_default', accessList)];
    expect(here.tree.setExtended(path('folder'), defaults)).toEqual([]);
    expect(here.tree.extended(path('folder'))).toEqual(defaults);
    opened('file', (fd) => {
      expect(here.tree.extended(fd)).toEqual(list);
    });
  });

  it('that are not in the list are removed, and others are left alone', () => {
    opened('file', () => undefined);
    here.tree.setExtended(path('file'), [pair('user.a', path('1')), pair('user.b', path('2'))]);
    here.tree.setExtended(path('file'), [pair('user.b', path('3')), pair('user.c', path('4'))]);
    const text = here.tree.extended(path('file')).map(([name, value]) => `${String(name)}=${String(value)}`);
    expect(text).toEqual(['user.b=3', 'user.c=4']);
    here.tree.setExtended(path('file'), []);
    expect(here.tree.extended(path('file'))).toEqual([]);
  });

  it('that are not permitted are named', () => {
    here.tree.makeLink(path('link'), path('nowhere'));
    opened('file', () => undefined);
    expect(here.tree.setExtended(path('link'), [pair('user.a', path('1'))])).toEqual([
      { name: path('user.a'), code: 'EPERM' },
    ]);
    expect(here.tree.extended(path('link'))).toEqual([]);
    const foreign = [pair('security.selinux', path('x')), pair('trusted.overlay.opaque', path('y'))];
    expect(here.tree.setExtended(path('file'), foreign).map(({ code: why }) => why)).toEqual([
      'EINVAL',
      'EINVAL',
    ]);
    expect(code(() => here.tree.setExtended(path('file'), [pair('user.a\0b', path('1'))]))).toBe('EINVAL');
  });
});

describe('holes', () => {
  it('are found, and stay in a copy', () => {
    opened('sparse', (fd) => {
      sparse(fd);
      const segments = [
        { offset: MIB, length: MIB },
        { offset: 5 * MIB, length: 4096 },
      ];
      expect(here.tree.dataSegments(fd)).toEqual(segments);
      expect(here.tree.dataSegments(fd, 0, 1)).toEqual(segments.slice(0, 1));
      expect(here.tree.dataSegments(fd, 2 * MIB)).toEqual(segments.slice(1));
      expect(here.tree.dataSegments(fd, 6 * MIB)).toEqual([]);
      opened('copy', (to) => {
        expect(['cloned', 'copied']).toContain(here.tree.cloneOrCopy(fd, to));
        expect(here.tree.dataSegments(to)).toEqual(segments);
        expect(fstatSync(to).size).toBe(8 * MIB);
      });
    });
    expect(readFileSync(here.at('copy')).equals(readFileSync(here.at('sparse')))).toBe(true);
  });

  it('stay in a copy that is made in slices', () => {
    opened('sparse', (fd) => {
      sparse(fd);
      opened('copy', (to) => {
        const slices = here.tree.copySlices(fd, to);
        let bytes = 0;
        let step = slices.next();
        for (; step.done !== true; step = slices.next()) bytes += step.value;
        expect(step.value === 'cloned' ? MIB + 4096 : bytes).toBe(MIB + 4096);
        expect(readFileSync(here.at('copy')).equals(readFileSync(here.at('sparse')))).toBe(true);
      });
    });
  });

  it('are made without a change of size', () => {
    opened('sparse', (fd) => {
      sparse(fd);
      here.tree.punch(fd, MIB, MIB);
      here.tree.punch(fd, 7 * MIB, 9 * MIB);
      expect(here.tree.dataSegments(fd)).toEqual([{ offset: 5 * MIB, length: 4096 }]);
      expect(fstatSync(fd).size).toBe(8 * MIB);
    });
  });

  it('are none in an empty file', () => {
    opened('empty', (fd) => {
      expect(here.tree.dataSegments(fd)).toEqual([]);
    });
  });
});

describe('durability', () => {
  it('of a whole file system is waited for, and its failure is told', async () => {
    const fd = openSync(here.root, 'r');
    await syncFileSystem(fd);
    closeSync(fd);
    await expect(syncFileSystem(fd)).rejects.toMatchObject({ code: 'EIO', call: 'syncfs' });
  });
});
