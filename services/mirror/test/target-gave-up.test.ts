/** A batch that a target gave up, because its disk failed for too long, is not half there after the next start. */

import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { OsError } from '../src/os/types.ts';
import { big, hardLink, openStage, put } from './target-fixture.ts';

const size = 70_000;
const piece = { stream: 1, pieces: [{ offset: 0, contents: Buffer.alloc(size, 'b') }], bytes: size };

/** A disk that fails at these points. */
const failing = (names: readonly string[]) => (name: string) => {
  if (names.includes(name)) throw new OsError('EIO', 'fdatasync', null);
};

test.each([
  ['which is erased', ['commit:durable'], null],
  ['which can not be erased', ['commit:durable', 'commit:erasing'], 1],
])('when its record was written, %s', async (_what, names, sequence) => {
  const stage = await openStage(undefined, { failPoint: failing(names), retryMs: 200 });
  const { source } = await stage.dial();
  const sent = source.batch(1, [big('large', size, 1)], { contents: [piece] });
  await expect(sent).rejects.toThrow(/refused: shutdown: waiting: input\/output error/);
  const again = await stage.reopen({ failPoint: failing([]) });
  expect(again.target.state().position?.sequence ?? null).toBe(sequence);
  expect(existsSync(again.at('large'))).toBe(sequence !== null);
  expect((await again.target.foreignChanges()).named).toEqual([]);
  const { source: next } = await again.dial(7n, sequence ?? 0);
  await next.batch(2, [big('large', size, 1)], { contents: [piece] });
  await again.target.foreignChanges();
  expect(readFileSync(again.at('large')).equals(piece.pieces[0]?.contents ?? Buffer.alloc(0))).toBe(true);
  await again.close();
});

test('nothing is done of what was sent on top of a batch of a copy that did not fit', async () => {
  const stage = await openStage();
  const { source } = await stage.dial();
  await source.batch(1, [put('a', 'one')]);
  await source.send(2, [hardLink('b', 'missing')], { consistent: false, history: [] });
  await source.send(3, [put('c', 'on top of it')]);
  await expect(source.next('wants')).rejects.toThrow(/refused: diverged: a hard link to what is no file/);
  await stage.target.foreignChanges();
  expect(stage.target.state()).toMatchObject({ consistent: false, source: null });
  expect(existsSync(stage.at('c'))).toBe(false);
  await stage.close();
});
