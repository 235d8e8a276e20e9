/** The roles of file mirrors, opened on disk: root, selection, catalog, and the side itself. */

import { existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { CopyNotes, FilesDataset, MirrorOrder } from '@holdfast/core';
import { bootMs, errorText, pathIn } from '@holdfast/wire/directory';
import { BlockRecords } from '../catalog/blocks.ts';
import { openCatalog } from '../catalog/catalog.ts';
import type { Catalog } from '../catalog/types.ts';
import { createFeed } from '../feed/feed.ts';
import { DiskProbe } from '../files/disk-probe.ts';
import { DiskWatch } from '../files/disk-watch.ts';
import { KeptStore } from '../files/divergence/kept-store.ts';
import { checkRoot, Selection } from '../files/selection.ts';
import { notedPath, noteRoot, rootRefused } from '../files/root-identity.ts';
import { FileSource } from '../files/source/file-source.ts';
import { beginAnew } from '../files/source/lost-catalog.ts';
import type { SourceOptions } from '../files/source/types.ts';
import { FileTarget } from '../files/target/file-target.ts';
import { Records } from '../files/target/records.ts';
import { unprotect } from '../os/read-only.ts';
import { Tree } from '../os/tree.ts';
import { isOfDivergence, runDivergence } from './divergence-runs.ts';
import { folderOf } from './seat.ts';
import {
  failed,
  refused,
  type Answered,
  type Opened,
  type Sides,
  type SidesPorts,
  type TargetRole,
  type TargetSide,
} from './side.ts';
import { Lines, SourceRoleSide } from './source-role.ts';
import { TargetRoleSide, type TargetRolePorts } from './target-role.ts';

interface Place {
  /** DIR/mirror/NAME. */
  readonly dir: string;
  readonly root: string;
  readonly selection: Selection;
}

type FilesOrder = MirrorOrder<FilesDataset>;

export function fileSides({ directory, log, door }: SidesPorts): Sides<FilesDataset> {
  const { path, record, credentials } = directory;
  const self = record.id;
  const says = (sentence: string): void => log.info('mirror', sentence);
  const probe = new DiskProbe();
  /** Roots of the targets that are open here, by mirror. */
  const targets = new Map<string, string>();

  const placeOf = (order: FilesOrder): Opened<Place> => {
    const dir = pathIn(path, 'mirror', folderOf(order.mirror));
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const { root, include, exclude, devices } = order.dataset;
      const selection = new Selection({ include, exclude, devices });
      const checked = checkRoot(root, path);
      if (checked.kind === 'refused') return { kind: 'failed', says: checked.says };
      return open({ dir, root: checked.root, selection });
    } catch (error) {
      return refused(error);
    }
  };

  /** A former life may have left it covered, and the root may lie in it now. */
  const leaveFormer = (catalog: Catalog, root: string): void => {
    const former = notedPath(catalog);
    if (former === null || former === root || !existsSync(former)) return;
    const covered = uncover({ root: former });
    if (covered !== '') says(`${former} is not mirrored any more, and may be read-only still: ${covered}`);
  };

  const target = async (order: FilesOrder, role: TargetRole | null): Promise<Opened<TargetSide>> => {
    const lack = makeRoot(order, path);
    if (lack !== '') return { kind: 'failed', says: lack };
    const place = placeOf(order);
    if (place.kind === 'failed') return place;
    const { dir, root, selection } = place.side;
    // Who takes over is not held up by a question.
    if (role !== null && !(await probe.answers(root)))
      return { kind: 'failed', says: `${root} can't be written: the disk does not answer` };
    const made = openOrNot(() => openCatalog(join(dir, 'catalog')));
    if (made.kind === 'failed') return made;
    const catalog = made.side;
    leaveFormer(catalog, root);
    const opened = await FileTarget.open({
      dir,
      root,
      name: order.mirror,
      cluster: record.cluster,
      self,
      selection,
      otherRoots: [...targets].filter(([mirror]) => mirror !== order.mirror).map(([, other]) => other),
      keepMaxBytes: order.keepMaxBytes,
      catalog,
      covered: true,
      foreignPeriodMs: order.dataset.scanEveryMs,
      says,
    });
    if (opened.kind === 'failed') {
      await catalog.close();
      return opened;
    }
    targets.set(order.mirror, root);
    const { target: copy } = opened;
    const closed = async (): Promise<void> => {
      await catalog.close();
      targets.delete(order.mirror);
    };
    const divergence: TargetRolePorts['divergence'] = (run, ports) =>
      runDivergence(copy.divergence, run, self, ports);
    const disk = new DiskWatch({ folder: () => copy.writableRoot, says });
    const notes = (): CopyNotes => notesOf(copy.state());
    return open(
      new TargetRoleSide(order, role, { target: copy, divergence, notes, disk, door, self, says, closed }),
    );
  };

  const storeOf = (order: FilesOrder, dir: string): KeptStore =>
    new KeptStore(join(dir, 'kept'), self, order.keepMaxBytes);

  const kept: Sides<FilesDataset>['kept'] = (order, run, ports) => {
    const dir = pathIn(path, 'mirror', folderOf(order.mirror));
    const says = `${self} is not the source of ${order.mirror} now`;
    return isOfDivergence(run)
      ? runDivergence(storeOf(order, dir), run, self, ports)
      : Promise.resolve({ kind: 'failed', as: 'failed', says });
  };

  const source: Sides<FilesDataset>['source'] = async (order, role, grantUntil) => {
    const place = placeOf(order);
    if (place.kind === 'failed') return place;
    const { dir, root, selection } = place.side;
    const covered = uncover(place.side);
    if (covered !== '') return { kind: 'failed', says: covered };
    const isLost = isCatalogLost(dir);
    const parts = openParts(place.side, () => storeOf(order, dir));
    if (parts.kind === 'failed') return parts;
    const { catalog, blocks, tree, store } = parts.side;
    const lines = new Lines(credentials);
    const closed = async (): Promise<void> => {
      await blocks.close();
      await catalog.close();
      tree.close();
    };
    const { mirror: name, dataset } = order;
    const { devices, scanEveryMs } = dataset;
    const markers = markersOf(dir, root, name);
    const options: SourceOptions = {
      dir,
      root,
      name,
      cluster: record.cluster,
      self,
      epoch: role.epoch,
      grantUntil,
      bootMs,
      selection,
      devices,
      scanEveryMs,
      makeFeed: (listener) => createFeed({ root, markers, excluded: [ownFolder(name)], listener }),
      targets: lines.change(role.targets).targets,
      says,
    };
    const made = new FileSource(options, { tree, catalog, blocks });
    if (isLost) beginAnew(catalog, Date.now());
    const started = await made.start().catch(refused);
    if (started.kind === 'failed') {
      lines.close();
      await made.close();
      await closed();
      return started;
    }
    const disk = new DiskWatch({ folder: () => root, says });
    return open(new SourceRoleSide(name, made, lines, { self, kept: store, disk, closed }));
  };

  /** One piece of work on what a mirror has on record here, while no role of it is open. */
  const atRest = async <T>(
    order: FilesOrder,
    work: (parts: Pick<SourceParts, 'catalog' | 'tree'>) => Promise<T>,
  ): Promise<T | ReturnType<typeof failed>> => {
    const place = placeOf(order);
    if (place.kind === 'failed') return failed(place.says);
    const parts = openParts(place.side, () => storeOf(order, place.side.dir));
    if (parts.kind === 'failed') return failed(parts.says);
    const { catalog, blocks, tree } = parts.side;
    try {
      return await work({ catalog, tree });
    } catch (error) {
      return refused(error);
    } finally {
      await blocks.close();
      await catalog.close();
      tree.close();
    }
  };

  const confirm = (order: FilesOrder): Promise<Answered> =>
    atRest<Answered>(order, async ({ catalog, tree }) => {
      if ((await rootRefused(tree, catalog, order.mirror)) === null)
        return failed(`${self} does not work on ${order.mirror} now`);
      noteRoot(tree, catalog);
      // Whatever a target has there now, it is no copy; what it wrote as an owner stays its own (R3 of records.ts).
      if (order.role.kind === 'target') new Records(catalog, tree, () => true).distrust();
      return { kind: 'done', says: `${order.mirror} goes on with ${order.dataset.root} on ${self} as it is` };
    });

  /** What is changed at a source meanwhile, the next scan finds. */
  const forget = async (order: FilesOrder): Promise<string> => {
    if (order.role.kind === 'source' || !hasCatalog(order, path)) return '';
    const answered = await atRest(order, ({ catalog, tree }) => {
      new Records(catalog, tree, () => true).distrust();
      return Promise.resolve(null);
    });
    return answered?.says ?? '';
  };

  return {
    target,
    source,
    kept,
    confirm,
    forget,
    release: (order) => {
      const place = placeOf(order);
      return place.kind === 'failed' ? place.says : uncover(place.side);
    },
  };
}

/** What a person should know of a copy of files. */
function notesOf(copy: ReturnType<FileTarget['state']>): CopyNotes {
  const { consistent, foreignChanges: foreign, protection, kept } = copy;
  return {
    foreign,
    unprotected: consistent && protection.kind === 'unprotected' ? protection.says : '',
    keptEntries: kept.entries,
    keptBytes: kept.bytes,
  };
}

interface SourceParts {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly blocks: BlockRecords;
  /** What diverged here in a former life as a source. */
  readonly store: KeptStore;
}

function openParts({ dir, root }: Place, openStore: () => KeptStore): Opened<SourceParts> {
  return openOrNot(() => {
    const store = openStore();
    store.tidy();
    const blocks = new BlockRecords(join(dir, 'blocks'));
    const tree = Tree.open(root);
    try {
      return { store, tree, catalog: openCatalog(join(dir, 'catalog')), blocks };
    } catch (error) {
      tree.close();
      throw error;
    }
  });
}

function openOrNot<Side>(make: () => Side): Opened<Side> {
  try {
    return open(make());
  } catch (error) {
    return refused(error);
  }
}

/** Whoever opened this mirror before made all of it. */
function isCatalogLost(dir: string): boolean {
  return existsSync(join(dir, 'kept')) && !existsSync(join(dir, 'catalog'));
}

/** On the file system of the root, because the feed tells of one file system; outside of the root where it can be. */
function markersOf(dir: string, root: string, mirror: string): string {
  const same = statSync(dir).dev === statSync(root).dev;
  return same ? join(dir, 'markers') : join(root, ownFolder(mirror).toString(), 'markers');
}

/** Within the root, and never mirrored (files/selection.ts). */
const ownFolder = (mirror: string): Buffer => Buffer.from(`.holdfast-${mirror.replaceAll('/', '-')}`);

const open = <Side>(side: Side): Opened<Side> => ({ kind: 'open', side });

/**
 * A target that is new has no folder yet. One that had a copy and lacks its folder lacks the disk that it is on: nothing
 * is copied into the place where that is mounted. Empty when it is there, or is for others to refuse.
 */
function makeRoot(order: FilesOrder, dir: string): string {
  if (hasCatalog(order, dir)) return '';
  try {
    mkdirSync(order.dataset.root, { recursive: true, mode: 0o755 });
    return '';
  } catch (error) {
    return errorText(error);
  }
}

const hasCatalog = ({ mirror }: FilesOrder, dir: string): boolean =>
  existsSync(pathIn(dir, 'mirror', folderOf(mirror), 'catalog'));

function uncover({ root }: Pick<Place, 'root'>): string {
  try {
    unprotect(root);
    return '';
  } catch (error) {
    return refused(error).says;
  }
}
