/**
 * A target loses power while the first record of a new turn of its log goes over those of the turn before, of which everything
 * was applied and synced: some pages are new by then, and others are not.
 */

import { closeSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { Log } from '../src/files/target/log.ts';
import { newFolder, openStage, put, type Stage } from './target-fixture.ts';

const pageBytes = 4_096;

let stage: Stage | null = null;

afterEach(async () => {
  await stage?.close();
  stage = null;
});

/** The next record, of which only its second page reached the disk. */
function losePower({ dir }: Stage): void {
  const fd = openSync(join(dir, 'state', 'log', 'log-1'), 'r+');
  writeSync(fd, Buffer.alloc(pageBytes, 'n'), 0, pageBytes, pageBytes);
  closeSync(fd);
  writeFileSync(join(dir, 'state', 'boot'), 'another boot');
}

test('what an older record says of a file is not written over what it became since', async () => {
  let freed = 0;
  const failPoint = (name: string): void => {
    if (name === 'checkpoint:freed') freed += 1;
  };
  const before = await openStage(undefined, { failPoint });
  stage = before;
  const { source } = await before.dial();
  await source.batch(1, [put('file', 'first')]);
  await source.batch(2, [put('file', 'second'), put('large', Buffer.alloc(2 * pageBytes, 'l'))]);
  for (const until = Date.now() + 30_000; freed === 0 && Date.now() < until;)
    await new Promise((resolve) => setTimeout(resolve, 20));
  expect(freed).toBe(1);
  const after = await before.reopen({ failPoint: () => undefined }, () => losePower(before));
  stage = after;
  expect(readFileSync(after.at('file'), 'utf8')).toBe('second');
  expect((await after.target.foreignChanges()).named).toEqual([]);
  const { source: next } = await after.dial(7n, 2, 2, [{ epoch: 7n, sequence: 2 }]);
  await next.batch(3, [put('file', 'third')]);
  await after.target.foreignChanges();
  expect(readFileSync(after.at('file'), 'utf8')).toBe('third');
  expect(after.target.state()).toMatchObject({ position: { sequence: 3 }, consistent: true });
});

test('what lies behind a first record that can’t be read is never read again', async () => {
  const folder = newFolder();
  const record = Buffer.alloc(100);
  const written = async (numbers: readonly number[]): Promise<void> => {
    const log = new Log(folder, 1 << 20);
    log.restart();
    for (const number of numbers) log.append(number, record);
    await log.sync();
    log.close();
  };
  await written([1, 2, 3]);
  const fd = openSync(join(folder, 'log-1'), 'r+');
  writeSync(fd, Buffer.alloc(64));
  closeSync(fd);
  await written([4]);
  const log = new Log(folder, 1 << 20);
  expect(log.contents.batches.map(({ number }) => number)).toEqual([4]);
  log.close();
  rmSync(folder, { recursive: true });
});
