/** The sums of a position: a copy whose record is not that of its source is compared, and no other is. */

import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { unknownChecksum } from '@holdfast/core';
import type { Catalog } from '../src/catalog/types.ts';
import { agreementOf, toldSum, type Sums } from '../src/files/target/agreement.ts';
import { join as joinBy, type JoiningFacts } from '../src/files/source/joining.ts';
import { note, readNote } from '../src/files/target/note.ts';
import { protocolVersion, type Hello } from '../src/transport/types.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';
import { refuseColons } from './narrow-kernel.ts';
import { openStage, put, set, folderOf, type Stage } from './target-fixture.ts';

const limitMs = 60_000;
let pair: MirrorPair | null = null;
let stage: Stage | null = null;
let widen = (): unknown => undefined;

afterEach(async () => {
  widen();
  await pair?.close();
  await stage?.close();
  [pair, stage] = [null, null];
  widen = () => undefined;
});

const doubts = ({ said }: MirrorPair): string[] =>
  said.filter((line) => /its record of the files/.test(line));
const apart = ({ targetCatalog }: MirrorPair): bigint | null =>
  readNote(targetCatalog.meta.notes[note]).apart;

const digest = Buffer.from('selection');
const helloOf = (more: Partial<Hello>): Hello => ({
  ...{ kind: 'hello', protocol: protocolVersion, cluster: 'acme', member: 'bert', mirror: 'd3/data' },
  ...{ role: 'target', epoch: 7n, position: null, history: [], selection: digest },
  ...{ consistent: true, parts: [], foreign: false, compareRanges: 0 },
  ...more,
});

/** Somebody's hand in the catalog: a file that is there is in it no more. */
function tamper(catalog: Catalog, path: string): void {
  catalog.recordRemoved(Buffer.from(path), catalog.lastSequence);
  while (!catalog.sweep(Infinity));
}

async function inStep(): Promise<MirrorPair> {
  const begun = await makePair({
    prepare: (root) => {
      mkdirSync(join(root, 'f'));
      for (const name of ['one', 'two', 'f/three']) writeFileSync(join(root, name), name);
    },
  });
  pair = begun;
  await begun.settle();
  expect([apart(begun), doubts(begun)]).toEqual([0n, []]);
  return begun;
}

/** It was compared, and is as its source again. */
async function expectMended(mended: MirrorPair): Promise<void> {
  // Its source may not have heard of it yet.
  await mended.until(() => mended.target.state().consistent && apart(mended) !== null, 'it was compared');
  await mended.settle();
  expect(mended.differences()).toEqual([]);
  expect(doubts(mended)).toHaveLength(1);
  expect(mended.targetCatalog.checksum).toBe(mended.sourceCatalog.checksum);
  expect([mended.target.state().consistent, apart(mended)]).toEqual([true, 0n]);
}

test('what is agreed on', () => {
  const told = (more: Partial<Sums>): ReturnType<typeof agreementOf> =>
    agreementOf({
      source: '0000000000000005',
      own: '0000000000000003',
      apart: 0n,
      leavesOut: () => false,
      comparedMs: 0,
      nowMs: 1e12,
      ...more,
    });
  expect(told({ apart: 2n })).toEqual({ kind: 'agrees', apart: null });
  expect(told({ source: unknownChecksum })).toEqual({ kind: 'agrees', apart: null });
  expect(told({ apart: null })).toEqual({ kind: 'agrees', apart: 2n });
  expect(told({ leavesOut: () => true })).toEqual({ kind: 'agrees', apart: 2n });
  expect(told({})).toEqual({ kind: 'differs' });
  expect(told({ comparedMs: 1e12 - 1_000 })).toEqual({ kind: 'differs-again', apart: 2n });
  // A clock that went back is no reason to believe.
  expect(told({ comparedMs: 1e12 + 1_000 })).toEqual({ kind: 'differs' });
  const below = told({ source: '0000000000000001', leavesOut: () => true });
  expect(below).toEqual({ kind: 'agrees', apart: 2n ** 64n - 2n });
  expect(toldSum('0000000000000003', 2n ** 64n - 2n)).toBe('0000000000000001');
});

test('at the same position of the same epoch both have the same sum, or are compared', () => {
  const [own, other] = ['0000000000000001', '0000000000000002'];
  const history = [{ epoch: 7n, sequence: 9 }];
  const facts: JoiningFacts = {
    ...{ cluster: 'acme', mirror: 'd3/data', member: 'bert', epoch: 7n, history, selection: digest },
    ...{ lastSequence: 9, checksum: own, horizon: 0, copyEnd: null, compare: false },
  };
  const joined = (checksum: string, sequence = 9, epoch = 7n): string => {
    const position = { epoch, sequence, checksum };
    return joinBy(facts, helloOf({ position, history: [{ epoch, sequence }] })).kind;
  };
  expect(joined(own)).toBe('continue');
  expect(joined(other)).toBe('compare');
  expect(joined(unknownChecksum)).toBe('continue');
  expect(joined(other, 8)).toBe('continue');
});

test(
  'a catalog that was changed behind the target is found with the next batch, and told with its reason',
  async () => {
    const mirror = await inStep();
    tamper(mirror.targetCatalog, 'f/three');
    appendFileSync(mirror.at('one'), ' more');
    const says = (): string => mirror.source.state().targets[0]?.says ?? '';
    await mirror.until(() => /its record of the files is not the one/.test(says()), 'its source says why');
    await expectMended(mirror);
  },
  limitMs,
);

test(
  'one that was changed while the target stood still is found at the connection, without a batch',
  async () => {
    const mirror = await inStep();
    const { wireBytes } = mirror;
    await mirror.restartTarget(() => {
      tamper(mirror.targetCatalog, 'two');
    });
    await mirror.until(() => doubts(mirror).length > 0, 'it is found');
    await expectMended(mirror);
    // Compared, and nothing of it sent again.
    expect(mirror.wireBytes - wireBytes).toBeLessThan(4_096);
  },
  limitMs,
);

test(
  'a source whose catalog was restored gives a number twice: the copy that has the first is compared',
  async () => {
    const mirror = await inStep();
    const catalog = mirror.sourceCatalog.dir;
    const restore = async (from: string, to: string): Promise<void> => {
      await mirror.sourceCatalog.close();
      rmSync(to, { recursive: true, force: true });
      cpSync(from, to, { recursive: true });
      mirror.reopen('anna');
    };
    await mirror.stopSource();
    await restore(catalog, `${catalog}.saved`);
    await mirror.startSource();
    for (const name of ['0', '1', '2', 'first']) writeFileSync(mirror.at(name), name);
    await mirror.settle();
    const { lastSequence } = mirror.sourceCatalog;
    await mirror.stopSource();
    await restore(`${catalog}.saved`, catalog);
    for (const name of ['0', '1', '2']) rmSync(mirror.at(name));
    renameSync(mirror.at('first'), mirror.at('second'));
    mirror.cut();
    await mirror.startSource();
    for (let at = 0; at < lastSequence; at = mirror.sourceCatalog.lastSequence) {
      if (at > 0) chmodSync(mirror.at('one'), 0o600 + (at % 8));
      await mirror.until(() => mirror.sourceCatalog.lastSequence > at, 'numbers are given again');
    }
    mirror.heal();
    await mirror.settle();
    expect(mirror.differences()).toEqual([]);
  },
  limitMs,
);

test(
  'what a target leaves out makes no difference, and hides none',
  async () => {
    const mirror = await inStep();
    widen = refuseColons('EINVAL');
    const step = async (work: () => void): Promise<void> => {
      work();
      await mirror.settle();
      expect(doubts(mirror)).toEqual([]);
    };
    await step(() => {
      mkdirSync(mirror.at('g'));
      writeFileSync(mirror.at('g/a:b'), 'left out');
      writeFileSync(mirror.at('g/plain'), 'plain');
    });
    expect(existsSync(join(mirror.targetRoot, 'g/a:b'))).toBe(false);
    const left = apart(mirror);
    expect(left).not.toBe(0n);
    await step(() => {
      writeFileSync(mirror.at('other'), 'other');
    });
    expect(apart(mirror)).toBe(left);
    await step(() => {
      appendFileSync(mirror.at('g/a:b'), ', still');
    });
    expect(apart(mirror)).not.toBe(left);
    await mirror.restartTarget();
    await step(() => {
      renameSync(mirror.at('g'), mirror.at('h'));
    });
    await step(() => {
      rmSync(mirror.at('h'), { recursive: true });
    });
    expect(apart(mirror)).toBe(0n);
    tamper(mirror.targetCatalog, 'one');
    writeFileSync(mirror.at('six'), 'six');
    await mirror.until(() => doubts(mirror).length > 0, 'it is found');
    await expectMended(mirror);
  },
  limitMs,
);

test('a batch that was sent before a copy was distrusted does not make it consistent again', async () => {
  stage = await openStage();
  const { source } = await stage.dial();
  await source.batch(1, [put('a', 'one')]);
  await stage.target.foreignChanges();
  rmSync(stage.at('a'));
  mkdirSync(stage.at('a'));
  await source.send(2, [set('a', folderOf({ kind: 'file', size: 3 }))]);
  await source.send(3, [put('b', 'two')]);
  await expect(source.next('plan')).rejects.toThrow('changed here by others');
  await stage.target.foreignChanges();
  expect(stage.target.state().position?.sequence).toBe(3);
  stage = await stage.reopen();
  const { hello } = await stage.dial(7n, null);
  expect(hello).toMatchObject({ consistent: false, history: [] });
});
