/** Which files are mirrored: patterns over bytes, pruning, and roots that are refused. */

import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkRoot, Selection } from '../src/files/selection.ts';

const select = (include: string[], exclude: string[] = [], devices = false): Selection =>
  new Selection({ include, exclude, devices });

const has = (selection: Selection, path: string): boolean => selection.includes(Buffer.from(path), 'file');

describe('selection', () => {
  test('without patterns everything is mirrored but what is ours, sockets and devices', () => {
    const all = select([]);
    expect(has(all, 'a/b')).toBe(true);
    expect(all.includes(Buffer.alloc(0))).toBe(true);
    expect(has(all, '.holdfast-d3/s-1')).toBe(false);
    expect(has(all, 'a/.holdfast-x')).toBe(false);
    expect(has(all, 'a/x.holdfast-x')).toBe(true);
    expect(all.includes(Buffer.from('a'), 'socket')).toBe(false);
    expect(all.includes(Buffer.from('a'), 'char')).toBe(false);
    expect(select([], [], true).includes(Buffer.from('a'), 'char')).toBe(true);
  });

  test.each([
    ['database/**', 'database', true],
    ['database/**', 'database/a/b', true],
    ['database/**', 'databases/a', false],
    ['database', 'database/a/b', true],
    ['*.db', 'a.db', true],
    ['*.db', 'x/a.db', false],
    ['**/*.db', 'a.db', true],
    ['**/*.db', 'x/y/a.db', true],
    ['**/logs/**/*.gz', 'logs/a.gz', true],
    ['**/logs/**/*.gz', 'x/logs/y/z/a.gz', true],
    ['**/logs/**/*.gz', 'x/log/a.gz', false],
    ['a?c', 'abc', true],
    ['a?c', 'ac', false],
    ['[a-c]1', 'b1', true],
    ['[!a-c]1', 'b1', false],
    ['[]x]1', ']1', true],
    ['{a,b/c}/d', 'b/c/d', true],
    ['{a,b/c}/d', 'b/d', false],
    ['x{1,{2,3}}', 'x3', true],
    ['x{1}', 'x{1}', true],
    ['\\*', '*', true],
    ['\\*', 'a', false],
    ['a*b*c', 'aXbYbZc', true],
    ['a*b*c', 'aXbYbZ', false],
  ])('include %s: is %s mirrored? %s', (pattern, path, expected) => {
    expect(has(select([pattern]), path)).toBe(expected);
  });

  test('an excluded folder takes everything beneath with it, and wins', () => {
    const some = select(['a/**'], ['**/*.tmp', 'a/cache']);
    expect(has(some, 'a/x')).toBe(true);
    expect(has(some, 'a/x.tmp')).toBe(false);
    expect(has(some, 'a/x.tmp/inside')).toBe(false);
    expect(has(some, 'a/cache/deep/x')).toBe(false);
  });

  test('folders above what is included travel, folders that can not hold any are not entered', () => {
    const some = select(['a/b/*.db']);
    expect(some.enters(Buffer.from('a'))).toBe(true);
    expect(some.enters(Buffer.from('a/b'))).toBe(true);
    expect(some.enters(Buffer.from('a/c'))).toBe(false);
    expect(some.enters(Buffer.from('b'))).toBe(false);
    expect(has(some, 'a')).toBe(false);
  });

  test('names are bytes', () => {
    const some = select(['*x']);
    expect(some.includes(Buffer.from([0xff, 0xfe, 0x78]), 'file')).toBe(true);
    expect(some.includes(Buffer.from([0xff, 0x78, 0xfe]), 'file')).toBe(false);
  });

  test('a pattern that would take for ever in a naive matcher does not', () => {
    const started = performance.now();
    expect(has(select([`${'*a'.repeat(100)}b`]), 'a'.repeat(255))).toBe(false);
    expect(performance.now() - started).toBeLessThan(500);
  });

  test('the digest tells selections apart, not the order of their patterns', () => {
    expect(select(['a', 'b']).digest).toEqual(select(['b', 'a']).digest);
    expect(select(['a']).digest).not.toEqual(select([], ['a']).digest);
    expect(select([]).digest).not.toEqual(select([], [], true).digest);
  });

  test('patterns that can not be read are refused with a reason', () => {
    expect(() => select(['a[b'])).toThrow('without its ]');
    expect(() => select(['{a,b}'.repeat(9)])).toThrow('alternatives');
  });
});

describe('roots', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-roots-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const says = (root: string): string => {
    const checked = checkRoot(root, join(folder, 'state'));
    return checked.kind === 'allowed' ? 'allowed' : checked.says;
  };

  test('the system, our own state and what holds it are refused, whatever links lead there', () => {
    for (const name of ['state/mirror', 'data', 'holds']) mkdirSync(join(folder, name), { recursive: true });
    symlinkSync('/usr', join(folder, 'link'));
    expect(says(join(folder, 'data'))).toBe('allowed');
    for (const root of ['/', '/proc', '/sys', '/dev', '/etc', '/usr', '/usr/share', '/bin', '/lib']) {
      expect(says(root)).toContain('part of the system');
    }
    expect(says(join(folder, 'link'))).toContain('part of the system');
    expect(says(join(folder, 'state/mirror'))).toContain('its own state');
    expect(says(folder)).toContain('choose a folder beside it');
    expect(says('data')).toContain('not absolute');
    expect(says(join(folder, 'missing'))).toContain('make it first');
  });
});
