// What the benchmark makes of what it saw. A wrong sum here would be a wrong promise in docs/measurements.md.
import { handovers, longestGapMs, tookTurns, type Answer } from '../bench/answers.ts';
import { addMappings } from '../bench/cost.ts';
import { answerTo, question, readAnswer } from '../bench/datagram.ts';
import { verdictOf, type Figure } from '../bench/figure.ts';
import { holdings, sharedMs } from '../bench/holdings.ts';
import { planOf } from '../bench/plan.ts';
import { series, tellError, type Series } from '../bench/series.ts';
import { spreadOf } from '../bench/spread.ts';
import { markdown } from '../bench/table.ts';

const answer = (server: string, answeredMs: number): Answer => ({
  server,
  answeredMs,
  sentMs: answeredMs - 1,
});

const figure: Figure = {
  id: 'gap',
  name: 'gap',
  mustReach: 'worst 60 ms',
  unit: 'ms',
  goal: { medianMax: 20, max: 60 },
  safety: false,
  values: [10, 15, 59],
  lost: 0,
  peers: [],
  notes: [],
};

describe('what a client saw', () => {
  const takeover = [answer('a', 0), answer('a', 5), answer('b', 3005), answer('b', 3010)];

  it('is one handover, from the last answer of the old to the first of the new', () => {
    expect(handovers(takeover)).toEqual([{ from: 'a', to: 'b', lastMs: 5, firstMs: 3005, gapMs: 3000 }]);
    expect(longestGapMs(takeover)).toBe(3000);
    expect(tookTurns(takeover)).toBe(false);
  });

  it('is two servers in turn as soon as the old one answers once more', () => {
    expect(tookTurns([...takeover, answer('a', 3015)])).toBe(true);
  });

  it('has the longest gap even when the same server answers again', () => {
    expect(longestGapMs([answer('a', 0), answer('a', 70), answer('b', 80)])).toBe(70);
  });

  it('is nothing when nobody answered', () => {
    expect([handovers([]), longestGapMs([]), tookTurns([])]).toEqual([[], 0, false]);
  });
});

describe('who held the address', () => {
  it('is counted as long as it may have been held', () => {
    const of = holdings([
      { held: false, beforeMs: 0, atMs: 0 },
      { held: true, beforeMs: 10, atMs: 20 },
      { held: false, beforeMs: 90, atMs: 100 },
    ]);
    expect(of).toEqual([{ fromMs: 10, toMs: 100 }]);
  });

  it('is shared from the earliest moment that both may have had it', () => {
    const old = holdings([
      { held: true, beforeMs: 0, atMs: 0 },
      { held: false, beforeMs: 990, atMs: 1000 },
    ]);
    const next = (fromMs: number): ReturnType<typeof holdings> =>
      holdings([{ held: true, beforeMs: fromMs, atMs: fromMs + 10 }]);
    expect(sharedMs(old, next(1000), 5000)).toBe(0);
    expect(sharedMs(old, next(995), 5000)).toBe(5);
    expect(sharedMs(holdings([{ held: true, beforeMs: 0, atMs: 0 }]), next(1000), 5000)).toBe(4000);
  });
});

describe('a figure', () => {
  it('is the median, the best and the worst of its runs', () => {
    expect(spreadOf([3, 1, 2])).toEqual({ count: 3, median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 2, 3])?.median).toBe(2.5);
    expect(spreadOf([])).toBeNull();
  });

  it('is missed by its median, by its worst, or by a run without a result', () => {
    expect(verdictOf(figure)).toBe('reached');
    expect(verdictOf({ ...figure, values: [21, 22, 23] })).toBe('missed');
    expect(verdictOf({ ...figure, values: [1, 1, 61] })).toBe('missed');
    expect(verdictOf({ ...figure, lost: 1 })).toBe('missed');
    expect(verdictOf({ ...figure, goal: { min: 11 } })).toBe('missed');
    expect(verdictOf({ ...figure, values: [] })).toBe('not measured');
    expect(verdictOf({ ...figure, goal: { unknown: 'rsync is missing' } })).toBe('not measured');
  });

  it('stands in the table beside its peers', () => {
    const table = markdown([{ ...figure, peers: [{ name: 'another', values: [] }], notes: ['a note'] }]);
    expect(table).toContain('| gap | worst 60 ms | median 15.0 (10.0 to 59.0) ms, n = 3 | reached |');
    expect(table).toContain('another: not measured');
    expect(table).toContain('- gap: a note');
  });
});

describe('a series of runs', () => {
  it('ends with the first that fails, and counts all that are missing as lost', async () => {
    let kept: Series<number> = { values: [], lost: 0 };
    let run = 0;
    const ended = series<number>({
      name: 'takeover',
      runs: 4,
      say: () => undefined,
      measure: () =>
        (run += 1) < 3 ? Promise.resolve(run) : Promise.reject<number>(new Error('nobody took over')),
      tell: String,
      keep: (all) => (kept = all),
    });
    await expect(ended).rejects.toThrow('takeover 3/4 failed');
    await ended.catch((error: unknown) =>
      expect(tellError(error)).toBe('takeover 3/4 failed: nobody took over'),
    );
    expect(kept).toEqual({ values: [1, 2], lost: 2 });
  });
});

describe('a question', () => {
  it('comes back with the name of who answered', () => {
    const answered = answerTo(question(4_000_000_000), Buffer.from('b'));
    expect(answered === undefined ? undefined : readAnswer(answered)).toEqual({
      number: 4_000_000_000,
      server: 'b',
    });
  });

  it('of another length is no question, and noise is no answer', () => {
    expect(answerTo(Buffer.from('hello'), Buffer.from('b'))).toBeUndefined();
    expect(readAnswer(Buffer.alloc(3))).toBeUndefined();
    expect(readAnswer(Buffer.alloc(65))).toBeUndefined();
  });
});

describe('memory', () => {
  it('counts a shared file once, in full, however many processes map it', () => {
    const smaps = (privateKib: number): string =>
      [
        '00400000-00500000 r-xp 00000000 fe:00 1234 /usr/bin/node',
        'Pss:  25 kB',
        'Shared_Clean:  100 kB',
        'Private_Clean:  0 kB',
        '7f0000000000-7f0000100000 rw-p 00000000 00:00 0 [heap]',
        `Pss:  ${privateKib} kB`,
        `Private_Dirty:  ${privateKib} kB`,
        '',
      ].join('\n');
    const memory = { proportional: 0, own: 0, shared: new Map<string, number>() };
    addMappings(memory, smaps(10));
    addMappings(memory, smaps(20));
    expect([memory.own, [...memory.shared.values()], memory.proportional]).toEqual([30, [100], 80]);
  });
});

describe('the words of the benchmark', () => {
  it('are 20 runs by default, and few when it is to be quick', () => {
    expect(planOf(['failover'])).toMatchObject({ kind: 'ok', plan: { runs: 20, longRuns: 5, check: false } });
    expect(planOf(['failover', '--quick'])).toMatchObject({ plan: { runs: 1, longRuns: 1 } });
    expect(planOf(['failover', '--runs', '3', '--only', 'silenced'])).toMatchObject({
      plan: { runs: 3, longRuns: 3, parts: ['silenced'] },
    });
    expect(planOf(['mirror', '--only', 'lag,small'])).toMatchObject({
      plan: { benchmark: 'mirror', runs: 3, parts: ['small', 'lag'] },
    });
    expect(planOf(['failover', '--help'])).toEqual({ kind: 'help' });
    expect(planOf(['mirror', '--quick'])).toMatchObject({ plan: { benchmark: 'mirror', runs: 1 } });
  });

  it.each([
    [[], 'no benchmark'],
    [['speed'], 'no benchmark'],
    [['mirror', '--only', 'silenced'], '--only'],
    [['failover', '--runs', 'many'], '--runs'],
    [['failover', '--only', 'luck'], '--only'],
    [['failover', '--fast'], '--fast'],
  ])('refuses %j', (argv, says) => {
    const planned = planOf(argv);
    expect(planned.kind).toBe('wrong');
    expect(planned.kind === 'wrong' ? planned.says : '').toContain(says);
  });
});
