/** The roles of volumes, opened on disk: the store that its blocks lie in, the records beside it, and the side itself. */

import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import type { MirrorOrder, VolumeDataset } from '@holdfast/core';
import { bootMs, errorCode, errorText, pathIn } from '@holdfast/wire/directory';
import { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../volumes/ground.ts';
import { VolumeSource } from '../volumes/source/volume-source.ts';
import { FileStore, FolderDisk } from '../volumes/store/file-store.ts';
import { VolumeTarget } from '../volumes/target/volume-target.ts';
import { folderOf } from './seat.ts';
import type { Answered, Opened, Sides, SidesPorts, SourceSide } from './side.ts';
import { Lines } from './source-role.ts';
import { TargetRoleSide } from './target-role.ts';
import { isOfDivergence } from './divergence-runs.ts';
import { runBlocks } from './volume-divergence-runs.ts';
import { socketOf, VolumeSourceSide } from './volume-source-role.ts';

type VolumeOrder = MirrorOrder<VolumeDataset>;

interface Place {
  readonly store: FileStore;
  readonly disk: FolderDisk;
  readonly ground: VolumeGround;
}

/** Of the file system of the records, unless it is said how much. */
const roomMin = 2 ** 30;

export function volumeSides({ directory, log, door }: SidesPorts): Sides<VolumeDataset> {
  const { path, record, credentials } = directory;
  const self = record.id;
  const says = (sentence: string): void => log.info('mirror', sentence);
  const folder = (order: VolumeOrder): string => pathIn(path, 'mirror', folderOf(order.mirror), 'volume');

  const open = async (order: VolumeOrder): Promise<Opened<Place>> => {
    try {
      const { sizeBytes, granularityBytes } = order.dataset;
      const store = openStore(order.dataset, existsSync(folder(order)));
      if (typeof store === 'string') return { kind: 'failed', says: store };
      try {
        const disk = new FolderDisk(folder(order));
        return opened({ store, disk, ground: await VolumeGround.open(disk, store, sizeBytes, granularityBytes) });
      } catch (error) {
        store.close();
        throw error;
      }
    } catch (error) {
      return refused(error);
    }
  };

  const kept: Sides<VolumeDataset>['kept'] = async (order, run, ports) => {
    if (!isOfDivergence(run)) return notSource(self, order.mirror);
    const disk = new FolderDisk(folder(order));
    const blocks = new KeptBlocks(disk, roomFor(order, folder(order)));
    return runBlocks(blocks, run, self, ports).finally(() => blocks.close());
  };

  const target: Sides<VolumeDataset>['target'] = async (order, role) => {
    const place = await open(order);
    if (place.kind === 'failed') return place;
    const { store, disk, ground } = place.side;
    const roomBytes = roomFor(order, folder(order));
    const blocks = new KeptBlocks(disk, roomBytes);
    const made = new VolumeTarget({
      name: order.mirror,
      cluster: record.cluster,
      self,
      store,
      ground,
      kept: blocks,
      undoBytesMax: roomBytes,
      nowMs: Date.now,
      says,
    });
    const ports = {
      target: made,
      divergence: (...[run, to]: Parameters<SourceSide['run']>) =>
        isOfDivergence(run)
          ? runBlocks(blocks, run, self, to)
          : Promise.resolve(notSource(self, order.mirror)),
      door,
      self,
      says,
      closed: () => Promise.resolve(),
    };
    return opened(new TargetRoleSide(order, role, ports));
  };

  const source: Sides<VolumeDataset>['source'] = async (order, role, grantUntil) => {
    const place = await open(order);
    if (place.kind === 'failed') return place;
    const { store, ground } = place.side;
    const lines = new Lines(credentials);
    const { mode, onTargetLoss, targetLossMs } = order.dataset;
    try {
      const made = await VolumeSource.open(store, ground, {
        name: order.mirror,
        cluster: record.cluster,
        self,
        epoch: role.epoch,
        ...{ mode, onTargetLoss, targetLossMs },
        mayAct: () => bootMs() < (grantUntil() ?? Infinity),
        targets: lines.change(role.targets).targets,
        says,
      });
      const socketPath = socketOf(path, order.mirror);
      const keptHere: SourceSide['run'] = async (run, ports) => kept(order, run, ports);
      return await VolumeSourceSide.open(order.mirror, role.epoch, made, {
        lines,
        socketPath,
        kept: keptHere,
        says,
      });
    } catch (error) {
      lines.close();
      return refused(error);
    }
  };

  return { source, target, kept, release: () => '' };
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

function roomFor({ keepMaxBytes }: VolumeOrder, folder: string): number {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const { bsize, blocks } = statfsSync(folder);
  return keepMaxBytes ?? Math.max(roomMin, Math.floor((bsize * blocks) / 10));
}

function notSource(self: string, mirror: string): Answered {
  return { kind: 'failed', as: 'failed', says: `${self} is not the source of ${mirror} now` };
}

const opened = <Side>(side: Side): Opened<Side> => ({ kind: 'open', side });

/** What the disk says is a reason; anything else is a mistake. */
function refused(error: unknown): Opened<never> {
  if (errorCode(error) === '') throw error;
  return { kind: 'failed', says: errorText(error) };
}
