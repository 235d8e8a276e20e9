/** What others changed in a target's folder, and a batch replaces before anybody looked for it. */

import {
  chmodSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { OsError } from '../src/os/types.ts';
import type { HandSource, Stage } from './target-fixture.ts';
import {
  bytes,
  fileOf,
  folder,
  hardLink,
  move,
  openStage,
  patch,
  placed,
  put,
  removal,
  set,
} from './target-fixture.ts';

let stage: Stage;

afterEach(async () => {
  await stage.close();
});

const first = [folder('d'), put('d/inner', 'inner'), put('one', 'one'), put('two', 'two'), folder('e')];

/** With the first batch; `sequence` 10. */
async function begun(more: Parameters<typeof openStage>[1] = {}): Promise<HandSource> {
  stage = await openStage(undefined, more);
  const { source } = await stage.dial();
  await source.batch(10, first);
  await stage.target.foreignChanges();
  return source;
}

const byOthers = (path: string, text: string): void => {
  writeFileSync(stage.at(path), text);
};

/** Paths with what is kept of each. */
async function kept(): Promise<string[]> {
  const lines: string[] = [];
  for (const { path, change, from, epoch } of stage.target.divergence.list()) {
    const to = join(stage.dir, 'restored');
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to);
    const answer = await stage.target.divergence.restore(path, to);
    const name = path.subarray(path.lastIndexOf(0x2f) + 1).toString();
    const text = answer.kind === 'done' ? readText(join(to, name)) : answer.says;
    lines.push(`${path.toString()} ${change} at ${String(epoch)} on ${from}: ${text}`);
  }
  return lines;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '(no file)';
  }
}

/** What is kept of one file takes the room, and that of the other one waits for some. */
async function full(keepMaxBytes: number): Promise<void> {
  const source = await begun({ keepMaxBytes });
  byOthers('one', 'by others');
  await source.batch(11, [put('one', 'one again')]);
  await until(() => stage.target.divergence.list().length === 1);
  byOthers('two', 'two by others');
  await source.batch(12, [put('two', 'two again')]);
  await until(() => stage.target.state().phase === 'waiting');
}

/** Everything that was sent is applied. */
const applied = async (): Promise<void> => {
  await stage.target.foreignChanges();
};

test('a file that others wrote is kept aside whole before its next version, and told', async () => {
  const source = await begun();
  byOthers('one', 'by others');
  await source.batch(11, [put('one', 'one again'), put('two', 'two again')]);
  await until(() => readText(stage.at('one')) === 'one again');
  expect(await kept()).toEqual(['one written at 7 on bert: by others']);
  await until(() => stage.target.state().foreignChanges === 1);
  expect(stage.target.state()).toMatchObject({
    consistent: true,
    phase: 'replicating',
    says: 'what others had changed here (one) was replaced, and is kept aside',
  });
  // It is replaced: nothing is left to be found.
  expect((await stage.target.foreignChanges()).count).toBe(0);
});

test('so is what they put where the source makes something new, and in the place of a folder', async () => {
  const source = await begun();
  byOthers('new', 'new of others');
  rmSync(stage.at('d'), { recursive: true });
  byOthers('d', 'no folder');
  await source.batch(11, [put('new', 'new'), put('d/inner', 'inner again')]);
  await applied();
  expect((await kept()).sort()).toEqual([
    'd written at 7 on bert: no folder',
    'new created at 7 on bert: new of others',
  ]);
  expect(readText(stage.at('new'))).toBe('new');
});

test('so is what they wrote and put in a folder that goes, and in a file that goes', async () => {
  const source = await begun();
  byOthers('d/inner', 'inner of others');
  mkdirSync(stage.at('d/deep'));
  byOthers('d/deep/extra', 'extra');
  byOthers('one', 'by others');
  await source.batch(11, [removal('d'), removal('one')]);
  await applied();
  expect((await kept()).sort()).toEqual([
    'd/deep created at 7 on bert: (no file)',
    'd/deep/extra created at 7 on bert: extra',
    'd/inner written at 7 on bert: inner of others',
    'one written at 7 on bert: by others',
  ]);
});

test('what moves over it is no reason to lose it, and what moves with its folder is where it was', async () => {
  const source = await begun();
  byOthers('one', 'by others');
  byOthers('d/inner', 'inner of others');
  await source.batch(11, [move('two', 1), move('d', 2), placed(1, 'one'), placed(2, 'f')]);
  await applied();
  expect(await kept()).toEqual(['one written at 7 on bert: by others']);
  expect(readText(stage.at('one'))).toBe('two');
  const { named } = await stage.target.foreignChanges();
  expect(named.map(({ path, kind }) => `${path.toString()} ${kind}`)).toEqual(['f/inner contents']);
});

const mixtures = {
  'a patch of it': {
    operations: [patch('one', 3, 1)],
    contents: [{ stream: 1, pieces: [{ offset: 1, contents: bytes('N') }], bytes: 1 }],
  },
  'attributes for it': { operations: [set('one', fileOf(3, { mode: 0o600 }))], contents: [] },
  'another name of it': { operations: [hardLink('e/link', 'one')], contents: [] },
  'its move': { operations: [move('one', 1), placed(1, 'e/moved')], contents: [] },
};

test.each(Object.entries(mixtures))(
  'what a batch does not replace as a whole leads to a comparison of everything: %s',
  async (_, { operations, contents }) => {
    const source = await begun();
    byOthers('one', 'two');
    utimesSync(stage.at('one'), 1_000, 1_000);
    await source.send(11, operations, { contents });
    await expect(source.next('plan')).rejects.toThrow(/diverged: one was changed here by others/);
    await applied();
    expect(await kept()).toEqual(['one written at 7 on bert: two']);
    expect(stage.target.state().consistent).toBe(false);
    stage = await stage.reopen();
    expect(stage.target.state().consistent).toBe(false);
    expect((await stage.dial()).hello).toMatchObject({ consistent: false, history: [] });
  },
);

test('owner and mode alone, and names that come and go by batches, are no contents of others', async () => {
  const source = await begun();
  chmodSync(stage.at('one'), 0o600);
  linkSync(stage.at('two'), join(stage.dir, 'a backup'));
  await source.batch(11, [put('one', 'one again'), hardLink('e/two', 'two')]);
  await source.batch(12, [removal('e/two'), put('two', 'two again')]);
  await source.batch(13, [move('d', 1), placed(1, 'g'), put('g/inner', 'again'), folder('d')]);
  await source.batch(14, [removal('g'), removal('one'), put('two', 'and again')]);
  await applied();
  expect(await kept()).toEqual([]);
  expect(stage.target.state()).toMatchObject({ consistent: true, says: '' });
});

test('where the store is full it waits and overwrites nothing until a person makes room', async () => {
  await full(10);
  expect(stage.target.state().says).toMatch(/does not fit into the store of diverged files: 9 of 10 bytes/);
  expect(readText(stage.at('two'))).toBe('two by others');
  // Even without room it does not stand in the way of a takeover.
  await stage.target.promote();
  expect(readText(stage.at('two'))).toBe('two again');
  expect((await kept()).sort()).toEqual([
    'one written at 7 on bert: by others',
    'two written at 7 on bert: two by others',
  ]);
});

test('what is kept when the store has room again is kept once', async () => {
  await full(20);
  stage.target.divergence.discard(bytes('one'));
  await until(() => readText(stage.at('two')) === 'two again');
  expect(await kept()).toEqual(['two written at 7 on bert: two by others']);
  await until(() => stage.target.state().phase === 'replicating');
});

/** The target ends at the first of these points, and is opened anew. */
async function endedAt(point: string): Promise<void> {
  let armed = false;
  const failPoint = (name: string): void => {
    if (armed && name === point) throw new OsError('EIO', 'write', Buffer.from('what nobody does any more'));
  };
  const source = await begun({ failPoint });
  byOthers('one', 'by others');
  armed = true;
  await source.batch(11, [removal('d'), put('one', 'one again'), patch('two', 3, 1)], {
    contents: [{ stream: 1, pieces: [{ offset: 1, contents: bytes('N') }], bytes: 1 }],
  });
  await until(() => stage.target.state().phase === 'waiting');
  stage = await stage.reopen({ failPoint: () => undefined });
}

test.each([
  'keep:copied',
  'keep:kept',
  'apply:spared',
  'apply:remove',
  'apply:written',
  'apply:block',
  'apply:recorded',
])(
  'whatever ends it at %s, others’ contents are kept, once, and nothing that the batch did itself',
  async (point) => {
    await endedAt(point);
    expect(readText(stage.at('one'))).toBe('one again');
    expect(readText(stage.at('two'))).toBe('tNo');
    expect(await kept()).toEqual(['one written at 7 on bert: by others']);
    expect(stage.target.state()).toMatchObject({ consistent: true, position: { sequence: 11 } });
  },
);

test('another file that was renamed over it is kept, whatever its size and time', async () => {
  const source = await begun();
  byOthers('beside', 'ONE');
  utimesSync(stage.at('beside'), 1_700_000_000, 1_700_000_000.123);
  renameSync(stage.at('beside'), stage.at('one'));
  await source.batch(11, [put('one', 'one again')]);
  await applied();
  expect(await kept()).toEqual(['one written at 7 on bert: ONE']);
});

test('a copy that did not fit does not count as complete again with what was on its way', async () => {
  let writes = 0;
  let thrown = false;
  const source = await begun({
    failPoint: (name) => {
      if (name === 'commit:written') writes += 1;
      if (writes !== 3 || thrown) return;
      thrown = true;
      throw new OsError('EIO', 'write', Buffer.from('the log, once'));
    },
  });
  rmSync(stage.at('one'));
  await source.send(11, [set('one', fileOf(3, { mode: 0o600 }))]);
  await source.send(12, [put('two', 'two again')]);
  await until(() => stage.target.state().position?.sequence === 12);
  expect(thrown).toBe(true);
  await applied();
  expect(stage.target.state()).toMatchObject({
    consistent: false,
    says: 'one was changed here by others, so that a batch did not fit',
  });
});

/** Throws when it does not come true. */
async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`it did not come true: ${stage.target.state().says}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
