/** What a target works with, opened in the order that a start needs, and with what a former life left finished. */

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { bootId } from '../../os/boot-id.ts';
import { protect } from '../../os/read-only.ts';
import { OsError } from '../../os/types.ts';
import { KeptStore } from '../divergence/kept-store.ts';
import { rootRefused } from '../root-identity.ts';
import { forgetSeenWith } from '../source/seen-selection.ts';
import type { Ground } from './applying.ts';
import { BootMark } from './boot-mark.ts';
import { emptyGone } from './gone.ts';
import { Log } from './log.ts';
import { Overwriting } from './overwriting.ts';
import { OwnMounts } from './own-mounts.ts';
import { keepingTimes, openRoot } from './own-root.ts';
import type { OwnRoot } from './own-root.ts';
import { Records } from './records.ts';
import { replay } from './recovery.ts';
import { SeenEpoch } from './seen-epoch.ts';
import { StagingPlace, outOfReach } from './staging-place.ts';
import { hasRoomFor } from './room-for-names.ts';
import { Staging } from './staging.ts';
import type { TargetOptions } from './types.ts';

const segmentBytes = 32 << 20;

export interface Parts {
  readonly own: OwnRoot;
  readonly mounts: OwnMounts;
  readonly place: StagingPlace;
  readonly ground: Ground;
  readonly log: Log;
  readonly records: Records;
  readonly kept: KeptStore;
  readonly overwriting: Overwriting;
  /** Of what a former life left in the log. */
  readonly spared: readonly Buffer[];
  readonly seen: SeenEpoch;
  readonly nextNumber: number;
}

/** The root is not the one that was mirrored; the message says what to do. */
export class OtherRoot extends Error {}

/** What has to be closed when this throws is in `opened`. */
export async function openParts(options: TargetOptions, opened: { close(): void }[]): Promise<Parts> {
  const { dir, name, self, catalog, keepMaxBytes } = options;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const own = openRoot(options);
  opened.push(own);
  const { tree } = own;
  const refused = await rootRefused(tree, catalog, `${name} --target ${self}`);
  if (refused !== null) throw new OtherRoot(refused);
  // At once: what follows may take its time.
  if (options.covered && catalog.meta.consistent) protect(own.root);
  const records = new Records(catalog, tree, (path) => hasRoomFor(tree, staging.tree, path));
  const place = StagingPlace.find(own, name, (change) => keepingTimes(tree, records, change));
  const staging = new Staging(place);
  opened.push(staging);
  records.begin();
  const log = new Log(join(dir, 'log'), segmentBytes);
  opened.push(log);
  const failPoint = options.failPoint ?? ((): void => undefined);
  const ground: Ground = {
    tree,
    get stage() {
      return staging.tree;
    },
    staging,
    failPoint,
    namesOf: (inode) => records.namesOf(inode),
    isName: (path, inode) => records.isName(path, inode),
  };
  const lost = outOfReach(own, name);
  if (lost !== null && log.contents.batches.length > 0)
    throw new OsError('EXDEV', 'rename', Buffer.from(lost));
  const bootMark = new BootMark(dir, bootId());
  const kept = new KeptStore(join(dir, 'kept'), self, keepMaxBytes, failPoint);
  kept.tidy();
  const { selection } = options;
  const overwriting = new Overwriting({ tree, staging, catalog, records, kept, selection, failPoint });
  const replayed = await replay({ log, ground, records, overwriting }, bootMark.powerLost);
  bootMark.write();
  if (replayed.misfits.length > 0 || replayed.differs) records.distrust();
  if (replayed.unfit !== '') options.says?.(`${name}: what was received last did not fit: ${replayed.unfit}`);
  await emptyGone(ground, () => false);
  place.removeLeftover();
  const mounts = new OwnMounts({ root: own.root, tree, catalog, selection });
  mounts.add();
  forgetSeenWith(catalog);
  return {
    own,
    mounts,
    place,
    ground,
    log,
    records,
    kept,
    overwriting,
    spared: replayed.spared,
    seen: new SeenEpoch(dir),
    nextNumber: replayed.nextNumber,
  };
}
