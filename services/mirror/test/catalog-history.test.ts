/** Whatever happens to a tree, a catalog tells what a copy at any earlier number lacks, and where everything was then. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { openCatalog } from '../src/catalog/catalog.ts';
import { type Catalog, type Observed, rootId } from '../src/catalog/types.ts';
import { FakeDisk } from './fake-disk.ts';
import { type Replica, allChanges, caughtUp, present } from './fake-replica.ts';

const names = ['a', 'b', 'c'];
const aPath = fc
  .array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 })
  .map((parts) => parts.join('/'));
const aKind = fc.constantFrom('file' as const, 'folder' as const, 'folder' as const, 'link' as const);
const anOperation = fc.oneof(
  fc.record({ do: fc.constant('make' as const), path: aPath, kind: aKind }),
  fc.record({ do: fc.constant('make' as const), path: aPath, kind: aKind }),
  fc.record({ do: fc.constant('write' as const), path: aPath, keepTimes: fc.boolean() }),
  fc.record({ do: fc.constant('mode' as const), path: aPath, mode: fc.integer({ min: 0, max: 0o7777 }) }),
  fc.record({ do: fc.constant('link' as const), path: aPath, to: aPath }),
  fc.record({ do: fc.constant('rename' as const), path: aPath, to: aPath }),
  fc.record({ do: fc.constant('rename' as const), path: aPath, to: aPath }),
  fc.record({ do: fc.constant('remove' as const), path: aPath }),
);
const aStep = fc.record({
  operations: fc.array(fc.record({ what: anOperation, tickMs: fc.constantFrom(0, 0, 4, 30) }), {
    maxLength: 8,
  }),
  look: fc.constantFrom('scan' as const, 'feed' as const),
  /** In which order paths are looked at. */
  order: fc.integer({ min: 0, max: 1_000 }),
  confirm: fc.boolean(),
  reopen: fc.nat({ max: 60 }),
});
type Operation = typeof anOperation extends fc.Arbitrary<infer T> ? T : never;

interface Told {
  readonly path: string;
  readonly whole: boolean;
}

/** What a change feed would tell. */
function carriedOut(disk: FakeDisk, what: Operation): Told[] {
  const one = (done: boolean, ...paths: string[]): Told[] =>
    done
      ? paths.flatMap((path) => [
          { path: folderOf(path), whole: false },
          { path, whole: true },
        ])
      : [];
  switch (what.do) {
    case 'make':
      return one(disk.make(what.path, what.kind), what.path);
    case 'write':
      return one(disk.write(what.path, what.keepTimes), what.path);
    case 'mode':
      return one(disk.mode(what.path, what.mode), what.path);
    case 'link':
      return one(disk.link(what.path, what.to), what.path, what.to);
    case 'rename':
      return one(disk.rename(what.path, what.to), what.path, what.to);
    case 'remove':
      return one(disk.remove(what.path), what.path);
  }
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

/** As a source does it: folders that turn out to be unknown first, and everything beneath what appeared. */
function look(catalog: Catalog, disk: FakeDisk, path: string, whole: boolean): void {
  const see = (): Observed => catalog.observe(Buffer.from(path), disk.stat(path), disk.nowMs);
  let observed = see();
  for (let tries = 0; observed.kind === 'no-parent' && tries < 10; tries += 1) {
    look(catalog, disk, folderOf(path), true);
    observed = see();
  }
  const appeared = observed.kind === 'new' || observed.kind === 'moved';
  if ((whole || appeared) && disk.node(path)?.kind === 'folder') lookBeneath(catalog, disk, path);
}

function lookBeneath(catalog: Catalog, disk: FakeDisk, path: string): void {
  const inner = new Set(disk.node(path)?.children?.keys());
  const id = catalog.byPath(Buffer.from(path))?.id;
  for (const known of id === undefined ? [] : catalog.children(id)) inner.add(known.name.toString());
  for (const name of inner) look(catalog, disk, path === '' ? name : `${path}/${name}`, true);
}

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const keyed = list.map((item, i) => ({ item, key: ((i + 1) * (seed * 2 + 1) * 7919) % 104_729 }));
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function tree(catalog: Catalog, id = rootId): string[] {
  return catalog.children(id).flatMap((entry) => {
    const { kind, mode, mtimeS, mtimeNs } = entry.attributes;
    const row = `${catalog.pathOf(entry.id)?.toString() ?? '?'} ${kind} ${String(mode)} ${String(mtimeS * 1000 + mtimeNs / 1e6)}`;
    return [row, ...tree(catalog, entry.id)];
  });
}

function diskTree(disk: FakeDisk): string[] {
  return disk.paths().map((path) => {
    const node = disk.node(path);
    return `${path} ${String(node?.kind)} ${String(node?.mode)} ${String(node?.mtimeMs)}`;
  });
}

function paths(catalog: Catalog, id = rootId): [number, string][] {
  return catalog
    .children(id)
    .flatMap((entry) => [
      [entry.id, catalog.pathOf(entry.id)?.toString() ?? '?'],
      ...paths(catalog, entry.id),
    ]);
}

describe('the history of a catalog', () => {
  let dir: string;
  let catalog: Catalog;

  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'holdfast-catalog-'));
    catalog = openCatalog(dir);
  });

  afterAll(async () => {
    await catalog.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('brings a copy at any earlier number to the present', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(aStep, { minLength: 1, maxLength: 8 }), async (steps) => {
        catalog.reset(catalog.lastSequence + 1);
        const disk = new FakeDisk();
        const states: { sequence: number; replica: Replica; places: Map<number, string> }[] = [];
        const ids = new Set<number>();
        catalog.observe(Buffer.alloc(0), disk.stat(''), disk.nowMs);
        for (const step of steps) {
          const told: Told[] = [];
          for (const { what, tickMs } of step.operations) {
            told.push(...carriedOut(disk, what));
            disk.tick(tickMs);
          }
          catalog.write(() => {
            if (step.look === 'scan') look(catalog, disk, '', true);
            else for (const { path, whole } of shuffled(told, step.order)) look(catalog, disk, path, whole);
          });
          expect(catalog.sweep(Infinity)).toBe(true);

          expect(tree(catalog).sort()).toEqual(diskTree(disk).sort());
          expect(catalog.checksum).toBe(catalog.recomputeChecksum());
          const now = present(disk);
          expect(catalog.entries).toBe(now.size);
          for (const { sequence, replica, places } of states) {
            expect(caughtUp(replica, sequence, catalog, disk)).toEqual(now);
            expect(catalog.countSince(sequence).entries).toBe(allChanges(catalog, sequence).length);
            for (const id of ids) expect(catalog.pathAt(id, sequence)?.toString()).toBe(places.get(id));
          }
          const places = new Map(paths(catalog));
          for (const id of places.keys()) ids.add(id);
          states.push({ sequence: catalog.lastSequence, replica: now, places });

          if (step.confirm) {
            for (const [id, path] of places) {
              if (disk.node(path)?.kind !== 'file') continue;
              catalog.confirmContents(id, digestOf(disk, path), disk.nowMs);
            }
          }
          if (step.reopen === 0) {
            const { checksum, lastSequence } = catalog;
            await catalog.close();
            catalog = openCatalog(dir);
            expect([catalog.checksum, catalog.lastSequence]).toEqual([checksum, lastSequence]);
            catalog.observe(Buffer.alloc(0), disk.stat(''), disk.nowMs);
          }
        }
      }),
      { numRuns: Number(process.env['HOLDFAST_RUNS'] ?? 60) },
    );
  }, 60_000);
});

function digestOf(disk: FakeDisk, path: string): Buffer {
  const digest = Buffer.alloc(16);
  digest.writeDoubleBE(disk.node(path)?.version ?? 0);
  return digest;
}
