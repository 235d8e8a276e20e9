/** A volume's source in a thread of its own, as the process sees it: what is asked of it, and how it is told. */
import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { jest } from '@jest/globals';
import type { SourceSide } from '../src/process/side.ts';
import {
  ThreadedSource,
  type SourceThreadOptions,
  type ToSourceThread,
} from '../src/process/threaded-source.ts';

class Thread extends EventEmitter {
  readonly told: ToSourceThread[] = [];

  postMessage(message: ToSourceThread): void {
    this.told.push(message);
  }
}

async function opened(thread: Thread): Promise<SourceSide> {
  const options = {
    home: { path: '/var/lib/holdfast', self: 'a' },
    order: { mirror: 'd3/disk', dataset: null },
    role: { kind: 'source', epoch: 1n, grantUntil: null, targets: [] },
    grantUntil: null,
  } as unknown as SourceThreadOptions;
  const opening = ThreadedSource.open(thread as unknown as Worker, options, () => undefined);
  thread.emit('message', { kind: 'opened' });
  const answer = await opening;
  if (answer.kind === 'failed') throw new Error(answer.says);
  return answer.side;
}

it('counts what it was not told as time that the targets lack', async () => {
  const now = jest.spyOn(performance, 'now').mockReturnValue(1_000);
  try {
    const thread = new Thread();
    const side = await opened(thread);
    thread.emit('message', { kind: 'report', report: { targets: [{ target: 'b', behindMs: 7 }] } });
    now.mockReturnValue(3_000);
    expect(side.report().targets).toEqual([{ target: 'b', behindMs: 7 }]);
    now.mockReturnValue(3_001);
    expect(side.report().targets).toEqual([{ target: 'b', behindMs: 2_008 }]);
  } finally {
    now.mockRestore();
  }
});

it('tells a long list no faster than it is taken', async () => {
  const thread = new Thread();
  const side = await opened(thread);
  let taken = (): void => undefined;
  const room = (): Promise<void> =>
    new Promise((resolve) => {
      taken = resolve;
    });
  const { signal } = new AbortController();
  const run = { kind: 'list', mirror: 'd3/disk', target: '', repair: false, path: '', to: '' } as const;
  const answered = side.run(run, { row: () => undefined, room, signal });
  const id = 1;
  thread.emit('message', { kind: 'full', id });
  expect(thread.told.map(({ kind }) => kind)).toEqual(['open', 'run']);
  taken();
  await new Promise(setImmediate);
  expect(thread.told.at(-1)).toEqual({ kind: 'room', id });
  thread.emit('message', { kind: 'answered', id, answered: { kind: 'done', says: '' } });
  expect(await answered).toEqual({ kind: 'done', says: '' });
});
