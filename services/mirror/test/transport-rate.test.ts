import { afterEach, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { Compression } from '../src/transport/compression.ts';
import { redialMs } from '../src/transport/backoff.ts';
import { Throttle } from '../src/transport/throttle.ts';
import type { Connection } from '../src/transport/types.ts';
import { connectionPair, type ConnectionPair } from './connection-pair.ts';
import { until } from './transport-cluster.ts';

let pair: ConnectionPair | null = null;

afterEach(() => {
  pair?.cut();
  pair = null;
});

/** A sender that always has something, in simulated time: when how many bytes leave. */
function run(
  throttle: Throttle,
  clock: { ms: number },
  forMs: number,
  lateMs: () => number,
): [number, number][] {
  const most = Math.max(524_288, (throttle.bitsPerSecond ?? 0) / 1_600);
  const left: [number, number][] = [];
  const endMs = clock.ms + forMs;
  while (clock.ms < endMs) {
    const room = throttle.room(most);
    if (room > 0) {
      const bytes = Math.min(room, most);
      throttle.take(bytes);
      left.push([clock.ms, bytes]);
    } else clock.ms += Math.max(1, throttle.waitMs(most)) + lateMs();
  }
  return left;
}

const between = (left: readonly [number, number][], fromMs: number, toMs: number): number =>
  left.reduce((sum, [atMs, bytes]) => (atMs >= fromMs && atMs < toMs ? sum + bytes : sum), 0);

describe('a throttle', () => {
  test.each([[64_000], [1_000_000], [100_000_000], [10_000_000_000], [999_000_000_000]])(
    'keeps %d bits per second within 3 % in every 2 s, with timers that wake late',
    (rate) => {
      const clock = { ms: 0 };
      const throttle = new Throttle(rate, () => clock.ms);
      let late = 0;
      const left = run(throttle, clock, 12_000, () => (late = (late * 7 + 3) % 10));
      const meant = rate / 4;
      for (let fromMs = 1_000; fromMs < 9_900; fromMs += 37) {
        const share = between(left, fromMs, fromMs + 2_000) / meant;
        expect(share).toBeGreaterThan(0.97);
        expect(share).toBeLessThan(1.03);
      }
    },
  );

  test('keeps 1 Kbit', () => {
    const clock = { ms: 0 };
    const left = run(new Throttle(1_000, () => clock.ms), clock, 120_000, () => 1);
    expect(between(left, 10_000, 110_000) / 12_500).toBeCloseTo(1, 1);
  });

  test('is changed while it runs', () => {
    const clock = { ms: 0 };
    const throttle = new Throttle(1_000_000, () => clock.ms);
    const slow = run(throttle, clock, 4_000, () => 0);
    throttle.setRate(100_000_000);
    const fast = run(throttle, clock, 4_000, () => 0);
    throttle.setRate(1_000_000);
    const again = run(throttle, clock, 4_000, () => 0);
    expect(between(slow, 1_000, 3_000) / 250_000).toBeCloseTo(1, 1);
    expect(between(fast, 5_000, 7_000) / 25_000_000).toBeCloseTo(1, 1);
    expect(between(again, 9_000, 11_000) / 250_000).toBeCloseTo(1, 1);
  });

  test('without a rate never waits, and refuses rates that make no sense', () => {
    expect(new Throttle().room(1)).toBe(Infinity);
    for (const rate of [0, -1, 999, 1e12, NaN, Infinity]) expect(() => new Throttle(rate)).toThrow();
  });

  test('holds for a connection, and a new rate at once', async () => {
    const throttle = new Throttle(8_000_000);
    pair = connectionPair({ throttle, compression: 'never' });
    const { source, target } = pair;
    let received = 0;
    target.onFrame((frame) => {
      if (frame.kind === 'data') received += frame.contents.length;
    });
    let filling = true;
    const filled = fill(source, () => filling);
    await until('it runs', () => received > 100_000);
    const fromMs = performance.now();
    const before = received;
    await until('half a second passed', () => performance.now() - fromMs > 500);
    // A busy machine may be slower than the throttle, and never faster; how exact it is, the benchmark measures.
    expect((received - before) / (performance.now() - fromMs)).toBeLessThan(1_150);
    throttle.setRate(null);
    await until('it is much faster', () => received - before > 20_000_000);
    filling = false;
    await filled;
  });
});

async function fill(connection: Connection, more: () => boolean): Promise<void> {
  while (more() && connection.ended === null) {
    const contents = Buffer.alloc(connection.dataBytes);
    if (!connection.send({ kind: 'data', stream: 1, offset: 0, contents })) await connection.writable();
  }
}

describe('compression', () => {
  const text = Buffer.alloc(65_536, 'all work and no play ');
  const noise = randomBytes(65_536);

  test('happens by itself only where the line is the limit', () => {
    const auto = new Compression('auto');
    expect(auto.compress([text], null)).toBeNull();
    expect(auto.compress([text], 1_000)?.length).toBeLessThan(1_000);
    // A line of 100 GB/s is faster than any processor compresses.
    expect(auto.compress([text], 100_000_000)).toBeNull();
    expect(new Compression('never').compress([text], 1)).toBeNull();
    expect(new Compression('always').compress([text], null)).not.toBeNull();
  });

  test('is measured anew where the first frame took long', () => {
    const lineBytesPerMs = 5_000;
    const clock = { ms: 0, frameMs: 100 };
    const auto = new Compression('auto', () => (clock.ms += clock.frameMs));
    auto.compress([text], lineBytesPerMs);
    clock.frameMs = 0.1;
    expect(auto.compress([text], lineBytesPerMs)).toBeNull();
    const later = Array.from({ length: 200 }, () => auto.compress([text], lineBytesPerMs));
    expect(later.slice(-10)).not.toContain(null);
  });

  test('gives up on what does not shrink, and tries again', () => {
    const always = new Compression('always');
    expect(always.compress([noise], null)).toBeNull();
    const again = Array.from({ length: 20 }, () => always.compress([text], null)).findIndex(
      (packed) => packed !== null,
    );
    expect(again).toBe(8);
  });
});

test('dialing again waits longer each time, up to 5 s', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 1_000].map((failures) => redialMs(failures, 0));
  expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  expect(redialMs(1, 1)).toBe(75);
});
