/** Which sync covers which flush. */
import type { Store } from '../src/volumes/store/store.ts';
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
    flush('first');
    await turn();
    ends[0]?.();
    await turn();
    const before = told.flushes;
    flush('late');
    expect(answers).toEqual(['first', 'late']);
    expect(told.flushes).toBe(before + 1);
    expect(ends).toHaveLength(1);
  });

  it('fails with the sync that it joined, and ever after', async () => {
    const { syncing, ends, answers, flush } = bench();
    syncing.changed();
    flush('first');
    await turn();
    flush('joined');
    ends[0]?.(new Error('EIO'));
    await turn();
    flush('later');
    await turn();
    expect(answers).toEqual(['first failed', 'joined failed', 'later failed']);
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
