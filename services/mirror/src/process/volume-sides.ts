/** The roles of volumes: a target in this thread, a source in one of its own. */

import type { VolumeDataset } from '@holdfast/core';
import { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import { VolumeTarget } from '../volumes/target/volume-target.ts';
import { refused, type Sides, type SidesPorts, type TargetRole, type TargetSide } from './side.ts';
import { TargetRoleSide } from './target-role.ts';
import { isOfDivergence } from './divergence-runs.ts';
import { OffHost } from './off-host.ts';
import { offHostSocketOf } from './volume-export.ts';
import type { SourceThreads } from './source-threads.ts';
import { runBlocks } from './volume-divergence-runs.ts';
import {
  confirmPlace,
  forgetOthers,
  noteLikeness,
  notSource,
  openTargetPlace,
  roomFor,
  runKept,
  type VolumeHome,
  type VolumeOrder,
  type VolumePlace,
} from './volume-home.ts';
import { ThreadedSource } from './threaded-source.ts';

export function volumeSides(
  { directory, log, door }: SidesPorts,
  threads: SourceThreads,
): Sides<VolumeDataset> {
  const { path, record, credentials } = directory;
  const self = record.id;
  const home: VolumeHome = { path, cluster: record.cluster, self, credentials };
  const says = (sentence: string): void => log.info('mirror', sentence);

  const target: Sides<VolumeDataset>['target'] = async (order, role) => {
    const place = await openTargetPlace(home, order);
    if (place.kind === 'failed') return place;
    const { disk, ground, store, lost, stranger, small } = place.side;
    if (stranger !== '') says(`${order.mirror}: ${stranger}; everything is compared`);
    if (lost !== '') says(`${order.mirror}: ${lost}`);
    if (small !== '') says(`${order.mirror}: ${small}`);
    let blocks: KeptBlocks | null = null;
    try {
      blocks = new KeptBlocks(disk, roomFor(home, order));
      return { kind: 'open', side: await targetOn(place.side, blocks, order, role) };
    } catch (error) {
      // The disk of the records: it is tried again.
      blocks?.close();
      ground.close();
      store.close();
      return refused(error);
    }
  };

  const targetOn = async (
    { store, snapshots, disk, ground, lost, stranger, small }: VolumePlace,
    blocks: KeptBlocks,
    order: VolumeOrder,
    role: TargetRole | null,
  ): Promise<TargetSide> => {
    let { keepMaxBytes } = order;
    let ordered = role;
    let roomBytes = blocks.maxBytes;
    const made = await VolumeTarget.open({
      name: order.mirror,
      cluster: record.cluster,
      self,
      store,
      snapshots,
      ground,
      kept: blocks,
      ordered: () => ordered,
      undoBytesMax: roomBytes,
      warning: [stranger === '' ? lost : stranger, small].filter((text) => text !== '').join('; '),
      gone: () => {
        const { path: at, sizeBytes } = order.dataset;
        if (!store.isAt(at)) return `${at} is not what was opened any more: it was replaced`;
        if (store.isCut) return `${at} is shorter than it was: it was truncated`;
        return small !== '' && store.has(sizeBytes) ? `${at} has become larger` : '';
      },
      noteLikeness: () => noteLikeness(ground, store),
      nowMs: Date.now,
      says,
    });
    const { mirror } = order;
    const offHost = new OffHost({
      ...{ mirror, self, store, sizeBytes: ground.sizeBytes, disk },
      overlayBytesMax: () => roomBytes,
      ...{ socketPath: offHostSocketOf(path, mirror), atRest: () => made.atRest(), says },
    });
    return new TargetRoleSide(order, role, {
      offHost,
      // Nobody looks for what others write to its device, which is open exclusively, or to its image.
      notes: () => ({ foreign: null, unprotected: '', keptEntries: blocks.count, keptBytes: blocks.bytes }),
      target: made,
      choose: () => made.choose(),
      changed: (now) => {
        ordered = now.role.kind === 'target' ? now.role : null;
        if (now.keepMaxBytes === keepMaxBytes) return;
        keepMaxBytes = now.keepMaxBytes;
        roomBytes = roomFor(home, { ...order, keepMaxBytes });
        made.setRoom(roomBytes);
      },
      divergence: async (run, ports) =>
        isOfDivergence(run)
          ? runBlocks(blocks, run, self, ports, [...made.apart()])
          : notSource(self, order.mirror),
      door,
      self,
      says,
      closed: () => Promise.resolve(),
    });
  };

  return {
    source: (order, role, grantUntil) =>
      ThreadedSource.open(threads.take(), { home, order, role, grantUntil: grantUntil() }, says),
    target,
    kept: (order, run, ports) => runKept(home, order, run, ports),
    confirm: (order) => confirmPlace(home, order),
    release: () => '',
    forget: (order) => forgetOthers(home, order),
  };
}
