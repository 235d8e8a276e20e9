/** Files that a batch did not find, because the tree went on while it was read. */

import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { Throttle } from '../src/transport/throttle.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

const MiB = 1 << 20;
const limitMs = 60_000;
let pair: MirrorPair;

afterEach(async () => {
  await pair.close();
});

test(
  'a copy carries what was not found where it was, because a folder above it got another name meanwhile',
  async () => {
    const throttle = new Throttle(24_000_000);
    pair = await makePair({
      feed: 'none',
      line: { throttle },
      prepare: (root) => {
        mkdirSync(`${root}/m`);
        writeFileSync(`${root}/a`, randomBytes(4 * MiB));
        writeFileSync(`${root}/m/in`, 'in');
        linkSync(`${root}/m/in`, `${root}/m/linked`);
        writeFileSync(`${root}/m/large`, Buffer.alloc(MiB, 2));
        writeFileSync(`${root}/z`, randomBytes(8 * MiB));
      },
    });
    const read = (): number => pair.source.state().targets[0]?.doneBytes ?? 0;
    await pair.until(() => read() > 0, 'the copy is at the first file');
    const { lastSequence } = pair.sourceCatalog;
    renameSync(pair.at('m'), pair.at('n'));
    await pair.until(() => read() > 4 * MiB, 'it is at the last file');
    await pair.until(() => pair.sourceCatalog.lastSequence > lastSequence, 'a walk finds the new name');
    await pair.settle();
    expect(pair.differences()).toEqual([]);
  },
  limitMs,
);
