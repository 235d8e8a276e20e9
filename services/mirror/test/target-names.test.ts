/** A target whose file system has no place for some names: they are left out and told, and nothing waits for them. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { type Refusal, refuseColons } from './narrow-kernel.ts';
import {
  type Stage,
  fileOf,
  folder,
  folderOf,
  hardLink,
  move,
  openStage,
  placed,
  put,
  removal,
  set,
} from './target-fixture.ts';

let stage: Stage;
let widen = (): unknown => undefined;

afterEach(async () => {
  await stage.close();
  widen();
});

const refusals: readonly Refusal[] = ['ENAMETOOLONG', 'EILSEQ', 'EINVAL'];

test.each(refusals)('%s: a file, a folder with all that is in it, and other names', async (refusal) => {
  widen = refuseColons(refusal);
  const said: string[] = [];
  stage = await openStage(undefined, { says: (sentence) => said.push(sentence) });
  const { source } = await stage.dial();
  await source.batch(1, [put('plain', 'one'), put('a:b', 'two'), folder('c:d'), put('c:d/inner', 'three')]);
  await stage.target.foreignChanges();
  expect(said.join('\n')).toMatch(/left out here: .*a:b.*no place/);
  // Later changes of what is not here, in batches of their own.
  await source.batch(2, [put('c:d/later', 'four'), set('a:b', fileOf(3, { mode: 0o600 }))]);
  await source.batch(3, [
    hardLink('other:name', 'plain'),
    hardLink('second', 'c:d/inner'),
    put('last', 'five'),
  ]);
  await source.batch(4, [removal('a:b'), set('c:d', folderOf({ mode: 0o700 }))]);
  expect((await stage.target.foreignChanges()).named).toEqual([]);
  expect(readFileSync(stage.at('last'), 'utf8')).toBe('five');
  expect(readdirSync(stage.root).filter((name) => !name.startsWith('.'))).toEqual(['last', 'plain']);
  expect(stage.target.state()).toMatchObject({ phase: 'replicating', position: { sequence: 4 } });
});

test.each(refusals)(
  '%s: what is moved to such a name is gone here, with its former name',
  async (refusal) => {
    widen = refuseColons(refusal);
    stage = await openStage();
    const { source } = await stage.dial();
    await source.batch(1, [folder('f'), put('f/in', 'one'), put('g', 'two')]);
    await source.batch(2, [move('f', 1), move('g', 2), placed(1, 'f:1'), placed(2, 'g:2')]);
    await source.batch(3, [put('h', 'three')]);
    expect((await stage.target.foreignChanges()).named).toEqual([]);
    expect(existsSync(stage.at('f'))).toBe(false);
    expect(existsSync(stage.at('g'))).toBe(false);
    expect(stage.target.state()).toMatchObject({ phase: 'replicating', position: { sequence: 3 } });
  },
);

test.each(refusals)(
  '%s: a batch that is durable is applied again at every start, and ends none',
  async (refusal) => {
    widen = refuseColons(refusal);
    let crash = true;
    const failPoint = (name: string): void => {
      if (crash && name === 'apply:recorded') throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
    };
    stage = await openStage(undefined, { retryMs: 200, failPoint });
    const { source } = await stage.dial();
    await source.batch(1, [put('a:b', 'one'), put('c', 'two')]);
    while (stage.target.state().phase !== 'waiting') await new Promise(setImmediate);
    crash = false;
    stage = await stage.reopen();
    stage = await stage.reopen();
    expect(readFileSync(stage.at('c'), 'utf8')).toBe('two');
    expect(stage.target.state()).toMatchObject({ position: { sequence: 1 }, unappliedBytes: 0 });
  },
);

test('a name that was left out and then becomes one that has a place is compared, and so comes', async () => {
  widen = refuseColons('EINVAL');
  stage = await openStage();
  const { source } = await stage.dial();
  await source.batch(1, [put('a:b', 'one')]);
  await source.batch(2, [move('a:b', 1), placed(1, 'ab')]);
  await stage.target.foreignChanges();
  // What its contents are only the source knows.
  expect(stage.target.state()).toMatchObject({ phase: 'disconnected' });
  expect(stage.target.state().says).toMatch(/a:b/);
});
