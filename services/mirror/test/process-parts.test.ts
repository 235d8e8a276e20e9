/** Small parts of the mirror process: rates by the week, odd names, when reports go out. */
import fc from 'fast-check';
import type { MirrorReport } from '@holdfast/core';
import { rateAt } from '../src/process/line-rate.ts';
import { Reporting } from '../src/process/reporting.ts';
import { Restores } from '../src/process/restores.ts';
import type { Answered } from '../src/process/side.ts';
import { DiskProbe } from '../src/files/disk-probe.ts';
import { pathsMeant, shownPath } from '../src/files/shown-path.ts';

describe('the rate of a line', () => {
  const rates = {
    otherwiseBits: 100e6,
    windows: [
      { window: { days: [1, 2, 3, 4, 5], fromMinute: 480, toMinute: 1080 }, bits: 20e6 },
      { window: { days: [0, 1], fromMinute: 0, toMinute: 1440 }, bits: null },
    ],
  };

  it('is that of the first window that holds, in local time', () => {
    const monday = (hour: number): Date => new Date(2026, 10, 23, hour);
    expect(rateAt(rates, monday(12))).toBe(20e6);
    expect(rateAt(rates, monday(20))).toBeNull();
    expect(rateAt(rates, new Date(2026, 10, 25, 20))).toBe(100e6);
    expect(rateAt(null, monday(12))).toBeNull();
  });
});

describe('a path in words', () => {
  it('is read back as it was, whatever bytes it has', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const path = Buffer.from(bytes);
        expect(pathsMeant(shownPath(path)).some((meant) => meant.equals(path))).toBe(true);
      }),
    );
  });

  it('shows UTF-8 as it is and other bytes by their numbers', () => {
    expect(shownPath(Buffer.from('a/größe'))).toBe('a/größe');
    expect(shownPath(Buffer.from([0x61, 0xff, 0xc3, 0xa9, 0xc3]))).toBe('a\\xffé\\xc3');
    // As tables show what would move a cursor.
    expect(pathsMeant('x\\x0a\\xc2\\x9by')).toContainEqual(Buffer.from('x\n\u009By'));
  });
});

describe('reports', () => {
  const copy = (sequence: number, consistent = true): MirrorReport => ({
    kind: 'target',
    mirror: 'd3/data',
    epoch: 1n,
    sequence,
    consistent,
    state: 'replicating',
    word: null,
    says: '',
  });

  it('go out at once when a state changed, seldom for figures, and for nothing only so that silence tells', () => {
    let now = 1_000;
    let reports: readonly MirrorReport[] = [copy(1)];
    const told: (readonly MirrorReport[])[] = [];
    const reporting = new Reporting({
      reports: () => reports,
      problems: () => [],
      tell: (all) => told.push(all),
      nowMs: () => now,
    });
    try {
      reporting.look();
      reporting.look();
      expect(told).toHaveLength(1);
      reports = [copy(2)];
      reporting.look();
      expect(told).toHaveLength(1);
      reports = [copy(2, false)];
      reporting.look();
      expect(told).toHaveLength(2);
      reports = [copy(3, false)];
      now += 250;
      reporting.look();
      expect(told.at(-1)).toEqual([copy(3, false)]);
      now += 999;
      reporting.look();
      expect(told).toHaveLength(3);
      now += 1;
      reporting.look();
      expect(told).toHaveLength(4);
      reports = [];
      reporting.look();
      now += 10_000;
      reporting.look();
      expect(told).toHaveLength(5);
    } finally {
      reporting.close();
    }
  });
});

describe('a restore', () => {
  const run = { mirror: 'd3/data', target: '', repair: false, path: 'x', to: '/mnt/usb' };
  const restore = { ...run, kind: 'restore' } as const;
  const discard = { ...run, kind: 'discard', to: '' } as const;
  const done: Answered = { kind: 'done', says: '' };
  const isDone = (): Promise<Answered> => Promise.resolve(done);

  it('keeps what is copied from being discarded until it has ended', async () => {
    const restores = new Restores(new DiskProbe(1_000, () => Promise.resolve('')));
    let end: (answered: Answered) => void = () => undefined;
    const ended = new Promise<Answered>((resolve) => {
      end = resolve;
    });
    const restoring = restores.pass(restore, () => ended);
    expect(await restores.pass(discard, isDone)).toMatchObject({
      kind: 'failed',
      says: 'something of d3/data is being restored here: discard when that has ended',
    });
    expect(await restores.pass({ ...discard, mirror: 'd4/data' }, isDone)).toBe(done);
    expect(await restores.pass({ ...run, kind: 'list' }, isDone)).toBe(done);
    end(done);
    expect(await restoring).toBe(done);
    expect(await restores.pass(discard, isDone)).toBe(done);
  });

  it('is not begun into a folder that does not answer', async () => {
    const restores = new Restores(new DiskProbe(10, () => new Promise(() => undefined)));
    const begin = (): never => {
      throw new Error('it was begun');
    };
    expect(await restores.pass(restore, begin)).toMatchObject({ says: '/mnt/usb does not answer' });
    expect(await restores.pass(discard, isDone)).toBe(done);
  });
});
