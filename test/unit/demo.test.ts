// What the demo shows and concludes from a client's answers and from the records that the service wrote.
import type { RecordMark } from '../demo/record-mark.ts';
import { gapsIn, lossAt, recordsOf, writtenAfter } from '../demo/records.ts';
import { timeline, type Ink } from '../demo/timeline.ts';
import { epochsSeen, gapAfter, lossProblems, problemsOf } from '../demo/verdict.ts';
import type { Visit } from '../demo/visits.ts';

const none: RecordMark = { number: 0, atMs: 0 };
const visit = (server: string, epoch: string, atMs: number, found = none, last = found): Visit => ({
  server,
  epoch,
  atMs,
  found,
  last,
});
const takeover = [visit('a', '1', 0), visit('a', '1', 120), visit('b', '2', 520)];
const plain: Ink = (_server, text) => text;

describe('the timeline', () => {
  it('shows who answered in each tenth of a second, the gap, and where an epoch began', () => {
    const marks = [{ atMs: 520, text: 'b, epoch 2' }];
    expect(timeline(takeover, { fromMs: 0, toMs: 600 }, marks, plain, true)).toEqual([
      '  0.0 s aa...b',
      '             ^ b, epoch 2',
    ]);
  });

  it('goes on in the next row after seven seconds', () => {
    const lines = timeline(takeover, { fromMs: 0, toMs: 7_100 }, [], plain, true);
    expect(lines.map((line) => line.slice(0, 9))).toEqual(['  0.0 s a', '  7.0 s .']);
  });
});

describe('the verdict', () => {
  it('is content with epochs that rise, one server in each', () => {
    const all = [...takeover, visit('a', '3', 900)];
    expect(problemsOf(all)).toEqual([]);
    expect(epochsSeen(all)).toEqual(['a 1', 'b 2', 'a 3']);
    expect(gapAfter(all, 300)).toBe(400);
  });

  it('names a former owner that answers again', () => {
    expect(problemsOf([...takeover, visit('a', '1', 530)])).toEqual(['epoch 1 of a was seen after epoch 2']);
  });

  it('names two servers in one epoch, and an answer without one', () => {
    expect(problemsOf([visit('a', '1', 0), visit('b', '1', 1)])).toEqual([
      'a and b both answered in epoch 1',
    ]);
    expect(problemsOf([visit('a', '?', 0)])).toEqual(['a answered without an epoch']);
  });
});

describe('the records', () => {
  const seven: RecordMark = { number: 7, atMs: 700 };
  const nine: RecordMark = { number: 9, atMs: 930 };
  const next = visit('b', '2', 500, seven);

  it('lost in a takeover are those told before and not found after it', () => {
    const visits = [visit('a', '1', 0, none, seven), visit('a', '1', 20, none, nine), next];
    expect(lossAt(visits, next)).toEqual({ told: nine, found: seven, records: 2, ms: 230 });
  });

  it('are none when the next server found all, and more', () => {
    const visits = [visit('a', '1', 0, none, { number: 6, atMs: 600 }), next];
    expect(lossAt(visits, next)).toMatchObject({ records: 0, ms: 0 });
  });

  it('are whole lines, and rise by one', () => {
    const records = recordsOf('1 10 a 1\n2 15 a 1\n4 20 b 2\n5 2');
    expect(records.map(({ number }) => number)).toEqual([1, 2, 4]);
    expect(gapsIn(records)).toEqual(['record 2 is followed by 4']);
    expect(writtenAfter(records, 'a', { number: 1, atMs: 10 })).toEqual([
      { number: 2, atMs: 15, server: 'a', bytes: 9 },
    ]);
  });

  it('may be lost as far as status said, and all of them are kept aside', () => {
    const loss = { told: nine, found: seven, records: 2, ms: 2_300 };
    expect(lossProblems(loss, { ms: 2_300, afterMs: 0 }, 2)).toEqual([]);
    expect(lossProblems(loss, { ms: 1_740, afterMs: 60 }, 2)).toEqual([]);
    expect(lossProblems(loss, { ms: 1_739, afterMs: 60 }, 1)).toEqual([
      'the takeover lost 2300 ms, and status had shown 1739 ms, 60 ms before',
      '2 records were lost, and 1 of them are kept aside',
    ]);
  });
});
