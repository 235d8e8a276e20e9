/** What a source noted of its targets, and begins with when it is one again. */

import { writeFileSync } from 'node:fs';
import { afterEach, expect, jest, test } from '@jest/globals';
import { advanceHistory } from '@holdfast/core';
import { readNote, writeNote } from '../src/files/source/notes.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair | null = null;

afterEach(async () => {
  await pair?.close();
  pair = null;
});

/** A source that stopped in the middle of a first copy; its target is away. */
async function stoppedInCopy(): Promise<MirrorPair> {
  const made = await makePair({});
  pair = made;
  writeFileSync(made.at('file'), 'file');
  await made.settle();
  await made.stopTarget();
  await made.stopSource();
  const note = readNote(made.sourceCatalog);
  if (note === null) throw new Error('it noted nothing');
  const targets = Object.keys(note.targets).map((member) => [member, { acked: 1, copyEnd: 2 }]);
  writeNote(made.sourceCatalog, { ...note, targets: Object.fromEntries(targets) as typeof note.targets });
  return made;
}

const copyEnds = ({ sourceCatalog }: MirrorPair): readonly (number | null)[] =>
  Object.values(readNote(sourceCatalog)?.targets ?? {}).map(({ copyEnd }) => copyEnd);

test('a first copy that broke off is gone on with by the next life of its source', async () => {
  const made = await stoppedInCopy();
  made.nextEpoch();
  await made.startSource();
  expect(copyEnds(made)).toEqual([2]);
});

test('a first copy that broke off is not gone on with once somebody else was the source', async () => {
  const made = await stoppedInCopy();
  const { sourceCatalog: catalog } = made;
  const { history, epoch } = catalog.meta;
  made.nextEpoch();
  catalog.setMeta({ history: advanceHistory(history, epoch + 1n, catalog.lastSequence) });
  made.nextEpoch();
  await made.startSource();
  expect(copyEnds(made)).toEqual([null]);
});
