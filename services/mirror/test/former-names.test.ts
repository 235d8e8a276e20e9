/** Where what a batch speaks of was before it. */

import { expect, test } from '@jest/globals';
import { FormerNames } from '../src/files/target/former-names.ts';
import type { Redo } from '../src/files/target/redo.ts';
import { bytes, fileOf, folderOf } from './target-fixture.ts';

const move = (from: string, slot: number): Redo => ({ kind: 'move', from: bytes(from), slot });
const remove = (path: string): Redo => ({ kind: 'remove', path: bytes(path) });
const place = (slot: number, to: string): Redo => ({ kind: 'place', slot, to: bytes(to) });
const put = (path: string, kind: 'file' | 'folder' = 'file'): Redo => ({
  kind: 'put',
  path: bytes(path),
  attributes: kind === 'file' ? fileOf(0) : folderOf(),
  contents: bytes(''),
  staged: 0,
});

function after(...operations: readonly Redo[]): (path: string) => string | null {
  const names = new FormerNames();
  for (const operation of operations) names.note(operation);
  return (path) => names.of(bytes(path))?.toString() ?? null;
}

test('what a batch does not touch is where it was', () => {
  const of = after(remove('a'), move('b/c', 1), put('d'));
  expect([of('x'), of('b/x'), of('ab'), of('b')]).toEqual(['x', 'b/x', 'ab', 'b']);
});

test('two folders that change places are found at each other’s', () => {
  const of = after(move('a', 1), move('b', 2), place(1, 'b'), place(2, 'a'));
  expect([of('a'), of('a/x/y'), of('b/x')]).toEqual(['b', 'b/x/y', 'a/x']);
});

test('what left a folder before it moved is not in it any more', () => {
  const of = after(move('a/x', 1), remove('a/y'), move('a', 2), place(2, 'c'), place(1, 'x'));
  expect([of('c/x'), of('c/y/deep'), of('c/z'), of('x'), of('a/z')]).toEqual([
    null,
    null,
    'a/z',
    'a/x',
    null,
  ]);
});

test('what a batch made is nothing of before, but a folder that is put again keeps what is in it', () => {
  const of = after(remove('gone'), put('gone', 'folder'), put('there', 'folder'), put('there/new'));
  expect([of('gone'), of('gone/x'), of('there/x'), of('there/new')]).toEqual([null, null, 'there/x', null]);
});
