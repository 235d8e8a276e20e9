/**
 * Where the volumes of this member lie, and how one is opened on disk: the store of its blocks, and the records beside it. Plain
 * data, so that a thread can be given it.
 */

import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MirrorOrder, VolumeDataset } from '@holdfast/core';
import { errorCode, errorText, pathIn, type WireCredentials } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../volumes/ground.ts';
import { VolumeSource } from '../volumes/source/volume-source.ts';
import { bootTimeMs } from '../os/boot-time.ts';
import { FileStore, FolderDisk } from '../volumes/store/file-store.ts';
import { isOfDivergence } from './divergence-runs.ts';
import { folderOf } from './seat.ts';
import type { Answered, Opened, RunPorts, SourceRole, SourceSide } from './side.ts';
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
  readonly disk: FolderDisk;
  readonly ground: VolumeGround;
}

/** Of the file system of the records, unless it is said how much. */
const roomMin = 2 ** 30;

const folderIn = (home: VolumeHome, order: VolumeOrder): string =>
  pathIn(home.path, 'mirror', folderOf(order.mirror), 'volume');

export async function openPlace(home: VolumeHome, order: VolumeOrder): Promise<Opened<VolumePlace>> {
  try {
    const { sizeBytes, granularityBytes } = order.dataset;
    const folder = folderIn(home, order);
    const store = openStore(order.dataset, existsSync(folder));
    if (typeof store === 'string') return { kind: 'failed', says: store };
    try {
      const disk = new FolderDisk(folder);
      const ground = await VolumeGround.open(disk, store, sizeBytes, granularityBytes);
      return { kind: 'open', side: { store, disk, ground } };
    } catch (error) {
      store.close();
      throw error;
    }
  } catch (error) {
    return refused(error);
  }
}

/** What may be kept aside here, in bytes. */
export function roomFor(home: VolumeHome, order: VolumeOrder): number {
  const folder = folderIn(home, order);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { bsize, blocks } = statfsSync(folder);
  return order.keepMaxBytes ?? Math.max(roomMin, Math.floor((bsize * blocks) / 10));
}

export async function runKept(
  home: VolumeHome,
  order: VolumeOrder,
  run: MirrorRun,
  ports: RunPorts,
): Promise<Answered> {
  if (!isOfDivergence(run)) return notSource(home.self, order.mirror);
  const blocks = new KeptBlocks(new FolderDisk(folderIn(home, order)), roomFor(home, order));
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
  const { store, disk, ground } = place.side;
  const lines = new Lines(home.credentials);
  const { mode, onTargetLoss, targetLossMs } = order.dataset;
  const kept = new KeptBlocks(disk, roomFor(home, order));
  try {
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
    return await VolumeSourceSide.open(order.mirror, role.epoch, made, {
      ...{ lines, exporting, kept, says },
      file: store.shared,
      socketPath: socketOf(home.path, order.mirror),
      self: home.self,
    });
  } catch (error) {
    lines.close();
    kept.close();
    return refused(error);
  }
}

export function notSource(self: string, mirror: string): Answered {
  return { kind: 'failed', as: 'failed', says: `${self} is not the source of ${mirror} now` };
}

/** A sentence when it can't be used. `known`: there was a volume here, so that one that is missing is a disk that is missing. */
function openStore({ path, sizeBytes }: VolumeDataset, known: boolean): FileStore | string {
  const isDevice = path.startsWith('/dev/') && !path.startsWith('/dev/shm/');
  const make = !isDevice && !known;
  if (make) mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const store = FileStore.open(path, make);
  if (store.sizeBytes >= sizeBytes) return store;
  if (!isDevice) {
    store.resize(sizeBytes);
    return store;
  }
  const has = store.sizeBytes;
  store.close();
  return `${path} has ${has} bytes, and the volume ${sizeBytes}; make the device larger, or write a smaller size`;
}

/** What the disk says is a reason; anything else is a mistake. */
function refused(error: unknown): Opened<never> {
  if (errorCode(error) === '') throw error;
  return { kind: 'failed', says: errorText(error) };
}
