/** Where a volume lies on its member, and when an image is made. */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import type { ThreadedExport } from '../src/process/threaded-export.ts';
import {
  confirmPlace,
  forgetOthers,
  openSource,
  openTargetPlace,
  runKept,
  type VolumeHome,
  type VolumeOrder,
  type VolumePlace,
} from '../src/process/volume-home.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { FileStore } from '../src/volumes/store/file-store.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { portsTo } from './run-ports.ts';

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
const ports = portsTo();

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

it('one that a former life made longer is durable before its record says so', async () => {
  close(await opened());
  truncateSync(order.dataset.path, 2_097_152);
  order = { ...order, dataset: { ...order.dataset, sizeBytes: 2_097_152 } };
  const sync = jest.spyOn(FileStore.prototype, 'sync');
  const open = jest.spyOn(VolumeGround, 'open');
  try {
    const place = await opened();
    expect(place.ground.sizeBytes).toBe(2_097_152);
    const [synced = Infinity] = sync.mock.invocationCallOrder;
    const [recorded = 0] = open.mock.invocationCallOrder;
    expect(synced).toBeLessThan(recorded);
    close(place);
  } finally {
    jest.restoreAllMocks();
  }
});

it('one that is missing later is a disk that is missing', async () => {
  close(await opened());
  unlinkSync(order.dataset.path);
  expect(await openTargetPlace(home, order)).toMatchObject({ kind: 'failed' });
  expect(existsSync(order.dataset.path)).toBe(false);
});

describe('an image that was truncated', () => {
  const role = { kind: 'source', epoch: 2n, grantUntil: null, targets: [] } as const;
  const exporting = {
    ...{ wake: () => undefined, close: () => undefined, listen: () => Promise.resolve('') },
  } as unknown as ThreadedExport;
  const half = 524_288;
  beforeEach(async () => {
    const place = await opened();
    place.store.write(randomBytes(order.dataset.sizeBytes), 0);
    await place.ground.save({ epoch: 1n, history: [{ epoch: 1n, sequence: 5 }], consistent: true });
    close(place);
    truncateSync(order.dataset.path, half);
  });

  it('is a target that begins anew, and has its size again', async () => {
    const place = await opened();
    expect(place.stranger).toMatch(/it has 524288 bytes, and the volume had 1048576: it was truncated/);
    expect(place.ground.record).toMatchObject({ history: [], consistent: false });
    close(place);
    expect(statSync(order.dataset.path).size).toBe(order.dataset.sizeBytes);
    const next = await opened();
    expect(next.stranger).toBe('');
    close(next);
  });

  it('is opened by no owner, however often it tries, before a person confirms it', async () => {
    for (let i = 0; i < 2; i += 1)
      expect(await openSource(home, order, role, exporting, () => undefined)).toMatchObject({
        kind: 'failed',
        says: expect.stringMatching(/it was truncated.*holdfast mirror resync d3\/disk/) as string,
      });
    expect(statSync(order.dataset.path).size).toBe(half);
    expect(await confirmPlace(home, order)).toMatchObject({ kind: 'done' });
    const source = await openSource(home, order, role, exporting, () => undefined);
    if (source.kind === 'failed') throw new Error(source.says);
    await source.side.close('over');
  });

  it('is one also where the volume is to become larger', async () => {
    order = { ...order, dataset: { ...order.dataset, sizeBytes: 2_097_152 } };
    const place = await opened();
    expect(place.stranger).toMatch(/it was truncated/);
    close(place);
    const next = await opened();
    expect([next.stranger, next.small, next.ground.sizeBytes]).toEqual(['', '', 2_097_152]);
    close(next);
  });
});

describe('a device', () => {
  const sized = (sizeBytes: number): VolumeOrder => ({ ...order, dataset: { ...order.dataset, sizeBytes } });
  beforeEach(() => {
    // By its path it is one, and is never made.
    order = { ...order, dataset: { ...order.dataset, path: `/dev/..${join(folder, 'device')}` } };
    writeFileSync(join(folder, 'device'), Buffer.alloc(1_500_000));
  });

  it('that is smaller than its volume is not opened, and why is said', async () => {
    const place = await openTargetPlace(home, sized(2_097_152));
    expect(place).toMatchObject({
      kind: 'failed',
      says: expect.stringMatching(/make the device larger/) as string,
    });
  });

  it('goes on as large as the volume was, when that is to become larger than it is, and with the new size when it is', async () => {
    close(await opened());
    const place = await openTargetPlace(home, sized(2_097_152));
    if (place.kind === 'failed') throw new Error(place.says);
    expect(place.side.ground.sizeBytes).toBe(1_048_576);
    expect(place.side.small).toMatch(/has 1500000 bytes, and the volume is to have 2097152/);
    close(place.side);
    truncateSync(join(folder, 'device'), 2_097_152);
    const larger = await openTargetPlace(home, sized(2_097_152));
    if (larger.kind === 'failed') throw new Error(larger.says);
    expect([larger.side.ground.sizeBytes, larger.side.small]).toEqual([2_097_152, '']);
    close(larger.side);
  });

  it('that became smaller than the volume was is not opened', async () => {
    close(await opened());
    truncateSync(join(folder, 'device'), 4_096);
    expect(await openTargetPlace(home, order)).toMatchObject({ kind: 'failed' });
  });
});

it('of a mirror that was taken away no relation to another copy counts: its image may be written to past every bitmap', async () => {
  expect(await forgetOthers(home, order)).toBe('');
  const place = await opened();
  const relation = await place.ground.peer('anna');
  relation.clear();
  await relation.save('the same on both sides');
  await place.ground.save({ epoch: 1n, history: [{ epoch: 1n, sequence: 5 }], consistent: true });
  close(place);
  expect(await forgetOthers(home, order)).toBe('');
  const next = await opened();
  expect(next.ground.record).toMatchObject({ epoch: 1n, consistent: true, peers: [] });
  const anew = await next.ground.peer('anna');
  expect([anew.stamp, anew.count]).toEqual(['', anew.chunks]);
  close(next);
});

it('what a resync left unfinished is taken back before a mirror that was taken away comes back as a source', async () => {
  const place = await opened();
  const { ground, store, disk } = place;
  const contents = randomBytes(order.dataset.sizeBytes);
  store.write(contents, 0);
  await ground.save({ epoch: 1n, history: [{ epoch: 1n, sequence: 5 }], consistent: true });
  const says = (): undefined => undefined;
  const kept = new KeptBlocks(disk, 1 << 30);
  const overwriting = await Overwriting.open({
    ...{ ground, store, kept, says, snapshots: place.snapshots },
    undoBytesMax: () => 1 << 30,
    nowMs: () => 0,
  });
  await overwriting.begin(await ground.peer('anna'), 5);
  expect(await overwriting.save([{ offset: 4_096, length: 65_536 }])).toBe('');
  store.write(randomBytes(65_536), 4_096);
  overwriting.close();
  kept.close();
  close(place);

  const exporting = {
    wake: () => undefined,
    listen: () => Promise.resolve(''),
    close: () => undefined,
  } as unknown as ThreadedExport;
  const role = { kind: 'source', epoch: 2n, grantUntil: null, targets: [] } as const;
  const source = await openSource(home, order, role, exporting, says);
  if (source.kind === 'failed') throw new Error(source.says);
  await source.side.close('over');
  expect(readFileSync(order.dataset.path).equals(contents)).toBe(true);
  const next = await opened();
  expect(next.ground.record.undoTo).toBeNull();
  close(next);
});
