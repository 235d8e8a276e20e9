import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from '@jest/globals';
import { openCatalog } from '../src/catalog/catalog.ts';
import { noteRoot } from '../src/files/root-identity.ts';
import { Records } from '../src/files/target/records.ts';
import type { TargetOptions } from '../src/files/target/types.ts';
import { Tree } from '../src/os/tree.ts';
import type { OfferedEntry } from '../src/transport/types.ts';
import type { HandSource, Stage } from './target-fixture.ts';
import { bytes, folder, offered, openStage, put, removal } from './target-fixture.ts';

let stage: Stage;

afterEach(async () => {
  await stage.close();
});

/** A target at 10 of epoch 7 becomes the owner of epoch 8, writes, and is a target again. */
async function formerOwner(
  keepMaxBytes: number | null = null,
  more: Partial<TargetOptions> = {},
): Promise<void> {
  stage = await openStage(undefined, { keepMaxBytes, ...more });
  const { source } = await stage.dial();
  const files = ['written', 'deleted', 'same', 'untouched'].map((name) => put(name, `${name} at 10`));
  await source.batch(10, [folder('d'), put('d/written', 'deep at 10'), ...files]);
  await stage.target.promote();
  await stage.target.close();
  writeFileSync(stage.at('written'), 'written by the former owner');
  writeFileSync(stage.at('d/written'), 'deep by the former owner');
  writeFileSync(stage.at('created'), 'created by the former owner');
  rmSync(stage.at('deleted'));
  utimesSync(stage.at('same'), 1_700_000_000, 1_700_000_000);
  const tree = Tree.open(stage.root);
  for (const path of ['written', 'd/written', 'created', 'deleted', 'same']) {
    stage.catalog.observe(bytes(path), tree.stat(bytes(path)), Date.now() + 1_000);
  }
  while (!stage.catalog.sweep(Infinity));
  tree.close();
  const { history } = stage.catalog.meta;
  stage.catalog.setMeta({ history: [...history, { epoch: 8n, sequence: stage.catalog.lastSequence }] });
  // Written in the last moment, and noticed by no feed.
  writeFileSync(stage.at('unnoticed'), 'unnoticed');
  stage = await stage.reopen();
}

async function newSource(): Promise<{ source: HandSource; candidates: string[] }> {
  const { source, hello } = await stage.dial(9n, 10, 12);
  expect(hello.history.map(({ epoch }) => epoch)).toEqual([7n, 8n]);
  const { paths, last } = await source.next('candidates');
  expect(last).toBe(true);
  return { source, candidates: [...new Set(paths.map(String))].sort() };
}

const offers = [
  offered('written', 'written at 10'),
  offered('d/written', 'deep at 10'),
  offered('deleted', 'deleted at 10'),
  offered('same', 'same at 10'),
  offered('created', null),
  offered('unnoticed', null),
];

test('what only a former owner has is found, kept aside whole, listed, and only then overwritten', async () => {
  await formerOwner();
  const { source, candidates } = await newSource();
  for (const path of ['created', 'd/written', 'deleted', 'same', 'unnoticed', 'written']) {
    expect(candidates).toContain(path);
  }
  expect(candidates).not.toContain('untouched');
  source.connection.send({ kind: 'offer', number: 1, entries: offers });
  const { entries } = await source.next('wants');
  expect(entries.map(({ path }) => path.toString()).sort()).toEqual([
    'created',
    'd/written',
    'deleted',
    'same',
    'unnoticed',
    'written',
  ]);
  const listed = stage.target.divergence.list().map(({ path, change, from, epoch, kept }) => ({
    path: path.toString(),
    change,
    from,
    epoch,
    kept,
  }));
  const row = { from: 'bert', epoch: 8n };
  expect(listed).toEqual(
    expect.arrayContaining([
      { ...row, path: 'written', change: 'written', kept: true },
      { ...row, path: 'd/written', change: 'written', kept: true },
      { ...row, path: 'created', change: 'created', kept: true },
      { ...row, path: 'unnoticed', change: 'created', kept: true },
      { ...row, path: 'deleted', change: 'deleted', kept: false },
    ]),
  );
  // Its contents are the source's: only its time is set back.
  expect(entries.find(({ path }) => path.toString() === 'same')).toMatchObject({ whole: false, blocks: [] });

  await source.batch(12, [
    removal('created'),
    removal('unnoticed'),
    put('written', 'written at 10'),
    put('d/written', 'deep at 10'),
    put('deleted', 'deleted at 10'),
    put('same', 'same at 10'),
  ]);
  expect((await stage.target.foreignChanges()).named).toEqual([]);
  expect(stage.target.state().position).toMatchObject({ epoch: 9n, sequence: 12 });

  const to = join(stage.dir, 'restored');
  mkdirSync(to);
  expect(await stage.target.divergence.restore(bytes('written'), to)).toEqual({ kind: 'done' });
  expect(await stage.target.divergence.restore(bytes('d'), to)).toEqual({ kind: 'done' });
  expect(readFileSync(join(to, 'written'), 'utf8')).toBe('written by the former owner');
  expect(readFileSync(join(to, 'd/written'), 'utf8')).toBe('deep by the former owner');
  expect(await stage.target.divergence.restore(bytes('written'), to)).toMatchObject({ kind: 'failed' });

  stage = await stage.reopen();
  const before = stage.target.divergence.list().length;
  expect(stage.target.divergence.discard(bytes('written'))).toEqual({ kind: 'done' });
  expect(stage.target.divergence.list()).toHaveLength(before - 1);
  expect(stage.target.divergence.show(bytes('written'))).toBeNull();
  expect(stage.target.divergence.discard(null)).toEqual({ kind: 'done' });
  expect(stage.target.state().kept).toMatchObject({ entries: 0, bytes: 0 });
  // In step: nothing is a candidate any more.
  const { source: again } = await stage.dial(9n, 12, 12);
  expect((await again.next('candidates')).paths).toEqual([]);
});

test('what is excluded in a folder of a former owner that has to go is kept aside with it', async () => {
  const selection = {
    digest: Buffer.from('selection'),
    includes: (path: Buffer) =>
      !/(^|\/)(\.holdfast-[^/]*|cache|[^/]*\.tmp)(\/|$)/.test(path.toString('latin1')),
  };
  await formerOwner(null, { selection });
  // Renamed shortly before its death: nobody else has what is excluded.
  renameSync(stage.at('d'), stage.at('done'));
  mkdirSync(stage.at('done/cache/deep'), { recursive: true });
  writeFileSync(stage.at('done/cache/deep/a'), 'cached');
  writeFileSync(stage.at('done/a.tmp'), 'in progress');
  const { source, candidates } = await newSource();
  expect(candidates).toEqual(expect.arrayContaining(['d', 'd/written', 'done', 'done/written']));
  source.connection.send({
    kind: 'offer',
    number: 1,
    entries: ['done', 'done/written'].map((path) => offered(path, null)),
  });
  await source.next('wants');
  const kept = stage.target.divergence.list().map(({ path }) => path.toString());
  for (const path of ['done', 'done/written', 'done/a.tmp', 'done/cache/deep/a'])
    expect(kept).toContain(path);
  await source.batch(12, [removal('done/written'), removal('done')]);
  await stage.target.foreignChanges();
  expect(existsSync(stage.at('done'))).toBe(false);
  const to = join(stage.dir, 'restored');
  mkdirSync(to);
  expect(await stage.target.divergence.restore(bytes('done'), to)).toEqual({ kind: 'done' });
  expect(readFileSync(join(to, 'done/cache/deep/a'), 'utf8')).toBe('cached');
  expect(readFileSync(join(to, 'done/a.tmp'), 'utf8')).toBe('in progress');
});

test('when the store is full it waits, says so, and overwrites nothing until a person makes room', async () => {
  await formerOwner(60);
  const { source } = await newSource();
  source.connection.send({
    kind: 'offer',
    number: 1,
    entries: [offers[0] as OfferedEntry, offers[1] as OfferedEntry],
  });
  expect((await source.next('wants')).number).toBe(1);
  source.connection.send({ kind: 'offer', number: 2, entries: [offers[4] as OfferedEntry] });
  const full = /does not fit into the store of diverged files: 51 of 60 bytes/;
  while (!full.test(stage.target.state().says)) await new Promise(setImmediate);
  expect(stage.target.state().phase).toBe('diverged');
  expect(readFileSync(stage.at('created'), 'utf8')).toBe('created by the former owner');
  stage.target.divergence.discard(bytes('written'));
  expect((await source.next('wants')).number).toBe(2);
  expect(stage.target.state().says).not.toMatch(full);
});

test('a former owner is diverged until a new source’s batch says that everything is kept', async () => {
  await formerOwner();
  expect(stage.target.state()).toMatchObject({
    phase: 'diverged',
    says: 'what it wrote as an owner is not all kept aside yet',
  });
  const { source } = await newSource();
  expect(stage.target.state().phase).toBe('diverged');
  source.connection.send({ kind: 'offer', number: 1, entries: offers });
  await source.next('wants');
  await source.batch(12, [
    removal('created'),
    removal('unnoticed'),
    put('written', 'written at 10'),
    put('d/written', 'deep at 10'),
    put('deleted', 'deleted at 10'),
    put('same', 'same at 10'),
  ]);
  while (stage.target.state().phase === 'diverged') await new Promise(setImmediate);
  expect(stage.target.state()).toMatchObject({ phase: 'replicating', consistent: true });
  stage = await stage.reopen();
  expect(stage.target.state().phase).toBe('disconnected');
});

test('what a former owner wrote stays its own when everything is compared and the line breaks in between', async () => {
  await formerOwner();
  const { source } = await stage.dial(9n, null, 12);
  source.plan(0, 'compare');
  while (!(await source.next('candidates')).last);
  source.connection.send({ kind: 'offer', number: 1, entries: offers.slice(0, 1) });
  await source.next('wants');
  await source.batch(12, [put('written', 'written at 10')], { consistent: false, history: [] });
  stage = await stage.reopen();
  expect(stage.target.state()).toMatchObject({ phase: 'diverged', consistent: false });
  const { source: again } = await stage.dial(9n, null, 12);
  again.plan(0, 'compare');
  while (!(await again.next('candidates')).last);
  again.connection.send({ kind: 'offer', number: 1, entries: offers });
  await again.next('wants');
  const listed = stage.target.divergence
    .list()
    .map(({ path, epoch }) => `${path.toString()} ${String(epoch)}`);
  for (const path of ['written', 'd/written', 'created', 'unnoticed']) expect(listed).toContain(`${path} 8`);
});

test('a former owner whose root was replaced, and is meant so, keeps what of its own is there, and lists nothing that is not', async () => {
  await formerOwner();
  stage = await stage.reopen({}, async () => {
    renameSync(stage.root, `${stage.root}.away`);
    mkdirSync(stage.root);
    renameSync(join(`${stage.root}.away`, 'created'), stage.at('created'));
    const catalog = openCatalog(join(stage.dir, 'state', 'catalog'));
    const tree = Tree.open(stage.root);
    noteRoot(tree, catalog);
    new Records(catalog, tree, () => true).distrust();
    tree.close();
    await catalog.close();
  });
  expect(stage.target.state()).toMatchObject({ phase: 'diverged', consistent: false });
  const { source } = await stage.dial(9n, null, 12);
  source.plan(0, 'compare');
  while (!(await source.next('candidates')).last);
  source.connection.send({ kind: 'offer', number: 1, entries: offers });
  await source.next('wants');
  const listed = stage.target.divergence.list().map(({ path, kept }) => ({ path: path.toString(), kept }));
  expect(listed).toEqual([{ path: 'created', kept: true }]);
});

test('a former owner that had brought everything to its targets is not diverged', async () => {
  await formerOwner();
  const { catalog } = stage;
  const note = { epoch: '8', targets: {}, drained: catalog.lastSequence };
  catalog.setMeta({ notes: { ...catalog.meta.notes, source: JSON.stringify(note) } });
  stage = await stage.reopen();
  expect(stage.target.state().phase).toBe('disconnected');
});
