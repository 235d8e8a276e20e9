/** A disk that takes only a part of what is written, as one does that fills: nothing is left half written without a word. */

import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';

const takes = 1_000;
const headerBytes = 17;

jest.unstable_mockModule('node:fs', () => ({
  ...fs,
  writeSync: (
    fd: number,
    bytes: Buffer,
    at = 0,
    length = bytes.length - at,
    position: number | null = null,
  ) => fs.writeSync(fd, bytes, at, Math.min(length, takes), position),
}));
const { Tree } = await import('../src/os/tree.ts');
const { mend } = await import('../src/files/target/mend.ts');
const { prepareFiles } = await import('../src/catalog/data-file.ts');

let dir: string;

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), 'holdfast-short-'));
});

afterEach(() => {
  fs.rmSync(dir, { recursive: true, force: true });
});

/** A list of changed blocks as a stream stages it: one block at `offset`. */
function stagedList(offset: number, contents: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeDoubleBE(offset, 0);
  header.writeDoubleBE(contents.length, 8);
  return Buffer.concat([header, contents]);
}

test('what a power cut took of a file is written again as a whole', async () => {
  const tree = Tree.open(dir);
  const path = Buffer.from('file');
  fs.writeFileSync(join(dir, 'file'), '');
  const contents = Buffer.alloc(9_000, 'm');
  const attributes = { kind: 'file' as const, size: contents.length };
  await mend({ tree } as never, [
    { operations: [{ kind: 'put', path, attributes, contents, staged: 0 }] } as never,
  ]);
  expect(fs.readFileSync(join(dir, 'file')).equals(contents)).toBe(true);
  tree.close();
});

test('so are the changed blocks of a large one', async () => {
  const tree = Tree.open(dir);
  fs.writeFileSync(join(dir, 'file'), Buffer.alloc(9_000));
  fs.writeFileSync(join(dir, 's-7'), stagedList(4_096, Buffer.alloc(4_096, 'm')));
  const ground = { tree, stage: tree, staging: { pathOf: () => join(dir, 's-7') } };
  const patch = { kind: 'patch', path: Buffer.from('file'), attributes: { size: 9_000 }, staged: 7 };
  await mend(ground as never, [{ operations: [patch] } as never]);
  const now = fs.readFileSync(join(dir, 'file'));
  expect(now.subarray(4_096, 8_192).equals(Buffer.alloc(4_096, 'm'))).toBe(true);
  tree.close();
});

test('the lock file of a database has all of its room', () => {
  prepareFiles(dir);
  expect(fs.statSync(join(dir, 'lock.mdb')).size).toBe(16_384);
});
