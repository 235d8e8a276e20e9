/** The roles of a mirror of files on a real disk, where a copy is that is not complete: that one is never covered. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FilesDataset, MirrorOrder } from '@holdfast/core';
import type { MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import { openCatalog } from '../src/catalog/catalog.ts';
import type { CatalogMeta } from '../src/catalog/types.ts';
import { Door } from '../src/process/door.ts';
import { noteRoot } from '../src/files/root-identity.ts';
import { Tree } from '../src/os/tree.ts';
import { fileSides } from '../src/process/file-sides.ts';
import type { Sides } from '../src/process/side.ts';

let folder: string;
let sides: Sides<FilesDataset>;
let order: MirrorOrder<FilesDataset>;
const catalogAt = (): string => join(folder, 'dir', 'mirror', 'd3%2Fdata', 'catalog');

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-sides-'));
  const root = join(folder, 'root');
  mkdirSync(root);
  writeFileSync(join(root, 'file'), 'contents');
  const directory = { path: join(folder, 'dir'), record: { id: 'bert', cluster: 'acme' } };
  sides = fileSides({
    directory: directory as unknown as MemberDirectory,
    log: { info: () => undefined } as unknown as Log,
    door: new Door(),
  });
  const dataset = { kind: 'files', root, include: [], exclude: [], devices: false, scanEveryMs: 0 } as const;
  const role = { kind: 'target', epoch: 1n, sources: ['anna'] } as const;
  order = { mirror: 'd3/data', dataset, keepMaxBytes: null, role };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function meta(change: Partial<CatalogMeta> = {}): Promise<CatalogMeta> {
  mkdirSync(join(catalogAt(), '..'), { recursive: true });
  const catalog = openCatalog(catalogAt());
  catalog.setMeta(change);
  const found = catalog.meta;
  await catalog.close();
  return found;
}

const whole = {
  history: [{ epoch: 1n, sequence: 5 }],
  consistent: true,
  notes: {
    target: JSON.stringify({
      ...{ applied: 0, reconciled: 0 },
      position: { epoch: '1', sequence: 5, checksum: '0' },
    }),
  },
};

describe('a mirror that is taken away', () => {
  it('leaves a copy that is compared as a whole when it comes back, because others may write there meanwhile', async () => {
    await meta(whole);
    expect(await sides.forget(order)).toBe('');
    expect(await meta()).toMatchObject({ history: [], consistent: false });
  });

  it('leaves what its source knows, which looks at everything when it begins', async () => {
    await meta(whole);
    const role = { kind: 'source', epoch: 1n, grantUntil: null, targets: [] } as const;
    expect(await sides.forget({ ...order, role })).toBe('');
    expect(await meta()).toMatchObject({ history: whole.history, consistent: true });
  });

  it('has nothing to forget where it never was, and says why where it can not', async () => {
    expect(await sides.forget(order)).toBe('');
    await meta(whole);
    rmSync(order.dataset.root, { recursive: true });
    expect(await sides.forget(order)).toMatch(/is not there/);
  });
});

describe('a root that a person says is right as it is', () => {
  /** What was mirrored is away, and another folder is in its place. */
  const replaceRoot = (): void => {
    const { root } = order.dataset;
    renameSync(root, `${root}.away`);
    mkdirSync(root);
  };

  const noted = async (more: Partial<CatalogMeta>): Promise<void> => {
    mkdirSync(join(catalogAt(), '..'), { recursive: true });
    const catalog = openCatalog(catalogAt());
    const tree = Tree.open(order.dataset.root);
    noteRoot(tree, catalog);
    for (const path of ['', 'file'].map((name) => Buffer.from(name)))
      catalog.observe(path, tree.stat(path), Date.now());
    tree.close();
    const { notes } = catalog.meta;
    catalog.setMeta({ ...more, notes: { ...notes, ...more.notes } });
    await catalog.close();
  };

  it('leaves what a former owner wrote its own, which nobody else may have', async () => {
    await noted({ ...whole, history: [...whole.history, { epoch: 2n, sequence: 6 }] });
    replaceRoot();
    expect(await sides.confirm?.(order)).toMatchObject({ kind: 'done' });
    const { history, consistent, notes } = await meta();
    expect({ history, consistent }).toEqual({ history: [], consistent: false });
    expect(JSON.parse(notes['target'] ?? '')).toMatchObject({ own: { epoch: '2' } });
  });

  it('leaves a copy that is compared as a whole', async () => {
    await noted(whole);
    replaceRoot();
    expect(await sides.confirm?.(order)).toMatchObject({ kind: 'done' });
    const { history, consistent, notes } = await meta();
    expect({ history, consistent }).toEqual({ history: [], consistent: false });
    expect(JSON.parse(notes['target'] ?? '')).toMatchObject({ own: null });
  });
});
