/** The roles of file mirrors, opened on disk: root, selection, catalog, and the side itself. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { MirrorOrder } from '@holdfast/core';
import { errorCode, errorText, pathIn, type MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import { openCatalog } from '../catalog/catalog.ts';
import { KeptStore } from '../files/divergence/kept-store.ts';
import { checkRoot, Selection } from '../files/selection.ts';
import { FileTarget } from '../files/target/file-target.ts';
import { unprotect } from '../os/read-only.ts';
import { isOfDivergence, runDivergence } from './divergence-runs.ts';
import type { Door } from './door.ts';
import { folderOf } from './seat.ts';
import type { Answered, Opened, Sides, TargetRole, TargetSide } from './side.ts';
import { TargetRoleSide } from './target-role.ts';

export interface FileSidesPorts {
  readonly directory: MemberDirectory;
  readonly log: Log;
  readonly door: Door;
}

interface Place {
  /** DIR/mirror/NAME. */
  readonly dir: string;
  readonly root: string;
  readonly selection: Selection;
  /** Through which a target writes to a root that is protected. */
  readonly privateMount: string;
}

export function fileSides({ directory, log, door }: FileSidesPorts): Sides {
  const { path, record } = directory;
  const self = record.id;
  const says = (sentence: string): void => log.info('mirror', sentence);
  /** Roots of the targets that are open here, by mirror. */
  const targets = new Map<string, string>();

  const placeOf = (order: MirrorOrder): Opened<Place> => {
    const dir = pathIn(path, 'mirror', folderOf(order.mirror));
    try {
      mkdirSync(dir, { recursive: true, mode: 0o700 });
      const { include, exclude, devices } = order;
      const selection = new Selection({ include, exclude, devices });
      const checked = checkRoot(order.root, path);
      if (checked.kind === 'refused') return { kind: 'failed', says: checked.says };
      return open({ dir, root: checked.root, selection, privateMount: join(dir, 'root') });
    } catch (error) {
      return refused(error);
    }
  };

  const target = async (order: MirrorOrder, role: TargetRole | null): Promise<Opened<TargetSide>> => {
    const made = makeRoot(order.root);
    if (made !== '') return { kind: 'failed', says: made };
    const place = placeOf(order);
    if (place.kind === 'failed') return place;
    const { dir, root, selection, privateMount } = place.side;
    const catalog = openCatalog(join(dir, 'catalog'));
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
      privateMount,
      says,
    });
    if (opened.kind === 'failed') {
      await catalog.close();
      return opened;
    }
    targets.set(order.mirror, root);
    const closed = (): void => {
      targets.delete(order.mirror);
    };
    return open(
      new TargetRoleSide(order, role, { target: opened.target, catalog, door, self, says, closed }),
    );
  };

  return {
    target,
    source: () => Promise.resolve({ kind: 'failed', says: 'this version does not send files' }),
    kept: (order, run, ports): Answered => {
      if (!isOfDivergence(run))
        return { kind: 'failed', as: 'failed', says: `${self} is not the source of ${order.mirror} now` };
      const dir = pathIn(path, 'mirror', folderOf(order.mirror));
      return runDivergence(new KeptStore(join(dir, 'kept'), self, order.keepMaxBytes), run, self, ports);
    },
    release: (order) => {
      const place = placeOf(order);
      return place.kind === 'failed' ? place.says : uncover(place.side);
    },
  };
}

const open = <Side>(side: Side): Opened<Side> => ({ kind: 'open', side });

/** A target that is new has no folder yet. Empty when it is there. */
function makeRoot(root: string): string {
  try {
    mkdirSync(root, { recursive: true, mode: 0o755 });
    return '';
  } catch (error) {
    return errorText(error);
  }
}

function uncover({ root, privateMount }: Place): string {
  try {
    unprotect(root, privateMount);
    return '';
  } catch (error) {
    const failed = refused(error);
    return failed.kind === 'failed' ? failed.says : '';
  }
}

/** What the disk says is a reason; anything else is a mistake. */
function refused(error: unknown): Opened<never> {
  if (errorCode(error) === '') throw error;
  return { kind: 'failed', says: errorText(error) };
}
