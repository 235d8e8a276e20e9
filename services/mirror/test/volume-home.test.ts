/** Where a volume lies on its member, and when an image is made. */
import { existsSync, mkdtempSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openTargetPlace, runKept, type VolumeHome, type VolumeOrder } from '../src/process/volume-home.ts';
import type { VolumePlace } from '../src/process/volume-home.ts';

let folder: string;
let home: VolumeHome;
let order: VolumeOrder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-home-'));
  home = { path: folder, cluster: 'acme', self: 'bert' } as VolumeHome;
  const terms = {
    mode: 'async',
    onTargetLoss: 'continue',
    targetLossMs: 0,
    granularityBytes: 65_536,
  } as const;
  order = {
    mirror: 'd3/disk',
    dataset: { kind: 'volume', path: join(folder, 'images', 'disk'), sizeBytes: 1_048_576, ...terms },
    keepMaxBytes: null,
    role: { kind: 'idle', epoch: 0n, says: '' },
  };
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const list = { kind: 'list', mirror: 'd3/disk', target: '', repair: false, path: '', to: '' } as const;
const ports = { row: () => undefined, signal: new AbortController().signal };

async function opened(): Promise<VolumePlace> {
  const place = await openTargetPlace(home, order);
  if (place.kind === 'failed') throw new Error(place.says);
  return place.side;
}

const close = ({ ground, store }: VolumePlace): void => {
  ground.close();
  store.close();
};

it('an image is made when it is new, also after somebody asked for what diverged', async () => {
  expect(await runKept(home, order, list, ports)).toEqual({ kind: 'done', says: '' });
  expect(existsSync(join(folder, 'mirror'))).toBe(false);
  close(await opened());
  expect(existsSync(order.dataset.path)).toBe(true);
});

it('one that is missing later is a disk that is missing', async () => {
  close(await opened());
  unlinkSync(order.dataset.path);
  expect(await openTargetPlace(home, order)).toMatchObject({ kind: 'failed' });
  expect(existsSync(order.dataset.path)).toBe(false);
});
