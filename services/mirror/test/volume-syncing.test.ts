/** Which sync covers which flush, and when one begins before it is asked for. */
import type { Store } from '../src/volumes/store/store.ts';
import { FlushPattern } from '../src/volumes/source/flush-pattern.ts';
import { Syncing } from '../src/volumes/source/syncing.ts';

interface Bench {
  readonly syncing: Syncing;
  /** Of the syncs that began: each is ended by its own. */
  readonly ends: ((error?: Error) => void)[];
  readonly told: { flushes: number };
  /** What became of the flushes, in the order of their answers. */
  readonly answers: string[];
  readonly flush: (name: string) => void;
}

function bench(): Bench {
  const ends: ((error?: Error) => void)[] = [];
  const told = { flushes: 0 };
  const answers: string[] = [];
  const store = {
    sync: () =>
      new Promise<void>((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)));
      }),
  } as unknown as Store;
  const syncing = new Syncing({
    store,
    flushes: () => (told.flushes += 1),
    failed: () => undefined,
  });
  const flush = (name: string): void => syncing.flush((ok) => answers.push(ok ? name : `${name} failed`));
  return { syncing, ends, told, answers, flush };
}

const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

describe('a flush', () => {
  it('joins the sync that runs where nothing was written since that began', async () => {
    const { syncing, ends, answers, flush } = bench();
    syncing.changed();
    flush('first');
    await turn();
    flush('second');
    await turn();
    expect(answers).toEqual([]);
    ends[0]?.();
    await turn();
    expect(answers).toEqual(['first', 'second']);
    expect(ends).toHaveLength(1);
  });

  it('waits for a sync of its own where something was', async () => {
    const { syncing, ends, answers, flush } = bench();
    syncing.changed();
    flush('first');
    await turn();
    syncing.changed();
    flush('second');
    ends[0]?.();
    await turn();
    expect(answers).toEqual(['first']);
    ends[1]?.();
    await turn();
    expect(answers).toEqual(['first', 'second']);
  });

  it('is answered at once where all is durable, and targets are told all the same', async () => {
    const { syncing, ends, told, answers, flush } = bench();
    syncing.changed();
    syncing.foresee();
    await turn();
    ends[0]?.();
    await turn();
    const before = told.flushes;
    flush('late');
    expect(answers).toEqual(['late']);
    expect(told.flushes).toBe(before + 1);
    expect(ends).toHaveLength(1);
  });

  it('fails with the sync that it joined, and ever after', async () => {
    const { syncing, ends, answers, flush } = bench();
    syncing.changed();
    syncing.foresee();
    await turn();
    flush('joined');
    ends[0]?.(new Error('EIO'));
    await turn();
    flush('later');
    await turn();
    expect(answers).toEqual(['joined failed', 'later failed']);
  });

  it('of a store that nothing was written to yet is no shortcut', async () => {
    const { ends, answers, flush } = bench();
    flush('first');
    await turn();
    expect(answers).toEqual([]);
    ends[0]?.();
    await turn();
    expect(answers).toEqual(['first']);
  });
});

describe('whether a flush is next', () => {
  const pattern = (...rounds: readonly number[]): FlushPattern => {
    const made = new FlushPattern();
    for (const writes of rounds) {
      for (let i = 0; i < writes; i += 1) made.wrote();
      made.flushed();
    }
    return made;
  };

  it('is told after the same number of writes as in the rounds before', () => {
    const log = pattern(1, 1, 1, 1, 1);
    expect(log.wrote()).toBe(true);
    const journal = pattern(3, 3, 3, 3, 3);
    expect([journal.wrote(), journal.wrote(), journal.wrote()]).toEqual([false, false, true]);
  });

  it('is not told where rounds differ, nor after too few of them', () => {
    expect(pattern(1, 1, 1).wrote()).toBe(false);
    expect(pattern(1, 1, 1, 1, 1, 2).wrote()).toBe(false);
  });

  it('is not told any more once a write came instead', () => {
    const log = pattern(1, 1, 1, 1, 1);
    expect([log.wrote(), log.wrote(), log.wrote()]).toEqual([true, false, false]);
    log.flushed();
    expect(log.wrote()).toBe(false);
  });
});
