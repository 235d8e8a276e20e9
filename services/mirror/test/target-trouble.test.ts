import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import type { Stage } from './target-fixture.ts';
import { openStage, put } from './target-fixture.ts';
import { snapshot, story } from './target-story.ts';

let stage: Stage;

afterEach(async () => {
  await stage.close();
});

class DiskError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`${code}: the disk of the test`);
    this.code = code;
  }
}

async function playStory(): Promise<void> {
  const { source } = await stage.dial();
  for (const [i, { operations, contents }] of story().entries()) {
    await source.batch(i + 1, operations, contents === undefined ? {} : { contents });
  }
  await stage.target.foreignChanges();
}

test.each(['ENOSPC', 'EIO', 'EFBIG'])(
  '%s at any point is waited out, and said, and harms nothing',
  async (code) => {
    stage = await openStage();
    await playStory();
    const expected = snapshot(stage.root);
    await stage.close();

    const failed = new Set<string>(['commit:acknowledged']);
    const said: string[] = [];
    stage = await openStage(undefined, {
      pauseMs: 20,
      says: (sentence) => said.push(sentence),
      failPoint: (name) => {
        if (failed.has(name)) return;
        failed.add(name);
        throw new DiskError(code);
      },
    });
    await playStory();
    expect(failed.size).toBeGreaterThan(15);
    expect(said.join('\n')).toMatch(/d3\/data waits: .*the disk of the test/);
    expect(snapshot(stage.root)).toBe(expected);
    expect((await stage.target.foreignChanges()).named).toEqual([]);
    expect(stage.target.state()).toMatchObject({ phase: 'replicating', says: '' });
    stage = await stage.reopen({ failPoint: () => undefined });
    expect(snapshot(stage.root)).toBe(expected);
  },
);

test('what stays undurable is given up at the deadline, and was never acknowledged', async () => {
  let full = false;
  stage = await openStage(undefined, {
    retryMs: 300,
    failPoint: (name) => {
      if (full && name === 'commit:written') throw new DiskError('ENOSPC');
    },
  });
  const { source } = await stage.dial();
  await source.batch(1, [put('a', 'one')]);
  full = true;
  await expect(source.batch(2, [put('a', 'two')])).rejects.toThrow(/waiting: no space left on device/);
  expect(stage.target.state()).toMatchObject({ phase: 'disconnected', position: { sequence: 1 } });
  full = false;
  const { source: again, hello } = await stage.dial(7n, 1);
  expect(hello.position).toMatchObject({ sequence: 1 });
  await again.batch(2, [put('a', 'two')]);
  await stage.target.foreignChanges();
  expect(readFileSync(stage.at('a'), 'utf8')).toBe('two');
});

test('what was acknowledged is applied when the disk works again, also after a restart', async () => {
  let full = true;
  const failPoint = (name: string): void => {
    if (full && name === 'apply:written') throw new DiskError('ENOSPC');
  };
  stage = await openStage(undefined, { retryMs: 300, failPoint });
  const { source } = await stage.dial();
  await source.batch(1, [put('a', 'one')]);
  while (stage.target.state().phase !== 'waiting') await new Promise(setImmediate);
  expect(stage.target.state().says).toMatch(/no space left on device/);
  expect(stage.target.state().unappliedBytes).toBeGreaterThan(0);
  full = false;
  stage = await stage.reopen();
  expect(readFileSync(stage.at('a'), 'utf8')).toBe('one');
  expect(stage.target.state()).toMatchObject({ position: { sequence: 1 }, unappliedBytes: 0 });
});

test('it closes at once while its disk fails, with a batch of another way behind one that is not applied', async () => {
  let full = true;
  const failPoint = (name: string): void => {
    if (full && name === 'apply:written') throw new DiskError('EIO');
  };
  stage = await openStage(undefined, { failPoint, pauseMs: 100 });
  const { source } = await stage.dial();
  await source.batch(1, [put('a', 'one')]);
  while (stage.target.state().phase !== 'waiting') await new Promise(setImmediate);
  await source.send(2, [put('b', 'of a copy')], { consistent: false, history: [] });
  while (stage.target.state().receivedBytes > 0) await new Promise(setImmediate);
  await source.connection.flushed();
  await new Promise((next) => setTimeout(next, 200));
  const closed = stage.target.close().then(() => 'closed');
  const late = new Promise((next) => setTimeout(next, 3_000, 'late').unref());
  const came = await Promise.race([closed, late]);
  full = false;
  await closed;
  stage = await stage.reopen();
  expect(came).toBe('closed');
  expect(readFileSync(stage.at('a'), 'utf8')).toBe('one');
  expect(stage.target.state()).toMatchObject({ consistent: true, position: { sequence: 1 } });
});
