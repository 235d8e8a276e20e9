/**
 * Where the volumes of this member lie, and how one is opened on disk: the store of its blocks, and the records beside it. Plain
 * data, so that a thread can be given it.
 *
 *   H1  records of another store than the one that is there (volumes/store/likeness.ts) are not believed: a target begins anew,
 *       and an owner does not open it until a person confirms that it is meant so
 *   H2  what a resync left unfinished is taken back before a source opens. Who takes over has done that when promoted, but a
 *       mirror that was taken away meanwhile and comes back was not
 *   H3  a device that is smaller than the volume is meant to be by now is opened with the size that the volume had on it (ground.ts,
 *       G4): it goes on as it would have without a restart
 *   H4  an image that is shorter than the volume on record was truncated: it counts as another store (H1), and stays as short until
 *       what was known of it is forgotten. An image is as long as the record says, durably, before that says so
 */

import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { MirrorOrder, VolumeDataset } from '@holdfast/core';
import { pathIn, type WireCredentials } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import { groundRecord, VolumeGround } from '../volumes/ground.ts';
import { VolumeSource } from '../volumes/source/volume-source.ts';
import { bootTimeMs } from '../os/boot-time.ts';
import { FileStore, FolderDisk, syncFolder } from '../volumes/store/file-store.ts';
import { ImageSnapshot } from '../volumes/store/image-snapshot.ts';
import { likenessOf, strangerSays } from '../volumes/store/likeness.ts';
import { settleWayBack } from '../volumes/target/found-way-back.ts';
import { Overwriting } from '../volumes/target/overwriting.ts';
import { isOfDivergence } from './divergence-runs.ts';
import { folderOf } from './seat.ts';
import {
  refused,
  type Answered,
  type Opened,
  type RunPorts,
  type SourceRole,
  type SourceSide,
} from './side.ts';
import { Lines } from './source-role.ts';
import { runBlocks } from './volume-divergence-runs.ts';
import { socketOf } from './volume-export.ts';
import type { ThreadedExport } from './threaded-export.ts';
import { grantOf, VolumeSourceSide } from './volume-source-role.ts';

export type VolumeOrder = MirrorOrder<VolumeDataset>;

export interface VolumeHome {
  /** DIR. */
  readonly path: string;
  readonly cluster: string;
  /** This member. */
  readonly self: string;
  readonly credentials: WireCredentials;
}

export interface VolumePlace {
  readonly store: FileStore;
  /** Null: it is a device. */
  readonly snapshots: ImageSnapshot | null;
  readonly disk: FolderDisk;
  readonly ground: VolumeGround;
  /** What became of its way back (volumes/target/found-way-back.ts); empty: nothing. */
  readonly lost: string;
  /** Why nothing is believed of what was known; empty: it is the store that it was. */
  readonly stranger: string;
  /** H3. What to tell; empty: it is as large as it is meant to be. */
  readonly small: string;
}

/** Of the file system of the records, unless it is said how much. */
const roomMin = 2 ** 30;

const folderIn = (home: VolumeHome, order: VolumeOrder): string =>
  pathIn(home.path, 'mirror', folderOf(order.mirror), 'volume');

/** As it is: a stranger's records are there still. */
async function openPlace(home: VolumeHome, order: VolumeOrder): Promise<Opened<VolumePlace>> {
  try {
    const { path, sizeBytes, granularityBytes } = order.dataset;
    const folder = folderIn(home, order);
    const store = openStore(order.dataset, existsSync(join(folder, groundRecord)));
    if (typeof store === 'string') return { kind: 'failed', says: store };
    try {
      const disk = new FolderDisk(folder);
      const wasBytes = VolumeGround.sizeOf(disk);
      const cut = cutSays(order.dataset, store, wasBytes);
      if (cut === '' && (wasBytes ?? 0) < sizeBytes) await lengthen(order.dataset, store);
      const ground = await VolumeGround.open(disk, store, sizeBytes, granularityBytes);
      const small = ground.sizeBytes < sizeBytes ? tooSmall(order.dataset, store.sizeBytes) : '';
      if (cut === '' && !store.has(ground.sizeBytes)) {
        ground.close();
        store.close();
        return { kind: 'failed', says: tooSmall(order.dataset, store.sizeBytes) };
      }
      const { likeness } = ground.record;
      const why = cut === '' && likeness !== null ? strangerSays(likeness, store, store.name) : cut;
      const stranger = why === '' ? '' : `${path} is not what was mirrored: ${why}`;
      const snapshots = ImageSnapshot.of(store, path);
      if (stranger === '') await noteLikeness(ground, store);
      const lost = stranger === '' ? await settleWayBack(ground, snapshots) : '';
      return { kind: 'open', side: { store, snapshots, disk, ground, lost, stranger, small } };
    } catch (error) {
      store.close();
      throw error;
    }
  } catch (error) {
    return refused(error);
  }
}

/** H1. */
export async function openTargetPlace(home: VolumeHome, order: VolumeOrder): Promise<Opened<VolumePlace>> {
  const place = await openPlace(home, order);
  if (place.kind === 'failed' || place.side.stranger === '') return place;
  try {
    await beginAnew(place.side, order.dataset);
    return place;
  } catch (error) {
    place.side.ground.close();
    place.side.store.close();
    return refused(error);
  }
}

/** A person says that a store that was refused is meant to be as it is. */
export async function confirmPlace(home: VolumeHome, order: VolumeOrder): Promise<Answered> {
  const { self } = home;
  const place = await openPlace(home, order);
  if (place.kind === 'failed') return { kind: 'failed', as: 'failed', says: place.says };
  const { ground, store, stranger } = place.side;
  try {
    if (stranger === '')
      return { kind: 'failed', as: 'failed', says: `${self} does not work on ${order.mirror} now` };
    await beginAnew(place.side, order.dataset);
    return { kind: 'done', says: `${order.mirror} goes on with ${order.dataset.path} on ${self} as it is` };
  } finally {
    ground.close();
    store.close();
  }
}

/** Its mirror was taken away (ground.ts, G6). Empty when that is on record. */
export async function forgetOthers(home: VolumeHome, order: VolumeOrder): Promise<string> {
  const folder = folderIn(home, order);
  if (!existsSync(folder)) return '';
  try {
    await VolumeGround.forgetOthers(new FolderDisk(folder));
    return '';
  } catch (error) {
    return refused(error).says;
  }
}

/** H4: whoever dies in the middle of it leaves a volume that is forgotten, or one that still counts as truncated. */
async function beginAnew({ ground, store }: VolumePlace, dataset: VolumeDataset): Promise<void> {
  await ground.forgetWhatWas(likenessOf(store, ground.sizeBytes, store.name));
  await lengthen(dataset, store);
  // Whoever put it there may not have (ground.ts, G1).
  await store.sync();
}

/** Of the store as it is now. Costs a sync when it has changed. */
export async function noteLikeness(ground: VolumeGround, store: FileStore): Promise<void> {
  const likeness = likenessOf(store, ground.sizeBytes, store.name);
  if (JSON.stringify(likeness) !== JSON.stringify(ground.record.likeness)) await ground.save({ likeness });
}

/** What may be kept aside here, in bytes. */
export function roomFor(home: VolumeHome, order: VolumeOrder): number {
  const { bsize, blocks } = statfsSync(home.path);
  return order.keepMaxBytes ?? Math.max(roomMin, Math.floor((bsize * blocks) / 10));
}

export async function runKept(
  home: VolumeHome,
  order: VolumeOrder,
  run: MirrorRun,
  ports: RunPorts,
): Promise<Answered> {
  if (!isOfDivergence(run)) return notSource(home.self, order.mirror);
  const folder = folderIn(home, order);
  if (!existsSync(folder)) return runBlocks(null, run, home.self, ports);
  const blocks = new KeptBlocks(new FolderDisk(folder), roomFor(home, order));
  return runBlocks(blocks, run, home.self, ports).finally(() => blocks.close());
}

/** In the thread in which it is called; clients are served in that of `exporting`, which nobody used yet. */
export async function openSource(
  home: VolumeHome,
  order: VolumeOrder,
  role: SourceRole,
  exporting: ThreadedExport,
  says: (sentence: string) => void,
): Promise<Opened<SourceSide>> {
  const place = await openPlace(home, order);
  if (place.kind === 'failed') return place;
  const { store, disk, ground, lost, stranger } = place.side;
  if (lost !== '') says(`${order.mirror}: ${lost}`);
  if (stranger !== '') {
    ground.close();
    store.close();
    return { kind: 'failed', says: refusal(stranger, order.mirror) };
  }
  const lines = new Lines(home.credentials);
  const { mode, onTargetLoss, targetLossMs } = order.dataset;
  let kept: KeptBlocks | null = null;
  try {
    kept = new KeptBlocks(disk, roomFor(home, order));
    await takeBack(place.side, kept, (sentence) => says(`${order.mirror}: ${sentence}`));
    const made = await VolumeSource.open(store, ground, {
      name: order.mirror,
      cluster: home.cluster,
      self: home.self,
      epoch: role.epoch,
      ...{ mode, onTargetLoss, targetLossMs },
      grantUntilMs: grantOf(role),
      nowMs: bootTimeMs,
      targets: lines.change(role.targets).targets,
      wakeExport: () => exporting.wake(),
      says,
    });
    made.setSize(order.dataset.sizeBytes); // H3
    return await VolumeSourceSide.open(order.mirror, role.epoch, made, {
      ...{ lines, exporting, kept, says },
      file: store.shared,
      socketPath: socketOf(home.path, order.mirror),
      self: home.self,
    });
  } catch (error) {
    lines.close();
    kept?.close();
    ground.close();
    store.close();
    return refused(error);
  }
}

/** H2. Usually there is nothing. */
async function takeBack(
  { ground, store, snapshots }: VolumePlace,
  kept: KeptBlocks,
  says: (sentence: string) => void,
): Promise<void> {
  const ports = { ground, store, snapshots, kept, undoBytesMax: () => 0, nowMs: Date.now, says };
  const overwriting = await Overwriting.open(ports);
  try {
    if (overwriting.active) await overwriting.rollBack();
  } finally {
    overwriting.close();
  }
}

export function notSource(self: string, mirror: string): Answered {
  return { kind: 'failed', as: 'failed', says: `${self} is not the source of ${mirror} now` };
}

const isDevice = (path: string): boolean => path.startsWith('/dev/') && !path.startsWith('/dev/shm/');

/** A sentence when it can't be used. `known`: there was a volume here, so that one that is missing is a disk that is missing. */
function openStore(dataset: VolumeDataset, known: boolean): FileStore | string {
  const { path, sizeBytes } = dataset;
  const make = !isDevice(path) && !known;
  if (make) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const store = FileStore.open(path, make);
  if (store.sizeBytes >= sizeBytes || !isDevice(path)) return store;
  if (known) return store; // H3
  const has = store.sizeBytes;
  store.close();
  return tooSmall(dataset, has);
}

/** H4; empty: it was not. A smaller volume than it was, of a mirror that was taken away, needs no more than that. */
function cutSays({ path, sizeBytes }: VolumeDataset, store: FileStore, wasBytes: number | null): string {
  const has = store.sizeBytes;
  if (isDevice(path) || wasBytes === null || has >= Math.min(wasBytes, sizeBytes)) return '';
  return `it has ${has} bytes, and the volume had ${wasBytes}: it was truncated`;
}

/** An image, durably (H4), also where a former life made it longer and did not come to the sync. */
async function lengthen({ path, sizeBytes }: VolumeDataset, store: FileStore): Promise<void> {
  if (isDevice(path)) return;
  if (store.sizeBytes < sizeBytes) store.resize(sizeBytes);
  await store.sync();
  syncFolder(dirname(path));
}

const tooSmall = ({ path, sizeBytes }: VolumeDataset, has: number): string =>
  `${path} has ${has} bytes, and the volume is to have ${sizeBytes}; make the device larger, or write a smaller size`;

function refusal(stranger: string, mirror: string): string {
  return (
    `${stranger}. Is its disk there, and under this name? If it was replaced and another server has a complete copy, let ` +
    `that one take over. Only if it is meant to be as it is: holdfast mirror resync ${mirror} goes on with it, and every ` +
    `copy becomes like it`
  );
}
