/** A person has both sides compared, and what differs mended. */

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { runResync, runVerify } from '../src/process/comparison-runs.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';
import { portsTo } from './run-ports.ts';
import { zoo } from './zoo.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;

afterEach(async () => {
  await pair.close();
});

describe('a comparison', () => {
  test('say what differs, when asked to', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/a/nothing`, 'by somebody else');
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const verified = await pair.source.verify('bert', true, new AbortController().signal);
    if (verified.kind === 'failed') throw new Error(verified.says);
    const found = verified.differences.map(({ path, kind }) => `${path.toString()} ${kind}`).sort();
    expect(found).toContain('a/nothing contents');
    expect(found).toContain('stray extra');
    await pair.until(() => pair.source.state().targets[0]?.consistent === true, 'it is mended');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('stay in step while everything is compared, and after it', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const states = new Set<string>();
    const note = (): void => {
      const row = pair.source.state().targets[0];
      states.add(`${String(row?.consistent)} ${String(row?.behindBytes)} ${pair.target.state().phase}`);
    };
    const timer = setInterval(note, 1);
    const verified = await pair.source.verify('bert', false, new AbortController().signal);
    note();
    clearInterval(timer);
    expect(verified).toMatchObject({ kind: 'compared', differences: [] });
    await pair.settle();
    note();
    expect(pair.target.state().phase).toBe('replicating');
    expect([...states].filter((state) => state.endsWith(' resync'))).toEqual([]);
  });

  test('call nothing a difference that was only not sent yet', async () => {
    pair = await makePair({ prepare: zoo });
    mkdirSync(pair.at('tree/below'), { recursive: true });
    writeFileSync(pair.at('tree/below/leaf'), 'a leaf');
    writeFileSync(pair.at('tree/goes'), 'goes');
    await pair.settle();
    pair.pause('backup');
    renameSync(pair.at('tree'), pair.at('moved'));
    rmSync(pair.at('moved/goes'));
    writeFileSync(pair.at('moved/comes'), 'comes');
    writeFileSync(pair.at('a/nothing'), 'something');
    await pair.until(() => (pair.source.state().targets[0]?.behindBytes ?? 0) > 5, 'it is behind');
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    pair.pause(null);
    const verified = await pair.source.verify('bert', false, new AbortController().signal);
    if (verified.kind === 'failed') throw new Error(verified.says);
    const found = verified.differences.map(({ path, kind }) => `${path.toString()} ${kind}`);
    // The stray name gave the root another time.
    expect(found.filter((one) => one !== ' metadata')).toEqual(['stray extra']);
    rmSync(`${pair.targetRoot}/stray`);
    await pair.source.verify('bert', true, new AbortController().signal);
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });

  test('say at once why nothing can be compared: it is paused, or away', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const { signal } = new AbortController();
    pair.pause('backup');
    expect(await pair.source.verify('bert', true, signal)).toEqual({
      kind: 'failed',
      says: 'it is paused: backup',
    });
    expect(pair.source.resync('bert')).toMatchObject({ kind: 'failed', says: 'it is paused: backup' });
    pair.pause(null);
    await pair.settle();
    pair.cut();
    const away = await pair.source.verify('bert', false, signal);
    expect(away).toMatchObject({ kind: 'failed', says: expect.stringMatching(/^it is disconnected: /) });
    pair.heal();
    await pair.settle();
    expect(await pair.source.verify('bert', false, signal)).toMatchObject({ kind: 'compared' });
  });

  test('give a comparison up when whoever asked goes away', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    const asked = new AbortController();
    const gone = pair.source.verify('bert', false, asked.signal);
    asked.abort();
    expect(await gone).toMatchObject({ kind: 'failed' });
    expect(await pair.source.verify('bert', false, new AbortController().signal)).toMatchObject({
      kind: 'compared',
    });
  });

  test('tell a repair that is done from one that found more', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const rows: MirrorRunRow[] = [];
    const ports = portsTo(rows);
    await runVerify(pair.source, ['bert'], true, ports);
    expect(rows.filter(({ kind }) => kind !== 'progress')).toMatchObject([
      { kind: 'difference', path: 'stray', what: 'extra', mended: true },
      { kind: 'difference', path: '.', what: 'metadata', mended: true },
      { kind: 'verified', target: 'bert', differing: 0, mended: 2, says: '' },
    ]);
    expect(pair.differences()).toEqual([]);
  });

  test('end a resync when everything is there', async () => {
    pair = await makePair({ prepare: zoo });
    await pair.settle();
    writeFileSync(`${pair.targetRoot}/stray`, 'not ours');
    const ports = portsTo();
    expect(await runResync(pair.source, 'd3/data', ['bert'], ports)).toMatchObject({ kind: 'done' });
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  });
});
