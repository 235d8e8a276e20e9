import { linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { FileOperation, Frame } from '../src/transport/types.ts';
import type { Contents, HandSource, Stage } from './target-fixture.ts';
import {
  big,
  bytes,
  fileOf,
  folder,
  folderOf,
  hardLink,
  link,
  move,
  openStage,
  patch,
  placed,
  put,
  set,
} from './target-fixture.ts';
import { snapshot } from './target-story.ts';

let stage: Stage;
let source: HandSource;
let outside: string;
let before: string;

beforeEach(async () => {
  stage = await openStage();
  outside = join(stage.dir, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  ({ source } = await stage.dial());
  await source.batch(10, [
    folder('a'),
    put('a/file', 'good'),
    link('a/way-out', '../../outside'),
    put('plain', 'good'),
  ]);
  await stage.target.foreignChanges();
  before = snapshot(stage.root);
});

afterEach(async () => {
  await stage.close();
});

/** What the target answers to nonsense. */
async function refusal(): Promise<string> {
  try {
    for (;;) await source.next('wants', 20_000);
  } catch (error) {
    return (error as { message: string }).message;
  }
}

async function untouched(sequence = 10): Promise<void> {
  while (stage.target.state().phase !== 'disconnected') await new Promise(setImmediate);
  expect(snapshot(stage.root)).toBe(before);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  expect(statSync(join(outside, 'secret')).mode & 0o777).toBe(0o644);
  expect(stage.target.state()).toMatchObject({ consistent: true, position: { sequence } });
  expect((await stage.target.foreignChanges()).named).toEqual([]);
  // It goes on with a source that makes sense.
  ({ source } = await stage.dial(7n, 10));
  await source.batch(11, [put('fine', 'fine')]);
}

const noContents: readonly Contents[] = [];
const manySlots = Array.from({ length: 70_000 }, (_, slot) => move(`f-${String(slot)}`, slot));
const nonsense: readonly [string, readonly FileOperation[], string][] = [
  ['a name beneath a symbolic link', [put('a/way-out/secret', 'pwned')], 'a name has no folder'],
  ['a removal beneath a link and a file beneath a file', [put('plain/inner', 'x')], 'a name has no folder'],
  ['a patch of a folder', [set('a', fileOf(4))], 'attributes for what is of another kind'],
  ['a hard link to a folder', [hardLink('b', 'a')], 'a hard link to what is no file'],
  ['a hard link beneath a link', [hardLink('b', 'a/way-out/secret')], 'a hard link to what is no file'],
  [
    'a move of what does not exist',
    [move('nothing', 1), placed(1, 'b')],
    'what would be moved does not exist',
  ],
  ['a slot that is never filled', [placed(7, 'b')], 'a slot is placed that is not filled'],
  ['a slot that is never placed', [move('plain', 7)], 'an entry was moved away and never placed'],
  ['a slot that is filled twice', [move('plain', 7), move('a', 7)], 'a slot is filled twice'],
  ['more slots than there may be', manySlots, 'a batch has too many slots'],
  ['the root as a file', [put('', 'x')], 'refused|ended'],
  ['the root moved', [move('', 1), placed(1, 'b')], 'refused|ended|root'],
  ['a name twice', [put('b', 'x'), put('b', 'y')], 'a name is made twice'],
  ['moves after what is put', [put('x', 'x'), move('plain', 1), placed(1, 'b')], 'move comes too late'],
  [
    'contents for a folder',
    [{ ...put('b', 'x'), attributes: folderOf() } as FileOperation],
    'what is no file',
  ],
  [
    'contents of another length',
    [{ ...put('b', 'x'), attributes: fileOf(9) } as FileOperation],
    'not as long',
  ],
  ['a patch without a stream', [patch('plain', 4, 0)], 'patch without a stream|ended|refused'],
];

test.each(nonsense)('%s is refused by name', async (_, operations, says) => {
  // What the transport itself does not let out can't arrive either.
  await source.send(11, operations, { contents: noContents }).catch((error: unknown) => {
    expect(String(error)).toMatch(/path|root|stream/);
    source.connection.close('the transport refuses');
  });
  expect(await refusal()).toMatch(new RegExp(says));
  await untouched();
});

const begin: Frame = { kind: 'begin', number: 5, consistent: true };
const operations = (...list: FileOperation[]): Frame => ({ kind: 'operations', operations: list });
const commit = (number: number, sequence: number): Frame => ({
  kind: 'commit',
  number,
  sequence,
  checksum: '0123456789abcdef',
  consistent: true,
  hot: [],
  history: [{ epoch: 7n, sequence }],
});
const data = (offset: number, text: string): Frame => ({
  kind: 'data',
  stream: 3,
  offset,
  contents: bytes(text),
});

const orders: readonly [string, readonly Frame[], string][] = [
  ['contents beyond their file', [begin, operations(big('b', 4, 3)), data(0, '12345')], 'reach beyond'],
  ['contents with a gap', [begin, operations(big('b', 9, 3)), data(0, '1'), data(5, '1')], 'do not go on'],
  ['a stream that nobody opened', [begin, data(0, '1')], 'a stream that is not open'],
  [
    'a stream that never ends',
    [begin, operations(big('b', 9, 3)), commit(5, 11)],
    'before its streams ended',
  ],
  [
    'a stream that ends too early',
    [begin, operations(big('b', 9, 3)), data(0, '1'), { kind: 'stream-end', stream: 3, bytes: 1 }],
    'before its file was whole',
  ],
  ['a commit without a batch', [commit(1, 11)], 'commit came outside of a batch'],
  ['a commit of another batch', [begin, commit(6, 11)], 'a commit is for another batch'],
  ['a commit twice', [begin, commit(5, 10), commit(5, 10)], 'commit came outside of a batch'],
  ['a batch number that goes back', [{ ...begin, number: 1 }], 'numbers of batches go back'],
  ['a sequence that goes back', [begin, commit(5, 3)], 'sequences go back'],
  ['a batch within a batch', [begin, { ...begin, number: 6 }], 'within another one'],
  ['a second plan', [{ kind: 'plan', mode: 'continue', from: 0, entries: 0, bytes: 0 }], 'a second plan'],
  [
    'words of a target',
    [{ kind: 'ack', number: 1, sequence: 1, checksum: '0123456789abcdef' }],
    'does not send ack',
  ],
];

test.each(orders)('%s ends the connection', async (_, frames, says) => {
  for (const frame of frames) source.connection.send(frame);
  expect(await refusal()).toMatch(new RegExp(says));
  await untouched();
});

test('a file with a name outside of the tree is never written in place', async () => {
  linkSync(join(outside, 'secret'), stage.at('a/shared'));
  await source.batch(11, [put('big', 'x'.repeat(100))]);
  linkSync(stage.at('big'), join(outside, 'also-big'));
  const contents = [{ stream: 1, pieces: [{ offset: 0, contents: bytes('pwned') }], bytes: 5 }];
  await source.batch(12, [patch('big', 100, 1)], { contents });
  await source.batch(13, [set('big', fileOf(100, { mode: 0o777 }))]);
  await stage.target.foreignChanges();
  expect(readFileSync(stage.at('big'), 'utf8')).toBe(`pwned${'x'.repeat(95)}`);
  expect(readFileSync(join(outside, 'also-big'), 'utf8')).toBe('x'.repeat(100));
  expect(statSync(join(outside, 'also-big')).mode & 0o777).toBe(0o644);
});

test('a link that somebody put in the place of a folder is not followed', async () => {
  const { rmSync } = await import('node:fs');
  rmSync(stage.at('a'), { recursive: true });
  symlinkSync(outside, stage.at('a'));
  await source.send(11, [put('a/secret', 'pwned'), set('a', folderOf())]);
  while (stage.target.state().phase !== 'disconnected') await new Promise(setImmediate);
  expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe('secret');
  expect(stage.target.state()).toMatchObject({ consistent: false });
});

test('a batch after a plan that only compares is refused: nothing was kept aside for it', async () => {
  source.connection.close('the test dials again');
  ({ source } = await stage.dial(7n, null, 10));
  source.plan(0, 'verify');
  while (!(await source.next('candidates')).last);
  source.connection.send(begin);
  expect(await refusal()).toMatch(/where nothing was to be sent/);
  await untouched();
});

test('what is offered beneath a symbolic link is neither read nor kept aside', async () => {
  source.connection.close('the test dials again');
  ({ source } = await stage.dial(7n, null, 10, [{ epoch: 7n, sequence: 10 }]));
  source.plan(0, 'compare');
  while (!(await source.next('candidates')).last);
  const nothing = { attributes: null, blockBytes: 0, hashes: Buffer.alloc(0) };
  const entries = ['a/way-out/secret', 'a/way-out'].map((path) => ({ path: bytes(path), ...nothing }));
  source.connection.send({ kind: 'offer', number: 1, entries });
  const wants = await source.next('wants');
  expect(wants.entries.map(({ path }) => path.toString())).toEqual(['a/way-out']);
  // The link itself was replicated, and so is not of unknown origin.
  expect(stage.target.divergence.list()).toEqual([]);
  source.connection.close('done');
  await untouched();
});

test('refuses who has no business here', async () => {
  const attempts: [Parameters<Stage['hello']>[0], string][] = [
    [{ cluster: 'evil' }, 'cluster'],
    [{ mirror: 'other' }, 'mirror'],
    [{ role: 'target' }, 'role'],
    [{ epoch: 6n }, 'epoch'],
    [{ selection: bytes('other files') }, 'selection'],
    [{ protocol: 99 }, 'protocol'],
  ];
  for (const [more, code] of attempts) {
    const { connectionPair } = await import('./connection-pair.ts');
    const pair = connectionPair();
    const accepted = await stage.target.accept(pair.target, stage.hello(more));
    expect(accepted).toMatchObject({ kind: 'refused', code });
    pair.cut();
  }
});
