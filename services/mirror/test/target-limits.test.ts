/** What a mad source may send within the limits of its frames, and what a file system has no place for. */

import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Flushing } from '../src/files/target/flushing.ts';
import { OpenBatch } from '../src/files/target/open-batch.ts';
import { Staging } from '../src/files/target/staging.ts';
import { Tree } from '../src/os/tree.ts';
import { decodeFrame, encodeFrame } from '../src/transport/frame.ts';
import type { Stage } from './target-fixture.ts';
import { bytes, openStage, patch, put, removal } from './target-fixture.ts';

let stage: Stage | null = null;

afterEach(async () => {
  await stage?.close();
  stage = null;
});

const GiB = 2 ** 30;
/** No more of a staging folder than that. */
const stagingWith = (parts: Partial<Staging>): Staging =>
  Object.assign(Object.create(Staging.prototype) as Staging, parts);
/** For batches that stage nothing. */
const noStaging = stagingWith({});

test('an extended attribute that does not fit into this file system is left out, and holds up nothing', async () => {
  stage = await openStage();
  const { source } = await stage.dial();
  const extended = [[bytes('user.large'), Buffer.alloc(30_000, 1)]] as const;
  await source.batch(10, [put('file', 'contents', { extended })]);
  await source.batch(11, [put('next', 'contents')]);
  expect(await stage.target.promote()).toMatchObject({ consistent: true, position: { sequence: 11 } });
  expect(readFileSync(stage.at('file'), 'utf8')).toBe('contents');
});

test('a size that no file can have is refused before anything is durable', async () => {
  const said: string[] = [];
  stage = await openStage(undefined, { retryMs: 300, pauseMs: 50, says: (sentence) => said.push(sentence) });
  const { source } = await stage.dial();
  await source.batch(10, [put('file', 'contents')]);
  await source.send(11, [patch('file', 2 ** 52, 1)], {
    contents: [{ stream: 1, pieces: [{ offset: 0, contents: bytes('x') }], bytes: 1 }],
  });
  await expect(source.next('ack', 20_000)).rejects.toThrow(/refused|ended/);
  expect(await stage.target.promote()).toMatchObject({ consistent: true, position: { sequence: 10 } });
  expect(said.join('\n')).toMatch(/too large/);
  expect(readFileSync(stage.at('file'), 'utf8')).toBe('contents');
});

test('a file of more than two gigabytes is patched', async () => {
  stage = await openStage();
  const { source } = await stage.dial();
  await source.batch(10, [put('file', 'contents')]);
  const pieces = [{ offset: 3 * GiB, contents: bytes('far') }];
  await source.batch(11, [patch('file', 3 * GiB + 3, 1)], { contents: [{ stream: 1, pieces, bytes: 3 }] });
  await stage.target.promote();
  const tree = Tree.open(stage.root);
  expect(tree.stat(bytes('file'))?.size).toBe(3 * GiB + 3);
  tree.close();
});

/** An operations frame with so many bytes of a field that nobody knows. */
function padded(operation: Parameters<typeof encodeFrame>[0], paddingBytes: number): Buffer {
  const payload = Buffer.concat(encodeFrame(operation)).subarray(5);
  const length = Buffer.of(
    (paddingBytes & 0x7f) | 0x80,
    ((paddingBytes >> 7) & 0x7f) | 0x80,
    paddingBytes >> 14,
  );
  return Buffer.concat([payload, Buffer.of(15 * 8 + 2), length, Buffer.alloc(paddingBytes)]);
}

test('of a frame that is mostly padding nothing but its operations is kept', () => {
  const open = new OpenBatch({ kind: 'begin', number: 1, consistent: true }, noStaging);
  const operations = [removal('r'), put('p', 'contents', { extended: [[bytes('user.x'), bytes('y')]] })];
  for (const operation of operations) {
    const frame = decodeFrame(8, padded({ kind: 'operations', operations: [operation] }, 900_000));
    if (frame.kind !== 'operations') throw new Error(frame.kind);
    expect(open.addAll(frame)).toBeNull();
  }
  const history = [{ epoch: 1n, sequence: 1 }];
  const commit = { kind: 'commit', number: 1, sequence: 1, consistent: true, hot: [], history } as const;
  const staged = open.close({ ...commit, checksum: '0123456789abcdef' }, 1n);
  if ('nonsense' in staged) throw new Error(staged.nonsense);
  const held = staged.batch.operations.flatMap((one) => {
    if (one.kind === 'remove') return [one.path];
    if (one.kind !== 'put') throw new Error(one.kind);
    return [one.path, one.contents, ...one.attributes.extended.flat()];
  });
  expect(held).toHaveLength(5);
  for (const view of held) expect(view.buffer.byteLength).toBeLessThan(100_000);
});

test('even an empty batch counts as something that waits', () => {
  const open = new OpenBatch({ kind: 'begin', number: 1, consistent: true }, noStaging);
  expect(open.weight).toBeGreaterThan(1_000);
});

test('a commit waits for all of a list of changed blocks, of holes as well', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-list-'));
  try {
    const list = join(dir, 'list');
    const create = (): { id: number; fd: number } => ({ id: 1, fd: openSync(list, 'wx+') });
    const staging = stagingWith({ create, flushing: new Flushing() });
    const open = new OpenBatch({ kind: 'begin', number: 1, consistent: true }, staging);
    expect(open.addAll({ kind: 'operations', operations: [patch('file', 8_192, 1)] })).toBeNull();
    expect(open.data({ kind: 'hole', stream: 1, offset: 0, length: 8_192 })).toBeNull();
    expect(open.end({ kind: 'stream-end', stream: 1, bytes: 8_192 })).toBeNull();
    const history = [{ epoch: 1n, sequence: 1 }];
    const checksum = '0123456789abcdef';
    const commit = {
      kind: 'commit',
      number: 1,
      sequence: 1,
      checksum,
      consistent: true,
      hot: [],
      history,
    } as const;
    expect(open.mustWait(commit)).toBe(true);
    while (open.mustWait(commit)) await open.progress();
    expect(statSync(list).size).toBe(17);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('contents wait while too much of what came before is on its way to the disk', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-flush-'));
  const fd = openSync(join(dir, 'staged'), 'wx+');
  try {
    const flushing = new Flushing();
    const open = new OpenBatch({ kind: 'begin', number: 1, consistent: true }, stagingWith({ flushing }));
    const data = { kind: 'data', stream: 1, offset: 0, contents: Buffer.alloc(1) } as const;
    flushing.wrote(100 << 20);
    // What nobody flushes would never be less.
    expect(open.mustWait(data)).toBe(false);
    let ended = 0;
    const done = (): void => void (ended += 1);
    flushing.begin(fd, 20 << 20, done);
    flushing.begin(fd, 20 << 20, done);
    expect(open.mustWait(data)).toBe(true);
    while (open.mustWait(data)) await open.progress();
    await flushing.idle();
    expect(ended).toBe(2);
    expect(flushing.isBehind).toBe(false);
  } finally {
    closeSync(fd);
    rmSync(dir, { recursive: true, force: true });
  }
});

test('what is done to an open entry is done to that one, whatever has its name by then', async () => {
  stage = await openStage();
  const { root } = stage;
  mkdirSync(join(root, 'folder'));
  writeFileSync(join(root, 'folder/a'), 'a');
  writeFileSync(join(root, 'folder/b'), 'b');
  const tree = Tree.open(root);
  const [a, b] = [bytes('folder/a'), bytes('folder/b')];
  const before = tree.stat(b)?.mode;
  tree.inOpen(a, (entry) => {
    tree.rename(b, a);
    entry.setAttributes({ mode: 0o4755 });
    expect(entry.stat.mode).toBe(0o4755);
  });
  expect(tree.stat(a)?.mode).toBe(before);
  tree.close();
});
