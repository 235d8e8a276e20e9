import { afterEach, describe, expect, test } from '@jest/globals';
import { connectionPair, type ConnectionPair } from './connection-pair.ts';
import type { Ended, Frame } from '../src/transport/types.ts';

let pair: ConnectionPair | null = null;

function joined(options: Parameters<typeof connectionPair>[0] = {}): ConnectionPair {
  pair = connectionPair(options);
  return pair;
}

async function until(what: string, condition: () => boolean, limitMs = 5_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

afterEach(() => {
  pair?.cut();
});

const dataFrame = (offset: number, bytes: number): Frame => ({
  kind: 'data',
  stream: 1,
  offset,
  contents: Buffer.alloc(bytes, offset % 251),
});

describe('a connection', () => {
  test('delivers frames whole and in order, however the bytes are cut', async () => {
    const { source, target } = joined({ chunkBytes: 7 });
    const heard: Frame[] = [];
    target.onFrame((frame) => {
      if (frame.kind !== 'beat') heard.push(frame);
    });
    source.send({ kind: 'begin', number: 1, consistent: true });
    source.send(dataFrame(4_096, 10_000));
    source.send({ kind: 'stream-end', stream: 1, bytes: 10_000 });
    await until('all came', () => heard.length === 3);
    expect(heard[0]).toEqual({ kind: 'begin', number: 1, consistent: true });
    expect(heard[1]).toMatchObject(dataFrame(4_096, 10_000));
    expect(heard[2]).toEqual({ kind: 'stream-end', stream: 1, bytes: 10_000 });
  });

  test('makes the sender wait while the receiver holds, and loses nothing', async () => {
    const { source, target } = joined();
    let received = 0;
    target.onFrame((frame) => {
      if (frame.kind !== 'data') return;
      received += 1;
      if (received === 3) target.hold();
    });
    let sent = 0;
    while (source.send(dataFrame(sent, 262_144)) && sent < 1_000) sent += 1;
    expect(sent).toBeLessThan(20);
    await until('the receiver holds', () => received === 3);
    target.go();
    await source.writable();
    await source.flushed();
    await until('all came', () => received === sent + 1);
  });

  test('is told of its end once, and a sender that waits is let go', async () => {
    const { source, target } = joined();
    const ends: Ended[] = [];
    source.onEnd((ended) => ends.push(ended));
    for (let i = 0; source.send(dataFrame(i, 1_048_576)); i += 1) expect(i).toBeLessThan(10);
    const waiting = source.writable();
    target.close('done here');
    await waiting;
    await until('the source knows', () => ends.length > 0);
    expect(ends).toEqual([{ kind: 'finished', says: 'the other side closed' }]);
    expect(source.send({ kind: 'begin', number: 1, consistent: true })).toBe(false);
  });

  test('brings the last words of a side that closes', async () => {
    const { source, target } = joined();
    const story: string[] = [];
    target.onFrame((frame) => story.push(frame.kind));
    target.onEnd((ended) => story.push(ended.kind));
    source.send({ kind: 'refuse', code: 'epoch', says: 'too old', epoch: 7n });
    source.close('refused');
    await until('the end is known', () => story.includes('finished'));
    expect(story.filter((word) => word !== 'beat')).toEqual(['refuse', 'finished']);
  });

  test('is dead when nothing is heard, and not before', async () => {
    const ends = joined({ beatMs: 10, silentMs: 150 });
    const { source, target } = ends;
    let ended: Ended | null = null;
    source.onFrame(() => undefined);
    source.onEnd((end) => {
      ended = end;
    });
    target.onFrame(() => undefined);
    target.beats(() => facts);
    source.beats(() => facts);
    await until('beats give a round trip', () => source.rttMs !== null);
    const frozenAtMs = performance.now();
    ends.freeze();
    await until('it is declared dead', () => ended !== null);
    expect(ended).toMatchObject({ kind: 'silent' });
    expect(performance.now() - frozenAtMs).toBeGreaterThan(130);
  });

  test('lets beats overtake what waits', async () => {
    const { source, target } = joined({ beatMs: 60_000 });
    const order: string[] = [];
    target.onFrame((frame) => order.push(frame.kind));
    source.send({ kind: 'begin', number: 1, consistent: true });
    for (let i = 0; i < 12; i += 1) source.send(dataFrame(i, 262_144));
    source.beatNow();
    await until('all came', () => order.filter((kind) => kind === 'data').length === 12);
    const beat = order.lastIndexOf('beat');
    expect(beat).toBeGreaterThan(0);
    expect(beat).toBeLessThan(10);
  });
});

const facts = {
  behindBytes: 0,
  behindMs: 0,
  waiting: '',
  sequence: 0,
  receivedBytes: 0,
  says: '',
  diverged: false,
};
