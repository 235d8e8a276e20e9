/**
 * Three servers: a copy has more of a lost owner than the one that took over. Everything is compared, and what only this copy
 * has is kept aside before it goes. Where the new owner had all of it, nothing is.
 */

import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { History } from '@holdfast/core';
import type { OfferedEntry } from '../src/transport/types.ts';
import { bytes, offered, openStage, put, removal, type HandSource, type Stage } from './target-fixture.ts';

let stage: Stage;

/** At 20 of epoch 7, of which only 10 reached the new owner. */
beforeEach(async () => {
  stage = await openStage();
  const { source } = await stage.dial();
  await source.batch(10, [put('written', 'at 10'), put('deleted', 'at 10'), put('newer', 'at 10')]);
  await source.batch(20, [removal('deleted'), put('written', 'at 20'), put('created', 'at 20')]);
  await stage.target.foreignChanges();
});

afterEach(async () => {
  await stage.close();
});

const behind: History = [
  { epoch: 7n, sequence: 10 },
  { epoch: 8n, sequence: 12 },
];
const inStep: History = [
  { epoch: 7n, sequence: 20 },
  { epoch: 8n, sequence: 22 },
];
/** As the new owner has it. */
const offers: readonly OfferedEntry[] = [
  offered('created', null),
  offered('written', 'at 10'),
  offered('deleted', 'at 10'),
  offered('newer', 'changed by the new owner'),
];

async function compared(history: History, entries = offers): Promise<HandSource> {
  const last = history.at(-1) ?? { epoch: 0n, sequence: 0 };
  const { source } = await stage.dial(last.epoch, null, last.sequence, history);
  source.plan(0, 'compare');
  while (!(await source.next('candidates')).last);
  source.connection.send({ kind: 'offer', number: 1, entries });
  await source.next('wants');
  return source;
}

const kept = (): string[] =>
  stage.target.divergence
    .list()
    .map(({ path, change, epoch }) => `${path.toString()} ${change} ${epoch.toString()}`)
    .sort();

const all = ['created created 7', 'deleted deleted 7', 'written written 7'];

test('what only this copy has is kept aside with its contents', async () => {
  await compared(behind);
  expect(kept()).toEqual(all);
  const to = join(stage.dir, 'restored');
  mkdirSync(to);
  for (const name of ['written', 'created']) {
    expect(await stage.target.divergence.restore(bytes(name), to)).toEqual({ kind: 'done' });
    expect(readFileSync(join(to, name), 'utf8')).toBe('at 20');
  }
});

test('and stays its own when the line breaks in between, until a consistent batch comes', async () => {
  const source = await compared(behind, offers.slice(0, 1));
  expect(kept()).toEqual(all.slice(0, 1));
  await source.batch(12, [removal('created')], { consistent: false, history: [] });
  stage = await stage.reopen();
  const again = await compared(behind);
  expect(kept()).toEqual(all);
  const operations = [put('written', 'at 10'), put('deleted', 'at 10'), put('newer', 'by the new owner')];
  await again.batch(12, operations, { history: behind });
  await stage.target.foreignChanges();
  stage.target.divergence.discard(null);
  await compared([...behind.slice(0, 1), { epoch: 8n, sequence: 14 }], [offered('written', 'at 14')]);
  expect(kept()).toEqual([]);
});

test('also when it was distrusted before', async () => {
  await stage.target.mendForeign();
  stage = await stage.reopen();
  await compared(behind);
  expect(kept()).toEqual(all);
});

test('also when it was being compared with the owner that is lost', async () => {
  await stage.target.mendForeign();
  const source = await compared(
    [{ epoch: 7n, sequence: 25 }],
    [offered('written', 'at 25'), offered('newer', 'at 25')],
  );
  await source.batch(25, [put('newer', 'at 25')], { consistent: false, history: [] });
  expect(kept()).toEqual([]);
  stage = await stage.reopen();
  await compared(behind);
  expect(kept()).toEqual([...all.slice(0, 2), 'newer written 7', 'written written 7']);
});

test('nothing is kept where the new owner had all of it, whatever differs', async () => {
  await compared(inStep);
  expect(kept()).toEqual([]);
});

test('nor when it was distrusted before, or asked only to tell', async () => {
  await stage.target.mendForeign();
  await compared(inStep);
  expect(kept()).toEqual([]);
  const { source } = await stage.dial(8n, null, 12, behind);
  source.plan(0, 'verify');
  while (!(await source.next('candidates')).last);
  source.connection.send({ kind: 'offer', number: 1, entries: offers });
  await source.next('wants');
  expect(kept()).toEqual([]);
});
