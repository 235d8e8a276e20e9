/** When a line is said not to keep up, and when not. */

import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { isTooSlow, lagAfter, type Lag } from '../src/files/source/lag.ts';
import { Throttle } from '../src/transport/throttle.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

const limitMs = 10_000;
const MB = 1_000_000;

/** Looked at once a second; answers the seconds at which it was too slow. `null`: the line has room. */
function slowAt(backlog: readonly (number | null)[], bytesPerSecond = MB): number[] {
  let lag: Lag | null = null;
  return backlog.flatMap((behindBytes, second) => {
    const facts = { full: behindBytes !== null, behindBytes: behindBytes ?? 0, bytesPerSecond };
    lag = lagAfter(lag, facts, second * 1_000);
    return isTooSlow(lag, facts, second * 1_000, limitMs) ? [second] : [];
  });
}

const seconds = (count: number, at: (second: number) => number): number[] => [...Array(count).keys()].map(at);

describe('a line', () => {
  it('is too slow when the backlog grows for longer than the limit, and is told from then on', () => {
    expect(slowAt(seconds(14, (second) => second * MB))).toEqual([11, 12, 13]);
  });

  it('is not, while the backlog is within a second of what it carries, or shrinks', () => {
    expect(slowAt(seconds(60, (second) => (second % 2) * 0.9 * MB))).toEqual([]);
    expect(slowAt(seconds(60, (second) => (60 - second) * MB))).toEqual([]);
  });

  it('that drained its first backlog, however large, is too slow as soon as that grows for longer', () => {
    const shrinks = seconds(20, (second) => (20 - second) * 100 * MB);
    const grows = seconds(15, (second) => (second + 1) * 2 * MB);
    expect(slowAt([...shrinks, 0, ...grows])).toEqual([31, 32, 33, 34, 35]);
  });

  it('that had room is judged from there', () => {
    const grows = seconds(9, (second) => second * MB);
    expect(slowAt([...grows, null, ...grows, null, ...grows])).toEqual([]);
  });

  it('that carries nothing at all is too slow for anything more', () => {
    expect(
      slowAt(
        seconds(13, (second) => (second === 0 ? 5 : 6)),
        0,
      ),
    ).toEqual([11, 12]);
  });
});

/** What is said of the only target, every 20 ms. */
async function watched(pair: MirrorPair, forMs: number, each: (turn: number) => void): Promise<Set<string>> {
  const states = new Set<string>();
  const end = performance.now() + forMs;
  for (let turn = 0; performance.now() < end; turn += 1) {
    each(turn);
    for (let looks = 0; looks < 3; looks += 1) {
      for (const { state, says } of pair.source.state().targets) states.add(`${state}: ${says}`);
      await delay(20);
    }
  }
  return states;
}

/** 8 Mbit a second; with one that is drained, and one that can't keep up. */
async function throttled(): Promise<{ readonly pair: MirrorPair; readonly throttle: Throttle }> {
  const throttle = new Throttle(8 * MB);
  const pair = await makePair({
    line: { throttle },
    settleMs: 100,
    slowAfterMs: 1_000,
    prepare: (root) => {
      writeFileSync(`${root}/first`, randomBytes(4 * MB));
    },
  });
  await pair.settle(30_000);
  return { pair, throttle };
}

describe('over a throttled line a target', () => {
  it('is in step after a long first copy, whatever little is written then', async () => {
    const { pair } = await throttled();
    const states = await watched(pair, 3_000, (turn) => {
      writeFileSync(pair.at(`small-${String(turn)}`), randomBytes(2_000));
    });
    expect([...states]).toEqual(['replicating: ']);
    await pair.close();
  }, 60_000);

  it('waits, and says why, while more is written than the line carries; and goes on when it carries more', async () => {
    const { pair, throttle } = await throttled();
    const states = await watched(pair, 6_000, (turn) => {
      writeFileSync(pair.at(`large-${String(turn)}`), randomBytes(300_000));
    });
    expect([...states].join('\n')).toMatch(/^waiting: the line can't keep up: \d+ bytes a second go out/m);
    throttle.setRate(null);
    await pair.settle(30_000);
    const after = await watched(pair, 100, () => undefined);
    expect([...after]).toEqual(['replicating: ']);
    await pair.close();
  }, 60_000);
});
