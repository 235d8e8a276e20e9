/** Every name, text and list of every frame has a limit: at it the frame is read, beyond it it is garbage. */

import { describe, expect, test } from '@jest/globals';
import { historyRowsMax } from '@holdfast/core';
import { decodeFrame } from '../src/transport/frame.ts';
import {
  digestBytesMax,
  extendedBytesMax,
  extendedTotalBytesMax,
  linkBytesMax,
  listMax,
  nameBytesMax,
  pathBytesMax,
  textBytesMax,
} from '../src/transport/limits.ts';

/** A field of bytes, of a message, or of text. */
function field(number: number, contents: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(contents.length), contents]);
}

const numberField = (number: number, value: number): Buffer =>
  Buffer.concat([varint(number * 8), varint(value)]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push((rest % 128) + (rest >= 128 ? 128 : 0));
    if (rest < 128) return Buffer.from(bytes);
  }
}

const times = (count: number, one: Buffer): Buffer => Buffer.concat(Array.from({ length: count }, () => one));
const letters = (count: number): Buffer => Buffer.alloc(count, 'a');
/** A path of so many bytes. */
const pathOf = (count: number): Buffer => Buffer.from(`${'a/'.repeat(count).slice(0, count - 1)}a`);

const kinds = {
  hello: 1,
  refuse: 2,
  plan: 3,
  candidates: 4,
  offer: 5,
  wants: 6,
  operations: 8,
  commit: 11,
  beat: 13,
} as const;

const role = field(5, Buffer.from('source'));
const path = field(1, Buffer.from('a'));
const history = (count: number): Buffer[] =>
  Array.from({ length: count }, (_, i) => Buffer.concat([numberField(1, i + 1), numberField(2, i)]));
const file = numberField(1, 1);
const linkKind = numberField(1, 3);
const operation = (number: number, what: Buffer): Buffer => field(1, field(number, what));
const set = (attributes: Buffer): Buffer => operation(7, Buffer.concat([path, field(2, attributes)]));
const extended = (name: number, value: number): Buffer =>
  field(11, Buffer.concat([field(1, letters(name)), field(2, letters(value))]));

type Row = readonly [string, number, number, (count: number) => Buffer];

const texts = (kind: number, name: string, numbers: readonly number[], rest: Buffer): Row[] =>
  numbers.map((number) => [
    `${name}, text ${String(number)}`,
    kind,
    textBytesMax,
    (n) => Buffer.concat([rest, field(number, letters(n))]),
  ]);

const rows: readonly Row[] = [
  ...texts(kinds.hello, 'hello', [2, 3, 4], role),
  ['hello, selection', kinds.hello, digestBytesMax, (n) => Buffer.concat([role, field(9, letters(n))])],
  ['hello, parts', kinds.hello, listMax, (n) => Buffer.concat([role, times(n, field(11, path))])],
  [
    'hello, path of a part',
    kinds.hello,
    pathBytesMax,
    (n) => Buffer.concat([role, field(11, field(1, pathOf(n)))]),
  ],
  [
    'hello, version of a part',
    kinds.hello,
    digestBytesMax,
    (n) => Buffer.concat([role, field(11, Buffer.concat([path, field(2, letters(n))]))]),
  ],
  [
    'hello, history',
    kinds.hello,
    historyRowsMax,
    (n) => Buffer.concat([role, ...history(n).map((row) => field(8, row))]),
  ],
  ...texts(kinds.refuse, 'refuse', [2], field(1, Buffer.from('epoch'))),
  ...texts(kinds.beat, 'beat', [3, 8], Buffer.alloc(0)),
  ['candidates', kinds.candidates, listMax, (n) => times(n, path)],
  ['candidates, path', kinds.candidates, pathBytesMax, (n) => field(1, pathOf(n))],
  ['offer', kinds.offer, listMax, (n) => times(n, field(2, path))],
  ['offer, path', kinds.offer, pathBytesMax, (n) => field(2, field(1, pathOf(n)))],
  ['wants', kinds.wants, listMax, (n) => times(n, field(2, path))],
  ['wants, path', kinds.wants, pathBytesMax, (n) => field(2, field(1, pathOf(n)))],
  ['operations', kinds.operations, listMax, (n) => times(n, operation(2, path))],
  ['move, path', kinds.operations, pathBytesMax, (n) => operation(1, field(1, pathOf(n)))],
  ['remove, path', kinds.operations, pathBytesMax, (n) => operation(2, field(1, pathOf(n)))],
  ['place, path', kinds.operations, pathBytesMax, (n) => operation(3, field(2, pathOf(n)))],
  [
    'put, path',
    kinds.operations,
    pathBytesMax,
    (n) => operation(4, Buffer.concat([field(1, pathOf(n)), field(2, file)])),
  ],
  [
    'put, version',
    kinds.operations,
    digestBytesMax,
    (n) => operation(4, Buffer.concat([path, field(2, file), field(5, letters(n))])),
  ],
  [
    'hard link, path',
    kinds.operations,
    pathBytesMax,
    (n) => operation(5, Buffer.concat([field(1, pathOf(n)), field(2, letters(1))])),
  ],
  [
    'hard link, where to',
    kinds.operations,
    pathBytesMax,
    (n) => operation(5, Buffer.concat([path, field(2, pathOf(n))])),
  ],
  [
    'patch, path',
    kinds.operations,
    pathBytesMax,
    (n) => operation(6, Buffer.concat([field(1, pathOf(n)), field(2, file)])),
  ],
  [
    'set, path',
    kinds.operations,
    pathBytesMax,
    (n) => operation(7, Buffer.concat([field(1, pathOf(n)), field(2, file)])),
  ],
  ['a name in a path', kinds.operations, nameBytesMax, (n) => operation(2, field(1, letters(n)))],
  [
    'where a symbolic link leads',
    kinds.operations,
    linkBytesMax,
    (n) => set(Buffer.concat([linkKind, field(8, letters(n))])),
  ],
  [
    'name of an extended attribute',
    kinds.operations,
    nameBytesMax,
    (n) => set(Buffer.concat([file, extended(n, 1)])),
  ],
  [
    'value of an extended attribute',
    kinds.operations,
    extendedBytesMax,
    (n) => set(Buffer.concat([file, extended(1, n)])),
  ],
  [
    'all extended attributes of an entry',
    kinds.operations,
    extendedTotalBytesMax / 32_768,
    (n) => set(Buffer.concat([file, times(n, extended(1, 32_767))])),
  ],
  ['commit, hot', kinds.commit, listMax, (n) => times(n, field(5, letters(1)))],
  [
    'commit, history',
    kinds.commit,
    historyRowsMax,
    (n) => Buffer.concat(history(n).map((row) => field(6, row))),
  ],
];

describe('a limit', () => {
  test.each(rows)('%s', (_, kind, limit, payload) => {
    const at = decodeFrame(kind, payload(limit));
    if (at.kind === 'garbage') throw new Error(at.says);
    expect(decodeFrame(kind, payload(limit + 1))).toMatchObject({ kind: 'garbage' });
  });

  test('of blocks that a target wants is one of all files of a frame together', () => {
    const wants = (files: number): Buffer =>
      times(files, field(2, Buffer.concat([path, field(3, Buffer.alloc(100_000))])));
    expect(decodeFrame(kinds.wants, wants(11)).kind).toBe('wants');
    expect(decodeFrame(kinds.wants, wants(12))).toMatchObject({ kind: 'garbage' });
  });
});
