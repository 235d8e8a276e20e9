// What the demo shows and concludes from a client's answers.
import { timeline, type Ink } from '../demo/timeline.ts';
import { epochsSeen, gapAfter, problemsOf } from '../demo/verdict.ts';
import type { Visit } from '../demo/visits.ts';

const visit = (server: string, epoch: string, atMs: number): Visit => ({ server, epoch, atMs });
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
