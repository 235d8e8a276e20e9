/** What a source spends on the ends of transactions, and what it takes for changed contents. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { contentsDiffer, openCatalog } from '../src/catalog/catalog.ts';
import type { Catalog, Entry } from '../src/catalog/types.ts';
import { Confirmations } from '../src/files/source/confirming.ts';
import { Pace } from '../src/files/source/pace.ts';
import type { Stat } from '../src/os/types.ts';
import { statOf } from './catalog-fixture.ts';

const file = Buffer.from('file');
const digest = Buffer.alloc(16, 7);
let dir: string;
let catalog: Catalog;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-pace-'));
  catalog = openCatalog(join(dir, 'catalog'));
  catalog.observe(Buffer.alloc(0), statOf('folder', 1), 2_000_000);
});

afterEach(async () => {
  jest.restoreAllMocks();
  await catalog.close();
  rmSync(dir, { recursive: true, force: true });
});

function seen(more: Partial<Stat> = {}): Entry {
  catalog.observe(file, statOf('file', 2, more), 2_000_000);
  const entry = catalog.byPath(file);
  if (entry === null) throw new Error('it is not in the catalog');
  return entry;
}

function confirmed(): Entry {
  const { id } = seen();
  const entry = catalog.confirmContents(id, digest, 2_000_000);
  if (entry === null) throw new Error('it is not in the catalog');
  return entry;
}

test('a pass rests for some times as long as the last commit took, at most 100 ms', () => {
  const now = jest.spyOn(performance, 'now');
  const slow = { commitMs: 10 };
  const pace = new Pace(slow);
  now.mockReturnValue(1_000);
  expect(pace.waitMs).toBe(0);
  pace.passed();
  expect(pace.waitMs).toBe(40);
  now.mockReturnValue(1_030);
  expect(pace.waitMs).toBe(10);
  now.mockReturnValue(1_038);
  expect(pace.waitMs).toBe(0);
  slow.commitMs = 400;
  expect(pace.workMs).toBe(100);
});

test('a transaction that wrote nothing tells nothing of how long a commit takes', () => {
  seen();
  const { commitMs } = catalog;
  expect(commitMs).toBeGreaterThan(0);
  catalog.write(() => undefined);
  expect(catalog.commitMs).toBe(commitMs);
});

test('another size or time of modification are other contents; other attributes only may be', () => {
  const { sequence } = confirmed();
  const chmodded = seen({ mode: 0o600, ctimeS: 1_100 });
  expect(chmodded).toMatchObject({ suspect: true, digest });
  expect(chmodded.contents).toBeLessThanOrEqual(sequence);
  const written = seen({ mode: 0o600, ctimeS: 1_200, mtimeS: 1_200 });
  expect(written).toMatchObject({ suspect: false, digest: null, contents: written.sequence });
  expect(contentsDiffer(written, sequence)).toBe(true);
});

test('where a digest was lost on its way into the catalog, the next change counts as one of the contents', () => {
  const before = confirmed();
  const written = seen({ ctimeS: 1_200, mtimeS: 1_200 });
  // It was sent, and the host lost its power before its digest was noted; then it is again what it was.
  const back = seen({ ctimeS: 1_300 });
  expect(contentsDiffer(back, written.sequence)).toBe(true);
  expect(back.contents).toBeGreaterThan(before.contents);
});

test('digests wait for a transaction, and one is asked for when none comes', async () => {
  const entry = seen();
  const asked = new Promise<void>((resolve) => {
    const confirmations: Confirmations = new Confirmations(catalog, () => {
      expect(catalog.byPath(file)?.digest).toBeNull();
      confirmations.write();
      resolve();
    });
    confirmations.add([{ entry, digest, readAtMs: 2_000_000, changed: null }]);
  });
  await asked;
  expect(catalog.byPath(file)?.digest).toEqual(digest);
});

test('what changed since it was read is not confirmed', () => {
  const entry = seen();
  const confirmations = new Confirmations(catalog, () => undefined);
  confirmations.add([{ entry, digest, readAtMs: 2_000_000, changed: null }]);
  seen({ size: 101 });
  confirmations.write();
  expect(catalog.byPath(file)?.digest).toBeNull();
});

test('a digest that waits tells nothing of what did not hold still afterwards', () => {
  const entry = seen();
  const confirmations = new Confirmations(catalog, () => undefined);
  confirmations.add([{ entry, digest, readAtMs: 2_000_000, changed: null }]);
  confirmations.forget([entry.id]);
  confirmations.write();
  expect(catalog.byPath(file)?.digest).toBeNull();
});
